#include "programs/run_options.hpp"

#include "proto/container_arguments.hpp"

namespace linarite::programs {

namespace {

agent::EnvironmentSettings package_settings(const RunOptions& options) {
    agent::EnvironmentSettings settings;
    settings.policy = options.packages == "pip"     ? agent::PackagePolicy::pip
                      : options.packages == "conda" ? agent::PackagePolicy::conda
                                                    : agent::PackagePolicy::automatic;
    settings.conda = options.conda;
    settings.find_links = options.find_links;
    settings.offline = options.offline;
    settings.strict_python = options.strict_python;
    settings.build_limit = std::chrono::seconds(options.build_limit);
    return settings;
}

/// The same, and 0 is no limit.
Result<std::uint64_t> read_limit(const std::string& option, const std::string& text) {
    return proto::parse_byte_size(text) == std::uint64_t{0} ? Result<std::uint64_t>(std::uint64_t{0})
                                                            : read_size(option, text);
}

Result<void> read_environment_limits(const RunOptions& options, agent::Options& out) {
    const auto most = read_limit("--env-cache-size", options.env_cache_size);
    if (!most) {
        return most.error();
    }
    const auto least = read_limit("--env-min-free", options.env_min_free);
    if (!least) {
        return least.error();
    }
    out.packages.limits = {*most, *least};
    return {};
}

void add_package_options(CLI::App* command, RunOptions& options) {
    command
        ->add_option("--packages", options.packages,
                     "Who makes environments: auto takes conda where a conda tool is (or a run names a channel of its "
                     "own), else the package index; pip and conda are those alone")
        ->check(CLI::IsMember({"auto", "pip", "conda"}))
        ->capture_default_str();
    command
        ->add_option("--conda", options.conda,
                     "The conda tool: micromamba, mamba, conda, a path of one, or rattler, which agents install for "
                     "themselves (default: the first that is on the agent's PATH)")
        ->type_name("TOOL");
    command
        ->add_option("--find-links", options.find_links,
                     "Folder or page with wheels that are taken besides the package index; may be given more than once")
        ->type_name("PLACE");
    command->add_flag("--offline", options.offline,
                      "Ask nothing of package indexes and channels: use what is on the node alone");
    command->add_flag("--strict-python", options.strict_python,
                      "Refuse runs whose Python can't be had, instead of taking the nearest with a warning");
    command->add_option("--env-build-limit", options.build_limit, "Seconds that an environment may take to build")
        ->check(CLI::Range(1, 7 * 24 * 3600))
        ->capture_default_str();
}

} // namespace

void add_run_options(CLI::App* command, RunOptions& options) {
    command
        ->add_option(
            "--image-map", options.image_map,
            "Runs that ask for an image like PATTERN get IMAGE, with 'rootfs:/PATH' a root filesystem (a folder or "
            "a tar), or with 'none' the node itself without a container; may be given more than once, the first that "
            "matches counts")
        ->type_name("PATTERN=IMAGE");
    command->add_option("--container-memory", options.container_memory, "Memory of a run's container, such as 8g")
        ->type_name("SIZE");
    command->add_option("--container-cpus", options.container_cpus, "Processors of a run's container")
        ->check(CLI::Range(0.01, 100'000.0));
    command
        ->add_option("--max-log-size", options.max_log_size,
                     "Longest log of a run that is kept whole; of a longer one the beginning and the end are")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option("--env-cache-size", options.env_cache_size,
                     "What kept environments may take on the disk; over it, idle ones are removed, the one first that "
                     "was not used for the longest time; 0 is no limit")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option("--env-min-free", options.env_min_free,
                     "What is to be free on their file system; below it, idle environments are removed, too; 0 is no "
                     "limit")
        ->type_name("SIZE")
        ->capture_default_str();
    add_package_options(command, options);
    command
        ->add_option("--user-namespaces", options.user_namespaces,
                     "Agents that are not root run what has an environment or mounted data in a user namespace where "
                     "they can: what the run installs is its own, and the data is read-only. off is for scripts that "
                     "need sudo")
        ->check(CLI::IsMember({"auto", "off"}))
        ->capture_default_str();
}

Result<std::uint64_t> read_size(const std::string& option, const std::string& text) {
    const auto bytes = proto::parse_byte_size(text);
    if (!bytes || *bytes == 0) {
        return Error(Errc::invalid_argument,
                     option + " '" + text + "' is no size: a number with b, k, m or g after it");
    }
    return *bytes;
}

Result<agent::Options> read_run_options(const RunOptions& options) {
    agent::Options out;
    out.packages = package_settings(options);
    for (const std::string& text : options.image_map) {
        auto rule = agent::parse_image_rule(text);
        if (!rule) {
            return rule.error().within("--image-map");
        }
        out.images.push_back(std::move(*rule));
    }
    if (!options.container_memory.empty()) {
        const auto bytes = read_size("--container-memory", options.container_memory);
        if (!bytes) {
            return bytes.error();
        }
        out.container_memory = *bytes;
    }
    const auto log_size = read_size("--max-log-size", options.max_log_size);
    if (!log_size) {
        return log_size.error();
    }
    out.max_log_size = *log_size;
    out.container_cpus = options.container_cpus;
    out.user_namespaces = options.user_namespaces == "auto";
    if (auto read = read_environment_limits(options, out); !read) {
        return read.error();
    }
    return out;
}

std::vector<std::string> run_arguments(const RunOptions& options) {
    std::vector<std::string> out;
    for (const std::string& rule : options.image_map) {
        out.insert(out.end(), {"--image-map", rule});
    }
    if (!options.container_memory.empty()) {
        out.insert(out.end(), {"--container-memory", options.container_memory});
    }
    if (options.container_cpus > 0) {
        out.insert(out.end(), {"--container-cpus", std::to_string(options.container_cpus)});
    }
    out.insert(out.end(), {"--max-log-size", options.max_log_size, "--packages", options.packages, "--env-build-limit",
                           std::to_string(options.build_limit), "--user-namespaces", options.user_namespaces});
    out.insert(out.end(), {"--env-cache-size", options.env_cache_size, "--env-min-free", options.env_min_free});
    if (!options.conda.empty()) {
        out.insert(out.end(), {"--conda", options.conda});
    }
    for (const std::string& place : options.find_links) {
        out.insert(out.end(), {"--find-links", place});
    }
    if (options.offline) {
        out.emplace_back("--offline");
    }
    if (options.strict_python) {
        out.emplace_back("--strict-python");
    }
    return out;
}

} // namespace linarite::programs
