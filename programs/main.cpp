// programs/main.cpp: the one executable. Parses the command line and wires programs to it; no logic.
#include "cli/commands.hpp"
#include "programs/daemons.hpp"

#include <CLI/CLI.hpp>

#include <functional>

int main(int argc, char** argv) {
    CLI::App app{"Runs Azure ML v1 estimator jobs on your own machines."};
    app.require_subcommand(1);
    linarite::cli::GlobalOptions options;
    options.version = LINARITE_VERSION;
    std::function<int()> chosen;
    linarite::programs::add_daemon_commands(app, options, chosen);
    linarite::cli::add_client_commands(app, options, chosen);
    return linarite::cli::parse_and_run(app, options, {argv + 1, argv + argc}, chosen);
}
