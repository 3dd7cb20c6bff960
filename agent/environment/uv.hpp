// agent/environment/uv.hpp: the installer: where it is, how it is called, what its output means.
#pragma once

#include "agent/environment/process.hpp"
#include "agent/environment/provider.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// The path of uv: as configured, on PATH, or made once in the tools folder by an interpreter's own pip (logged). Else
/// unavailable, with what to do about it.
asio::awaitable<Result<fs::path>> provide_uv(Node& node, LogSink log, CancelToken cancel);

/// What uv reads from its environment so that it uses the package index that pip is configured for. `own` is our
/// environment, `pip_config` the lines of `pip config list`. What is set for uv already wins.
std::map<std::string, std::string> index_variables(const std::map<std::string, std::string>& own,
                                                   const std::vector<std::string>& pip_config);

/// The part of its output that says what went wrong, at most 2 KiB.
std::string failure_words(const std::vector<std::string>& output);
/// Whether it failed because the index could not be reached.
bool is_network_failure(std::string_view words);

} // namespace linarite::agent
