// environment, docker and environmentVariables of a run definition.
#include "common/files.hpp"
#include "common/ids.hpp"
#include "fmt/core.h"
#include "proto/container_arguments.hpp"
#include "proto/definition_parts.hpp"
#include "proto/registry.hpp"

#include <boost/algorithm/string/predicate.hpp>

#include <algorithm>
#include <cctype>
#include <utility>

namespace linarite::proto {

namespace {

std::string trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto begin = text.find_first_not_of(blanks);
    return begin == std::string_view::npos ? std::string()
                                           : std::string(text.substr(begin, text.find_last_not_of(blanks) - begin + 1));
}

/// The package's name in a conda spec or a pip requirement, in lower case: "python" of "conda-forge::Python>=3.8".
/// What follows it goes to `rest`.
std::string package_name(std::string_view spec, std::string& rest) {
    if (const auto channel = spec.find("::"); channel != std::string_view::npos) {
        spec.remove_prefix(channel + 2);
    }
    std::size_t end = 0;
    std::string name;
    for (; end < spec.size(); ++end) {
        const auto c = static_cast<unsigned char>(spec[end]);
        if (std::isalnum(c) == 0 && c != '_' && c != '-' && c != '.') {
            break;
        }
        name += static_cast<char>(std::tolower(c));
    }
    rest = trimmed(spec.substr(end));
    return name;
}

/// "3.8.13" of "=3.8.13" or "==3.8.13"; ">=3.8" stays.
std::string version_text(const std::string& constraint) {
    const auto begin = constraint.find_first_not_of('=');
    return begin == std::string::npos ? std::string() : trimmed(std::string_view(constraint).substr(begin));
}

void add_conda_package(JsonReader& in, std::size_t index, const std::string& written, PythonEnvironment& python) {
    const std::string spec = trimmed(written);
    std::string rest;
    const std::string name = package_name(spec, rest);
    if (name.empty()) {
        in.fault("dependencies", index, fmt::format("'{}' names no package", written));
    } else if (name == "python") {
        const std::string version = version_text(rest);
        if (!python.python_version.empty() && python.python_version != version) {
            in.fault("dependencies", index,
                     fmt::format("python is asked for twice: '{}' and '{}'", python.python_version, version));
        }
        python.python_version = version;
    } else if (name != "pip") { // pip comes with every environment
        python.conda_packages.push_back(spec);
    }
}

/// The {"pip": [...]} entry of a dependencies list.
void add_pip_packages(JsonReader& in, std::size_t index, const Json& entry, PythonEnvironment& python) {
    const auto pip = entry.find("pip");
    if (entry.size() != 1 || pip == entry.end() || !(pip->is_array() || pip->is_null())) {
        in.fault("dependencies", index, "must be a package, or {\"pip\": [packages]}");
        return;
    }
    for (const Json& package : *pip) {
        const std::string requirement = package.is_string() ? trimmed(package.get<std::string>()) : std::string();
        if (requirement.empty()) {
            in.fault("dependencies", index, "the list below 'pip' must hold requirements such as \"numpy==1.26\"");
            return;
        }
        python.pip_packages.push_back(requirement);
    }
}

void read_conda(JsonReader conda, PythonEnvironment& python) {
    python.channels = conda.texts("channels");
    const Json& dependencies = conda.raw("dependencies");
    if (!dependencies.is_array()) {
        if (!dependencies.is_null()) {
            conda.fault("dependencies", "must be a list of packages");
        }
        return;
    }
    for (std::size_t i = 0; i < dependencies.size(); ++i) {
        const Json& entry = dependencies[i];
        if (entry.is_string()) {
            add_conda_package(conda, i, entry.get<std::string>(), python);
        } else if (entry.is_object()) {
            add_pip_packages(conda, i, entry, python);
        } else {
            conda.fault("dependencies", i, "must be a package, or {\"pip\": [packages]}");
        }
    }
}

/// The SDK puts azureml-defaults into every environment, asked or not.
bool is_sdk_default(const std::string& requirement) {
    std::string rest;
    return package_name(requirement, rest) == "azureml-defaults";
}

void read_python(JsonReader in, PythonEnvironment& python) {
    python.user_managed = in.boolean("userManagedDependencies", false);
    if (std::string path = in.text("interpreterPath"); !path.empty()) {
        python.interpreter_path = std::move(path);
    }
    read_conda(in.object("condaDependencies"), python);
    // A configuration that the SDK has loaded from a file names that file beside its content: the content counts.
    const bool has_file = !in.text("condaDependenciesFile").empty();
    if (has_file && !in.has("condaDependencies") && !python.user_managed) {
        in.fault("condaDependenciesFile", "the file itself does not come along with a run definition: its content "
                                          "belongs into condaDependencies");
    }
    if (!python.user_managed) {
        return;
    }
    const bool only_defaults = python.conda_packages.empty() &&
                               std::all_of(python.pip_packages.begin(), python.pip_packages.end(), is_sdk_default);
    if (!only_defaults) {
        in.fault("userManagedDependencies", "If user_managed is True, then conda_packages, conda_dependencies_file, "
                                            "pip_packages or pip_requirements_file cannot be specified.");
    }
    // The defaults stay on the wire of a user-managed environment; nothing is built of them.
    python.channels.clear();
    python.pip_packages.clear();
    python.python_version.clear();
}

std::string read_shm_size(JsonReader& in) {
    std::string size = in.text("shmSize");
    if (!size.empty() && !parse_byte_size(size)) {
        in.fault("shmSize", fmt::format("'{}' is no size: a number with b, k, m or g after it", size));
    }
    return size;
}

/// v1's SDK has them in both sections, and sends the same in both.
std::vector<std::string> read_arguments(JsonReader& outer, JsonReader& inner) {
    std::vector<std::string> words = outer.texts("arguments");
    JsonReader& from = words.empty() ? inner : outer;
    if (words.empty()) {
        words = inner.texts("arguments");
    }
    if (const auto parsed = parse_container_arguments(words); !parsed) {
        from.fault("arguments", parsed.error().detail());
    }
    return words;
}

void read_registry(JsonReader in, ContainerSettings& container) {
    container.registry_address = clean_registry_address(in.text("address"));
    container.registry_user = in.text("username");
    const std::string password = in.text("password");
    if (container.registry_user.empty() && !password.empty()) {
        in.fault("username", "is missing: a password without a user name opens no registry");
    }
    JsonReader identity = in.object("registryIdentity");
    if (identity.has("resourceId") || identity.has("clientId")) {
        in.fault("registryIdentity", "there are no managed identities here: give the registry's username and password");
    }
}

/// "azureml/DockerBuildContext/5d41": the datastore's name, and where on it.
void read_datastore_folder(JsonReader& in, const std::string& location, BuildContext& context) {
    const std::size_t slash = std::min(location.find('/'), location.size());
    std::string path = location.substr(std::min(slash + 1, location.size()));
    while (path.ends_with('/')) {
        path.pop_back();
    }
    const auto name = parse_name(location.substr(0, slash), "datastore");
    const auto checked = path.empty() ? Result<std::string>(path) : parse_relative_path(path, "path on the datastore");
    if (!name || !checked) {
        in.fault("location", (name ? checked.error() : name.error()).detail());
        return;
    }
    context.datastore = *name;
    context.path = *checked;
}

std::optional<BuildContext> read_build_context(JsonReader in) {
    const std::string location = in.text("location");
    const std::string type = in.text("locationType");
    if (location.empty()) {
        return std::nullopt;
    }
    BuildContext context;
    if (const std::string file = in.text("dockerfilePath"); !file.empty()) {
        const auto checked = parse_relative_path(file, "dockerfile");
        if (!checked) {
            in.fault("dockerfilePath", checked.error().detail());
        }
        context.dockerfile = file;
    }
    if (type == "datastore") {
        read_datastore_folder(in, location, context);
    } else if (boost::algorithm::iequals(type, "storageAccount")) {
        context.url = location;
    } else {
        in.fault("locationType", fmt::format("images are not built from '{}' here: give a folder of files "
                                             "(DockerBuildContext.from_local_directory)",
                                             type));
    }
    return context;
}

void read_container(JsonReader& in, JsonReader& environment, ContainerSettings& container) {
    JsonReader outer = in.object("docker");
    JsonReader inner = environment.object("docker");
    container.base_image = inner.text("baseImage");
    container.base_dockerfile = inner.text("baseDockerfile");
    read_registry(inner.object("baseImageRegistry"), container);
    container.shm_size = read_shm_size(inner);
    if (std::string size = read_shm_size(outer); !size.empty()) {
        container.shm_size = std::move(size);
    }
    container.arguments = read_arguments(outer, inner);
    const bool has_base = !container.base_image.empty() || !container.base_dockerfile.empty();
    const bool has_image = has_base || inner.object("buildContext").has("location");
    if (!outer.has("useDocker") && !inner.has("enabled")) {
        container.use_docker = has_image; // written by hand: who names an image wants it
    } else {
        container.use_docker = outer.boolean("useDocker", false) || inner.boolean("enabled", false);
    }
    if (container.use_docker) {
        container.build_context = read_build_context(inner.object("buildContext"));
        if (has_base && container.build_context) {
            inner.fault("buildContext", "is one way to an image, baseImage and baseDockerfile are others: give one");
        }
    }
    // The SDK itself sends an image together with useDocker false (every Environment has one), and always sends
    // `enabled` then: only where that is missing did a person write the contradiction.
    if (has_image && !container.use_docker && !inner.has("enabled")) {
        outer.fault("useDocker", "If use_docker parameter is set to false, custom_docker_image or "
                                 "custom_docker_base_image parameter is not allowed");
    }
}

/// Later calls win over earlier ones.
void read_variables(JsonReader& in, std::map<std::string, std::string>& variables) {
    in.members("environmentVariables", [&](const std::string& name, const Json& value) {
        JsonReader section = in.object("environmentVariables");
        const auto text = python_text(value);
        if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
            section.fault(name, "is no name for an environment variable");
        } else if (!text && !value.is_null()) {
            section.fault(name, "must be a string, a number or a boolean");
        } else if (text && text->find('\0') != std::string::npos) {
            section.fault(name, "holds a NUL character, which no program can be given");
        } else if (text) {
            variables[name] = *text;
        }
    });
}

} // namespace

void read_environment(JsonReader& in, RunDefinition& definition) {
    JsonReader environment = in.object("environment");
    definition.environment_name = environment.text("name");
    read_python(environment.object("python"), definition.python);
    read_container(in, environment, definition.container);
    read_variables(environment, definition.environment_variables);
    read_variables(in, definition.environment_variables);
}

} // namespace linarite::proto
