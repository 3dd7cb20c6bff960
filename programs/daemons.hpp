// programs/daemons.hpp: the commands that stay: up, coordinator, agent.
#pragma once

#include "cli/commands.hpp"

#include <CLI/CLI.hpp>

#include <functional>

namespace linarite::programs {

/// Adds `up`, `coordinator` and `agent`; the chosen one is left in `chosen` after parsing. Exit codes: 0 stopped on
/// request, 1 could not start or broke, 2 usage.
void add_daemon_commands(CLI::App& app, cli::GlobalOptions& options, std::function<int()>& chosen);

} // namespace linarite::programs
