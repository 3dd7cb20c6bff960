// server/azureml/api.hpp: Azure ML v1's services as the genuine SDK speaks to them. Thin: parse, use case, render.
// Azure's words stay in this room.
#pragma once

#include "server/http/router.hpp"
#include "server/service/datastores.hpp"
#include "server/service/experiments.hpp"
#include "server/service/nodes.hpp"
#include "server/service/run_history.hpp"
#include "server/service/run_storage.hpp"
#include "server/service/runs.hpp"
#include "server/service/snapshots.hpp"
#include "server/service/tokens.hpp"
#include "server/service/workspaces.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace linarite::http {
class LoginLimiter;
} // namespace linarite::http

namespace linarite::service {
class Metrics;
class Computes;
class Environments;
class BlobUploads;
} // namespace linarite::service

namespace linarite::azureml {

namespace asio = boost::asio;
using Json = nlohmann::json;

/// Everything that handlers call. All of it outlives the server.
struct Api {
    service::Workspaces& workspaces;
    service::Experiments& experiments;
    service::Runs& runs;
    service::RunHistory& history;
    service::RunStorage& storage;
    service::Snapshots& snapshots;
    service::Datastores& datastores;
    service::Nodes& nodes;
    service::BlobUploads& uploads;
    service::Computes& computes;
    service::Environments& environments;
    service::Tokens& tokens;
    service::Metrics& metrics;
    asio::thread_pool& pool;
    const Clock& clock;
    std::string admin_token;                         // what a client's secret is compared with
    std::function<unsigned short()> https_port;      // known once the server listens
    std::set<std::string> unknown_routes_logged;     // each is logged once
    std::set<RunId> looked_at = {};                  // runs whose state a client has seen; see run_handlers.cpp
    std::shared_ptr<http::LoginLimiter> logins = {}; // wrong secrets by address; made with the login's routes
};
using ApiPtr = std::shared_ptr<Api>;

/// Adds every route of the surface.
void add_routes(http::Router& router, const ApiPtr& api);

// One function per service, each in a file of its own.
void add_login_routes(http::Router& router, const ApiPtr& api);
void add_arm_routes(http::Router& router, const ApiPtr& api);
void add_discovery_routes(http::Router& router, const ApiPtr& api);
void add_experiment_routes(http::Router& router, const ApiPtr& api);
void add_run_routes(http::Router& router, const ApiPtr& api);
void add_execution_routes(http::Router& router, const ApiPtr& api);
void add_metric_routes(http::Router& router, const ApiPtr& api);
void add_artifact_routes(http::Router& router, const ApiPtr& api);
void add_snapshot_routes(http::Router& router, const ApiPtr& api);
void add_compute_routes(http::Router& router, const ApiPtr& api);
void add_datastore_routes(http::Router& router, const ApiPtr& api);
void add_environment_routes(http::Router& router, const ApiPtr& api);
void add_unknown_routes(http::Router& router, const ApiPtr& api);

} // namespace linarite::azureml
