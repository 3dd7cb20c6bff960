// agent/capture/capture.hpp: takes a run's files to the coordinator while they are written, and the rest at the end.
#pragma once

#include "agent/capture/file_watcher.hpp"
#include "agent/capture/foreign_files.hpp"
#include "agent/capture/run_tree.hpp"
#include "agent/capture/uploader.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

class CaptureCore;

struct CaptureSettings {
    fs::path azureml_logs; // this node's logs of the run, captured as azureml-logs/
    /// The run's working directory, whose outputs/ and watched folders are captured. "" where another node does that.
    fs::path work_dir;
    bool outputs = true;
    std::vector<std::string> watched_folders{"logs"};
    /// Set where the run's nodes have working directories of their own: what other nodes wrote is not sent, and files
    /// are told to be closed, so that the others get them.
    std::shared_ptr<ForeignFiles> foreign;
    /// Others write into the working directory from elsewhere, which no event tells: look at it now and then.
    bool written_from_elsewhere = false;
    /// Takes what a person should know, one line each: a file that is left out, and why. May write to a captured log.
    std::function<void(const std::string&)> warn;

    // Limits and times; tests make them small.
    std::uint64_t most_files = 1'000'000;
    std::uint64_t largest_log = std::uint64_t{10} << 30U; // of a longer one the beginning and the end are kept
    std::chrono::milliseconds gather{5};                  // growth is gathered for so long before it is sent
    std::chrono::milliseconds open_outputs{5'000};        // an output that stays open is sent anew after this
    std::chrono::milliseconds first_retry{100};           // doubled up to
    std::chrono::milliseconds last_retry{5'000};
};

/// The folders of the working directory that are captured: outputs, logs, ...
std::vector<RunTree> captured_trees(const CaptureSettings& settings);

/// The capture of one run on one node. Logs (azureml-logs/ and the watched folders) are sent as they grow; outputs/
/// whole, when they are closed. What could not be sent stays on disk and is tried again; a Capture that is made anew
/// over the same folders goes on where the coordinator says that it stands. Lives on one event loop.
class Capture {
public:
    Capture(asio::any_io_executor executor, asio::thread_pool& pool, FileWatcher& watcher,
            std::shared_ptr<Uploader> uploader, CaptureSettings settings);
    /// Stops at once; what has not been sent stays where it is.
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    /// Begins to follow what is written. Not needed for finish().
    void start();

    /// Sends all that remains, with the SHA-256 of every file, and returns when the coordinator has acknowledged it.
    /// Call it when nothing writes any more. While the coordinator is away it goes on trying. Errors: conflict if
    /// `cancel` was used or the coordinator refused this placement (an old fence, or an unknown run), for good. Files
    /// that it refuses by themselves are warned about.
    asio::awaitable<Result<void>> finish(CancelToken cancel);

    /// Why nothing could be sent the last time ("" if it could): for the run's detail.
    [[nodiscard]] const std::string& trouble() const;

private:
    std::shared_ptr<CaptureCore> core_;
};

} // namespace linarite::agent
