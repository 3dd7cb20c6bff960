// agent/capture/data.hpp: a run's data references: where the script finds them, and what goes back at the end.
#pragma once

#include "agent/capture/coordinator.hpp"
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
    fs::path scratch;                // of this run on this node: copies that stand for mounts
    std::function<void(const std::string&)> warn;
};

/// The data references of one run on one node. It keeps nothing in memory that finish() needs, so one that is made anew
/// after a restart of the agent finishes as well. Nodes that share a working directory need it done once.
class DataReferences {
public:
    DataReferences(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, DataSettings settings);

    /// Reference name -> absolute path (of a folder, or of a single file). mount: the datastore's own files where this
    /// node sees them, else a copy for this run. download: a copy. upload: a folder that is made now. not_found names
    /// the datastore and the path; invalid_argument for paths that lead out of the datastore, or over a link.
    asio::awaitable<Result<std::map<std::string, std::string>>> prepare(CancelToken cancel);

    /// Sends back what the script wrote for references of mode upload.
    asio::awaitable<Result<void>> finish(CancelToken cancel);

private:
    asio::awaitable<Result<fs::path>> provide(proto::DesiredData data, CancelToken cancel);
    asio::awaitable<Result<void>> send_back(proto::DesiredData data, CancelToken cancel);
    [[nodiscard]] bool sees(const proto::DesiredData& data) const;
    [[nodiscard]] Result<fs::path> place_of(const proto::DesiredData& data) const;

    asio::thread_pool& pool_;
    std::shared_ptr<Coordinator> coordinator_;
    DataSettings settings_;
};

} // namespace linarite::agent
