// agent/environment/conda.hpp: conda's tools: which one this node has, how it is called, what its output means.
#pragma once

#include "agent/environment/provider.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// A program that makes conda environments.
struct CondaTool {
    std::string name; // "micromamba", "mamba", "conda" or "rattler"
    fs::path program; // of rattler: the interpreter that has it; "" if it is still to be installed
    bool operator==(const CondaTool&) const = default;
};

/// The one that `configured` names (EnvironmentSettings::conda), else the first on PATH. nullopt if there is none;
/// rattler alone is never chosen by itself. not_found: the configured one is not there.
Result<std::optional<CondaTool>> find_conda_tool(const std::string& configured);

/// Rattler in a private environment of the tools folder, installed by uv if it isn't there (logged). unavailable: it
/// can't be had now, with what to do.
asio::awaitable<Result<CondaTool>> provide_rattler(Node& node, LogSink log, CancelToken cancel);

/// Words of a failed conda, mamba or micromamba without its progress, at most 2 KiB.
std::string conda_failure_words(const std::vector<std::string>& output);
/// Whether no set of packages satisfies what was asked for.
bool is_unsatisfiable(std::string_view words);

/// "name version build sha256:..." of what is in a conda environment, sorted by name; from conda-meta.
Result<std::vector<std::string>> read_conda_lock(const fs::path& prefix);

} // namespace linarite::agent
