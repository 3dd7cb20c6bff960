#include "server/azureml/call.hpp"

#include <spdlog/spdlog.h>

#include <array>

namespace linarite::azureml {
namespace {

constexpr std::size_t logged_at_most = 1'000;

// Not 500: the SDK would try again for minutes.
asio::awaitable<void> answer_unknown(Call call) {
    const http::RequestHead& head = call.exchange->head();
    const std::string what = std::string(http::beast_http::to_string(head.method)) + " " + head.path;
    auto& logged = call.api->unknown_routes_logged;
    if (logged.size() < logged_at_most && logged.insert(what).second) {
        spdlog::warn("not emulated: {}", what);
    }
    co_await reply_fault(call, Status::not_implemented, "NotEmulated",
                         "Linarite does not emulate this part of Azure Machine Learning: " + what);
}

} // namespace

void add_unknown_routes(http::Router& router, const ApiPtr& api) {
    constexpr std::array services{"history",         "execution",  "content",       "artifact",
                                  "metric",          "rp",         "datastore",     "environment",
                                  "modelmanagement", "hyperdrive", "subscriptions", "credential",
                                  "pipelines",       "assetstore", "dataset",       "mlflow"};
    constexpr std::array methods{verb::get, verb::put, verb::post, verb::patch, verb::delete_};
    for (const char* service : services) {
        for (const verb method : methods) {
            add_route(router, api, method, "/" + std::string(service) + "/{rest...}", clients_and_runs, answer_unknown);
        }
    }
}

void add_routes(http::Router& router, const ApiPtr& api) {
    add_metric_routes(router, api);
    add_artifact_routes(router, api);
    add_snapshot_routes(router, api);
    add_login_routes(router, api);
    add_arm_routes(router, api);
    add_discovery_routes(router, api);
    add_compute_routes(router, api);
    add_datastore_routes(router, api);
    add_environment_routes(router, api);
    add_experiment_routes(router, api);
    add_run_routes(router, api);
    add_execution_routes(router, api);
    add_unknown_routes(router, api);
}

} // namespace linarite::azureml
