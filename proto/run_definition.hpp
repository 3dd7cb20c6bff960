// proto/run_definition.hpp: what a client asks to be run: Azure ML v1's RunConfiguration, parsed and checked.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::proto {

using Json = nlohmann::json;

/// How the processes of a run are started.
enum class LaunchKind { single, mpi, process_group, parameter_server };

/// What a data reference does with its datastore path.
enum class DataMode { mount, download, upload };

/// One entry of `dataReferences`.
struct DataReference {
    std::string name; // the script sees $AZUREML_DATAREFERENCE_<name>
    std::string datastore;
    DataMode mode = DataMode::mount;
    bool overwrite = false;
    std::string path_on_datastore; // "" is the whole store
    std::string path_on_compute;   // "" lets the node choose
    bool operator==(const DataReference&) const = default;
};

/// `environment.python`, as far as it decides what is installed.
struct PythonEnvironment {
    bool user_managed = false; // nothing is built; the node's own interpreter is used
    std::string interpreter_path = "python";
    std::string python_version; // "3.8.13" from conda's "python=3.8.13"; "" is any
    std::vector<std::string> channels;
    std::vector<std::string> conda_packages; // specs without python and pip, as written
    std::vector<std::string> pip_packages;   // requirement lines, as written
    bool operator==(const PythonEnvironment&) const = default;
};

/// `environment.docker.buildContext`: a folder with a dockerfile and the files that it copies into the image.
struct BuildContext {
    std::string url;       // of the folder in a blob container, until the coordinator knows which datastore that is
    std::string datastore; // its name
    std::string path;      // on it
    std::string dockerfile = "Dockerfile"; // below the folder
    bool operator==(const BuildContext&) const = default;
};

/// `environment.docker` and the top-level `docker`.
struct ContainerSettings {
    bool use_docker = false; // a container was asked for by the user (docker.useDocker or environment.docker.enabled)
    std::string base_image;
    std::string base_dockerfile;
    std::optional<BuildContext> build_context; // in the place of both
    std::string registry_address;              // of images whose names have none; "" is the engine's own default
    std::string registry_user; // for it; the password is never part of a definition (registry_password())
    std::string shm_size;
    std::vector<std::string> arguments; // for `docker run`; only what parse_container_arguments() takes
    bool operator==(const ContainerSettings&) const = default;
};

/// A run definition that passed every check that needs nothing but itself. Past this type it is trusted.
struct RunDefinition {
    std::string script;                 // relative to the snapshot's root; empty if `command` is given
    std::vector<std::string> command;   // ScriptRunConfig(command=...): argv; a text became {"/bin/sh", "-c", text}
    std::vector<std::string> arguments; // numbers and booleans already as text
    std::string target;                 // compute target; "" lets the coordinator choose its default
    int node_count = 1;
    int processes_per_node = 1;     // with a parameter server: on the node that has most
    int worker_count = 0;           // of a parameter server run
    int parameter_server_count = 0; // of one
    LaunchKind launch = LaunchKind::single;
    std::string framework = "Python";
    std::string communicator = "None"; // canonical case
    PythonEnvironment python;
    ContainerSettings container;
    std::string environment_name;
    std::map<std::string, std::string> environment_variables; // run-level ones already win over the environment's
    std::vector<DataReference> data;
    std::optional<std::chrono::seconds> max_duration;
    int priority = 0;
    int max_attempts = 1;
    bool collect_outputs = true;
    std::vector<std::string> watched_folders = {"logs"};
    bool operator==(const RunDefinition&) const = default;
};

/// Parses Azure ML's RunConfiguration JSON (also what a .runconfig's YAML becomes). Unknown members are ignored, as the
/// service does; null means absent. All faults come back at once (Error::faults) with JSON pointers, in the words of
/// the v1 SDK where it has some.
Result<RunDefinition> parse_run_definition(const Json& document);

/// The definition in Azure's form, normalised: strings in `arguments`, canonical framework and communicator. Parsing it
/// gives the same definition again.
Json print_run_definition(const RunDefinition& definition);

std::string_view to_wire(LaunchKind kind);
std::string_view to_wire(DataMode mode);

/// A .runconfig (YAML, or JSON) as JSON with YAML's scalar types resolved. `conda_file` is called with the value of
/// environment.python.condaDependenciesFile, if there is one, and gives that file's text; its content then stands as
/// the inline condaDependencies.
Result<Json> read_job_file(const std::string& text,
                           const std::function<Result<std::string>(const std::string& path)>& conda_file);

} // namespace linarite::proto
