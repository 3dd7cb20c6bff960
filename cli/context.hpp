// cli/context.hpp: what a command gets when it runs, and the frame around all of them.
#pragma once

#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/exit_codes.hpp"
#include "cli/terminal.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace linarite::cli {

/// References: a context lives as long as its command runs.
struct CommandContext {
    const GlobalOptions& options;
    Connection& connection;
    Terminal terminal;

    /// The one JSON document of -o json.
    static void print_json(const Json& document);
    /// A line on stderr for people, dim.
    void notice(std::string_view text) const;
};

/// The exit code, or an error that is reported and decides the exit code.
using Command = std::function<Result<int>(CommandContext& context)>;

/// Finds the coordinator, runs the command, reports its error.
int run_command(const GlobalOptions& options, const Command& command);

/// The frame of a command that works without a coordinator too: reports an error and gives its exit code.
int report(const GlobalOptions& options, const Error& error);

/// Adds a subcommand with its examples below the help. The global options come last, from add_client_commands.
CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& footer);

} // namespace linarite::cli
