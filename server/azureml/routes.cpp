#include "server/azureml/absences.hpp"

#include <array>

namespace linarite::azureml {

void add_unknown_routes(http::Router& router, const ApiPtr& api) {
    constexpr std::array services{"history",         "execution",  "content",       "artifact",
                                  "metric",          "rp",         "datastore",     "environment",
                                  "modelmanagement", "hyperdrive", "subscriptions", "credential",
                                  "pipelines",       "assetstore", "dataset",       "mlflow"};
    constexpr std::array methods{verb::get, verb::put, verb::post, verb::patch, verb::delete_};
    for (const char* service : services) {
        for (const verb method : methods) {
            add_route(router, api, method, "/" + std::string(service) + "/{rest...}", clients_and_runs,
                      reply_not_emulated);
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
