// cli/environments.hpp: the subcommands of `env` about environments that this machine keeps.
#pragma once

#include "cli/families.hpp"
#include "common/clock.hpp"
#include "common/error.hpp"

#include <string>

namespace linarite::cli {

/// Adds `list` and `prune` to `env`, which without either prints the SDK's variables.
void add_environment_commands(CLI::App& env, GlobalOptions& options, Chosen& chosen);

/// "30d", "12h", "5m", "0s".
Result<Millis> parse_age(const std::string& text);

} // namespace linarite::cli
