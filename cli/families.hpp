// cli/families.hpp: each adds its commands to the app; commands.cpp puts them together.
#pragma once

#include "cli/context.hpp"

namespace linarite::cli {

/// Where a parsed command goes.
using Chosen = std::function<int()>;

void add_submit_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_runs_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_show_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen); // show, explain, cancel
void add_logs_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_metrics_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_download_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_nodes_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_datastore_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_workspace_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_sdk_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen); // env, run
void add_init_command(CLI::App& app, GlobalOptions& options, Chosen& chosen);
void add_system_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen); // backup, version

} // namespace linarite::cli
