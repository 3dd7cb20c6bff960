#include "fmt/core.h"
#include "proto/json_reader.hpp"
#include "proto/run_definition.hpp"

#include <utility>

namespace linarite::proto {

namespace {

/// Empty texts are null on Azure's wire.
Json text_or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

std::string python_spec(const std::string& version) {
    const bool is_constraint = version.find_first_of("<>!~=") == 0;
    return "python" + std::string(is_constraint ? "" : "=") + version;
}

Json print_conda(const PythonEnvironment& python) {
    Json dependencies = Json::array();
    if (!python.python_version.empty()) {
        dependencies.push_back(python_spec(python.python_version));
    }
    if (!python.pip_packages.empty()) {
        Json pip = Json::object();
        pip["pip"] = python.pip_packages;
        dependencies.push_back(std::move(pip));
    }
    for (const std::string& package : python.conda_packages) {
        dependencies.push_back(package);
    }
    return {{"channels", python.channels}, {"dependencies", std::move(dependencies)}};
}

// What the SDK knows, and a place that it does not: a folder of a datastore.
Json print_context(const BuildContext& context) {
    return {{"locationType", context.datastore.empty() ? "storageAccount" : "datastore"},
            {"location", context.datastore.empty() ? context.url : context.datastore + "/" + context.path},
            {"dockerfilePath", context.dockerfile}};
}

Json print_docker(const ContainerSettings& container) {
    Json out{{"enabled", container.use_docker},
             {"baseImage", text_or_null(container.base_image)},
             {"baseDockerfile", text_or_null(container.base_dockerfile)},
             {"shmSize", text_or_null(container.shm_size)}};
    if (container.build_context) {
        out["buildContext"] = print_context(*container.build_context);
    }
    if (!container.registry_address.empty() || !container.registry_user.empty()) {
        out["baseImageRegistry"] = {{"address", text_or_null(container.registry_address)},
                                    {"username", text_or_null(container.registry_user)},
                                    {"password", nullptr}};
    }
    return out;
}

Json print_environment(const RunDefinition& definition) {
    return {{"name", text_or_null(definition.environment_name)},
            {"python",
             {{"userManagedDependencies", definition.python.user_managed},
              {"interpreterPath", definition.python.interpreter_path},
              {"condaDependencies", print_conda(definition.python)},
              {"condaDependenciesFile", nullptr}}},
            {"docker", print_docker(definition.container)}};
}

Json print_data(const std::vector<DataReference>& references) {
    Json out = Json::object();
    for (const DataReference& reference : references) {
        out[reference.name] = {{"dataStoreName", reference.datastore},
                               {"mode", to_wire(reference.mode)},
                               {"overwrite", reference.overwrite},
                               {"pathOnDataStore", text_or_null(reference.path_on_datastore)},
                               {"pathOnCompute", text_or_null(reference.path_on_compute)}};
    }
    return out;
}

} // namespace

std::string_view to_wire(LaunchKind kind) {
    switch (kind) {
    case LaunchKind::single: return "single";
    case LaunchKind::mpi: return "mpi";
    case LaunchKind::process_group: return "process_group";
    case LaunchKind::parameter_server: return "parameter_server";
    }
    return "";
}

std::string_view to_wire(DataMode mode) {
    switch (mode) {
    case DataMode::mount: return "mount";
    case DataMode::download: return "download";
    case DataMode::upload: return "upload";
    }
    return "";
}

Json print_run_definition(const RunDefinition& definition) {
    Json out = {{"script", text_or_null(definition.script)},
                {"command", definition.command},
                {"arguments", definition.arguments},
                {"target", text_or_null(definition.target)},
                {"framework", definition.framework},
                {"communicator", definition.communicator},
                {"nodeCount", definition.node_count},
                {"environment", print_environment(definition)},
                {"environmentVariables", definition.environment_variables},
                {"dataReferences", print_data(definition.data)},
                {"priority", definition.priority},
                {"maxAttempts", definition.max_attempts}};
    out["docker"] = {{"useDocker", definition.container.use_docker},
                     {"shmSize", text_or_null(definition.container.shm_size)},
                     {"arguments", definition.container.arguments}};
    out["maxRunDurationSeconds"] = definition.max_duration ? Json(definition.max_duration->count()) : Json();
    out["history"] = {{"outputCollection", definition.collect_outputs},
                      {"directoriesToWatch", definition.watched_folders}};
    const bool is_mpi = definition.launch == LaunchKind::mpi;
    out["mpi"] = Json::object({{"processCountPerNode", is_mpi ? definition.processes_per_node : 1}});
    if (definition.launch == LaunchKind::process_group) {
        out["pytorch"] = Json::object({{"processCount", definition.processes_per_node * definition.node_count}});
    }
    if (definition.launch == LaunchKind::parameter_server) {
        out["tensorflow"] = Json::object(
            {{"workerCount", definition.worker_count}, {"parameterServerCount", definition.parameter_server_count}});
    }
    return out;
}

} // namespace linarite::proto
