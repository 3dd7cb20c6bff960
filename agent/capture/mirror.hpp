// agent/capture/mirror.hpp: brings what the other nodes of a run have closed into this node's working directory.
#pragma once

#include "agent/capture/foreign_files.hpp"
#include "agent/capture/gang_source.hpp"
#include "agent/capture/run_tree.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

struct MirrorSettings {
    fs::path work_dir;
    fs::path arrivals;          // a folder for itself, on the same file system, that no script knows
    std::vector<RunTree> trees; // of the working directory: whatever is not below one of them is not taken
    std::shared_ptr<ForeignFiles> foreign;
    std::function<void(const std::string&)> warn;
    std::chrono::milliseconds first_retry{100}; // doubled up to
    std::chrono::milliseconds last_retry{5'000};
};

/// Files appear whole, by rename, in the order in which the other nodes closed them. What this node wrote itself, or
/// has open, stays as it is; so does what it deleted, until another node writes that anew. Deleting is not mirrored.
/// Lives on one event loop.
class Mirror {
public:
    Mirror(asio::any_io_executor executor, asio::thread_pool& pool, std::shared_ptr<GangSource> source,
           MirrorSettings settings);
    /// Stops; a file that is arriving is given up.
    ~Mirror();
    Mirror(const Mirror&) = delete;
    Mirror& operator=(const Mirror&) = delete;

    /// The coordinator has files of other nodes up to this version.
    void update(std::uint64_t version);
    /// Up to where all is in its place.
    [[nodiscard]] std::uint64_t version() const;

private:
    struct Core;
    std::shared_ptr<Core> core_;
};

} // namespace linarite::agent
