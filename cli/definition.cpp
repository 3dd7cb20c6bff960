#include "cli/definition.hpp"

#include "common/files.hpp"
#include "proto/run_definition.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace linarite::cli {
namespace {

constexpr std::size_t most_dockerfile = std::size_t{1} << 20U;

// An object at that key, made if there is none (null counts as none).
Json& object_at(Json& parent, const char* key) {
    Json& member = parent[key];
    if (!member.is_object()) {
        member = Json::object();
    }
    return member;
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

void set_backend(const std::string& backend, Json& definition) {
    const std::string name = lower(backend);
    if (name == "mpi") {
        definition["framework"] = "Python";
        definition["communicator"] = "IntelMpi"; // the historic label; Open MPI is meant
    } else if (name == "none") {
        definition["framework"] = "Python";
        definition["communicator"] = "None";
    } else if (name == "gloo" || name == "nccl") {
        definition["framework"] = "PyTorch";
        definition["communicator"] = backend;
    } else if (name == "ps" || name == "parameterserver") {
        definition["framework"] = "TensorFlow";
        definition["communicator"] = "ParameterServer";
    } else {
        definition["communicator"] = backend; // not known here: the coordinator says what there is
    }
}

// The list of conda dependencies; made if there is none.
Json& dependencies_of(Json& definition) {
    Json& conda = object_at(object_at(object_at(definition, "environment"), "python"), "condaDependencies");
    if (!conda.contains("dependencies") || !conda["dependencies"].is_array()) {
        conda["dependencies"] = Json::array();
    }
    if (!conda.contains("name")) {
        conda["name"] = "project_environment";
        conda["channels"] = {"conda-forge"};
    }
    return conda["dependencies"];
}

void add_packages(const DefinitionFlags& flags, Json& definition) {
    if (flags.conda.empty() && flags.pip.empty()) {
        return;
    }
    Json& dependencies = dependencies_of(definition);
    for (const std::string& package : flags.conda) {
        dependencies.push_back(package);
    }
    if (flags.pip.empty()) {
        return;
    }
    const auto found = std::find_if(dependencies.begin(), dependencies.end(), [](const Json& entry) {
        return entry.is_object() && entry.contains("pip") && entry["pip"].is_array();
    });
    Json& pip = found != dependencies.end() ? *found : dependencies.emplace_back(Json{{"pip", Json::array()}});
    for (const std::string& package : flags.pip) {
        pip["pip"].push_back(package);
    }
}

// "name=value" in two; nothing if there is no name.
std::optional<std::pair<std::string, std::string>> split_pair(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        return std::nullopt;
    }
    return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

void add_data(const DefinitionFlags& flags, Json& definition, std::vector<Fault>& faults) {
    for (const std::string& text : flags.data) {
        const auto pair = split_pair(text);
        if (!pair || pair->second.empty() || pair->second.front() == '/') {
            faults.push_back({"/dataReferences", "'" + text + "' is not NAME=DATASTORE or NAME=DATASTORE/PATH"});
            continue;
        }
        const auto& [name, place] = *pair;
        const std::size_t slash = place.find('/');
        const std::string path = slash == std::string::npos ? "" : place.substr(slash + 1);
        object_at(definition, "dataReferences")[name] = Json{{"dataStoreName", place.substr(0, slash)},
                                                             {"pathOnDataStore", path.empty() ? Json() : Json(path)},
                                                             {"mode", "mount"},
                                                             {"overwrite", false},
                                                             {"pathOnCompute", nullptr}};
    }
}

void add_environment(const DefinitionFlags& flags, Json& definition, std::vector<Fault>& faults) {
    for (const std::string& text : flags.environment) {
        if (const auto pair = split_pair(text)) {
            object_at(definition, "environmentVariables")[pair->first] = pair->second;
        } else {
            faults.push_back({"/environmentVariables", "'" + text + "' is not NAME=VALUE"});
        }
    }
}

void set_container(const DefinitionFlags& flags, Json& definition, std::vector<Fault>& faults) {
    if (flags.image.empty() && flags.dockerfile.empty() && flags.build_context.empty()) {
        return;
    }
    Json& docker = object_at(object_at(definition, "environment"), "docker");
    docker["enabled"] = true;
    object_at(definition, "docker")["useDocker"] = true;
    docker["baseImage"] = flags.image.empty() ? Json() : Json(flags.image);
    docker["baseDockerfile"] = nullptr;
    docker["buildContext"] = nullptr;
    if (!flags.build_context.empty()) {
        docker["buildContext"] = {
            {"locationType", "datastore"}, {"location", flags.build_context}, {"dockerfilePath", flags.dockerfile}};
        return;
    }
    if (flags.dockerfile.empty()) {
        return;
    }
    if (!flags.image.empty()) {
        faults.push_back({"/environment/docker/baseDockerfile", "there is --image, too: give one of both"});
    } else if (const auto text = read_file(flags.dockerfile, most_dockerfile)) {
        docker["baseDockerfile"] = *text;
    } else {
        faults.push_back({"/environment/docker/baseDockerfile", text.error().detail()});
    }
}

void set_script(const DefinitionFlags& flags, Json& definition) {
    std::vector<std::string> arguments = flags.script;
    if (!arguments.empty()) {
        if (arguments.front().empty() || arguments.front().front() != '-') {
            definition["script"] = arguments.front();
            definition.erase("command");
            arguments.erase(arguments.begin());
        }
        definition["arguments"] = arguments;
    }
    // "./train.py" is train.py
    if (definition.contains("script") && definition["script"].is_string()) {
        const auto script = definition["script"].get<std::string>();
        definition["script"] = fs::path(script).lexically_normal().generic_string();
    }
}

void set_processes(const DefinitionFlags& flags, Json& definition) {
    if (flags.workers) {
        object_at(definition, "tensorflow")["workerCount"] = *flags.workers;
    }
    if (flags.parameter_servers) {
        object_at(definition, "tensorflow")["parameterServerCount"] = *flags.parameter_servers;
    }
    if (!flags.processes_per_node) {
        return;
    }
    object_at(definition, "mpi")["processCountPerNode"] = *flags.processes_per_node;
    if (definition.contains("framework") && definition["framework"] == "PyTorch") {
        // there it is the total
        const auto nodes = definition.contains("nodeCount") && definition["nodeCount"].is_number_integer()
                               ? definition["nodeCount"].get<std::int64_t>()
                               : 1;
        object_at(definition, "pytorch")["processCount"] = nodes * *flags.processes_per_node;
    }
}

} // namespace

Result<Json> build_definition(const DefinitionFlags& flags, Json base) {
    Json definition = base.is_object() ? std::move(base) : Json::object();
    std::vector<Fault> faults;
    set_script(flags, definition);
    if (!flags.target.empty()) {
        definition["target"] = flags.target;
    }
    if (flags.nodes) {
        definition["nodeCount"] = *flags.nodes;
    }
    if (!flags.backend.empty()) {
        set_backend(flags.backend, definition);
    }
    set_processes(flags, definition);
    add_packages(flags, definition);
    set_container(flags, definition, faults);
    if (flags.user_managed) {
        object_at(object_at(definition, "environment"), "python")["userManagedDependencies"] = true;
    }
    add_data(flags, definition, faults);
    add_environment(flags, definition, faults);
    if (flags.max_duration) {
        definition["maxRunDurationSeconds"] = *flags.max_duration;
    }
    if (flags.priority) {
        definition["priority"] = *flags.priority;
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return definition;
}

Result<fs::path> find_job_file(const std::string& name, const fs::path& folder) {
    std::string looked;
    for (const fs::path& place : {fs::path(name), folder / name, folder / ".azureml" / name}) {
        for (const fs::path& file : {place, fs::path(place.string() + ".runconfig")}) {
            std::error_code error;
            if (fs::is_regular_file(file, error)) {
                return file;
            }
        }
        looked += (looked.empty() ? "'" : ", '") + place.string() + "'";
    }
    return Error(Errc::invalid_argument, "there is no job file '" + name + "'; looked for " + looked);
}

Result<Json> load_job_file(const fs::path& file, const fs::path& folder) {
    const auto text = read_file(file, std::size_t{4} << 20U);
    if (!text) {
        return Error(Errc::invalid_argument, text.error().detail());
    }
    const auto conda_file = [&](const std::string& path) -> Result<std::string> {
        for (const fs::path& place : {folder / path, file.parent_path() / path, folder / ".azureml" / path}) {
            auto conda = read_file(place, std::size_t{4} << 20U);
            if (conda || conda.error().code() != Errc::not_found) {
                return conda;
            }
        }
        return Error({Fault{"/environment/python/condaDependenciesFile",
                            "there is no '" + path + "' in the source folder or beside the job file"}});
    };
    auto document = proto::read_job_file(*text, conda_file);
    if (!document) {
        const Error& error = document.error();
        if (!error.faults().empty()) {
            return error;
        }
        return Error(Errc::invalid_argument, "job file '" + file.string() + "': " + error.detail());
    }
    if (!document->is_object()) {
        return Error(Errc::invalid_argument, "job file '" + file.string() + "' is not a run configuration");
    }
    return document;
}

} // namespace linarite::cli
