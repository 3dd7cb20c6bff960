// programs/run_options.hpp: what `up` and `agent` take alike: how an agent's runs get their environments and limits.
#pragma once

#include "agent/app.hpp"
#include "common/error.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::programs {

/// As they are given; read_run_options() checks them.
struct RunOptions {
    std::vector<std::string> image_map;
    std::string container_memory;
    double container_cpus = 0;
    std::string max_log_size = "10g";
    std::string env_cache_size = "50g";
    std::string env_min_free = "2g";
    std::string packages = "auto";
    std::string conda;
    std::vector<std::string> find_links;
    bool offline = false;
    bool strict_python = false;
    int build_limit = 1800; // seconds
    std::string user_namespaces = "auto";
};

void add_run_options(CLI::App* command, RunOptions& options);

/// invalid_argument names the option.
Result<agent::Options> read_run_options(const RunOptions& options);

/// The same options for the command line of an agent.
std::vector<std::string> run_arguments(const RunOptions& options);

/// "8g" in bytes; 0 is no size. `option` is for the error.
Result<std::uint64_t> read_size(const std::string& option, const std::string& text);

} // namespace linarite::programs
