// cli/commands.hpp: the commands that talk to a coordinator, and how a command line becomes one of them.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace linarite::cli {

/// What every command takes. Nothing is looked up before a command runs.
struct GlobalOptions {
    std::string data_dir;         // --data-dir; "" is LINARITE_DATA_DIR, then the default
    std::string url;              // --url; "" is LINARITE_URL, then the data directory's endpoint.json
    std::string output = "table"; // -o json|table
    bool no_color = false;
    std::string version; // of this program; set by whoever owns it
    /// What stood behind the first "--" of the command line; a command that wants it takes it away.
    std::vector<std::string> after_dashes;

    [[nodiscard]] bool json() const { return output == "json"; }
};

/// Adds the options above to one command, so that they may stand behind its name.
void add_global_options(CLI::App& command, GlobalOptions& options);

/// Adds all client commands to the app, and the global options to the app itself. Parsing puts the chosen command into
/// `chosen`; it gives the exit code (see exit_codes.hpp). `options` and `chosen` must outlive the app.
void add_client_commands(CLI::App& app, GlobalOptions& options, std::function<int()>& chosen);

/// Parses (the program's name is not among the arguments) and runs what was chosen. Help is printed and gives 0, a
/// command line that is not understood is explained on stderr and gives 2. An app must be parsed by this function if it
/// has client commands: it takes "--" and what follows out of CLI11's sight.
int parse_and_run(CLI::App& app, GlobalOptions& options, std::vector<std::string> arguments,
                  const std::function<int()>& chosen);

} // namespace linarite::cli
