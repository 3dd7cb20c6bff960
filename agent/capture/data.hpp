// agent/capture/data.hpp: a run's data references: where the script finds them, and what goes back at the end.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "agent/capture/data_cache.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "proto/agent_protocol.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

struct DataSettings {
    std::vector<proto::DesiredData> data;
    std::string host_id;             // this node's
    std::string coordinator_host_id; // equal: datastore paths are the same files here
    fs::path work_dir;               // relative path_on_compute and downloads go below it
    fs::path scratch;                // of this run on this node: what stands for mounts
    fs::path work;                   // what the agent's runs have their folders below
    std::function<void(const std::string&)> warn;
    std::function<void(const std::string&)> progress; // what is being fetched, in words
};

/// The data references of one run on one node. It keeps nothing in memory that finish() needs, so one that is made anew
/// after a restart of the agent finishes as well.
class DataReferences {
public:
    DataReferences(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, DataCache& cache,
                   DataSettings settings);

    /// Reference name -> absolute path (of a folder, or of a single file). mount: the datastore's own files where this
    /// node sees them, else a tree of read-only files out of the node's cache; with a path_on_compute there is a link
    /// of that name to it. download: a copy. upload: a folder that is made now. not_found names the datastore and the
    /// path; invalid_argument for paths that lead out of the datastore, or over a link, and for a path_on_compute that
    /// is the system's.
    asio::awaitable<Result<std::map<std::string, std::string>>> prepare(CancelToken cancel);

    /// Sends back what the script wrote for references of mode upload.
    asio::awaitable<Result<void>> finish(CancelToken cancel);

private:
    asio::awaitable<Result<fs::path>> provide(proto::DesiredData data, CancelToken cancel);
    asio::awaitable<Result<fs::path>> mount(proto::DesiredData data, std::string path, CancelToken cancel);
    asio::awaitable<Result<fs::path>> download(proto::DesiredData data, std::string path, CancelToken cancel);
    asio::awaitable<Result<void>> send_back(proto::DesiredData data, CancelToken cancel);
    [[nodiscard]] bool sees(const proto::DesiredData& data) const;
    asio::awaitable<Result<fs::path>> place_of(proto::DataReference reference, std::string path);
    asio::awaitable<Result<void>> link_mount(proto::DataReference reference, fs::path target);

    asio::thread_pool& pool_;
    std::shared_ptr<Coordinator> coordinator_;
    DataCache& cache_;
    DataSettings settings_;
};

} // namespace linarite::agent
