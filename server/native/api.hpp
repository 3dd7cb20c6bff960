// server/native/api.hpp: our own versioned HTTP API, for the CLI, the agents and the pages. Thin: parse, use case,
// render.
#pragma once

#include "common/data_dir.hpp"
#include "server/http/router.hpp"
#include "server/http/server.hpp"
#include "server/service/datastores.hpp"
#include "server/service/metrics.hpp"
#include "server/service/nodes.hpp"
#include "server/service/run_storage.hpp"
#include "server/service/runs.hpp"
#include "server/service/snapshots.hpp"
#include "server/service/workspaces.hpp"

#include <functional>
#include <memory>
#include <string>

namespace linarite::native {

namespace asio = boost::asio;
using Json = nlohmann::json;

/// Everything that handlers call. All of it outlives the server.
struct Api {
    store::Store& store;
    store::MetricStore& metric_store;
    service::Metrics& metrics;
    service::Scheduler& scheduler;
    service::Workspaces& workspaces;
    service::Runs& runs;
    service::RunStorage& storage;
    service::Snapshots& snapshots;
    service::Datastores& datastores;
    service::Nodes& nodes;
    asio::thread_pool& pool;
    DataDir data;
    std::string version;
    /// The join string's other half: where agents reach us, and our CA.
    std::function<proto::JoinString()> join_template;
    /// Of the transport, for /metrics.
    std::function<http::Server::Counters()> http_counters;
};

/// Adds every route of the API.
void add_routes(http::Router& router, const std::shared_ptr<Api>& api);

// One function per family, each in a file of its own.
void add_run_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_follow_route(http::Router& router, const std::shared_ptr<Api>& api);
void add_metric_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_file_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_snapshot_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_node_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_datastore_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_workspace_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_agent_routes(http::Router& router, const std::shared_ptr<Api>& api);
void add_system_routes(http::Router& router, const std::shared_ptr<Api>& api);

} // namespace linarite::native
