#include "cli/commands.hpp"

#include "cli/exit_codes.hpp"
#include "cli/families.hpp"

#include <algorithm>
#include <iostream>

namespace linarite::cli {
namespace {

constexpr const char* footer = R"(Each command says more: linarite COMMAND --help

Exit codes: 0 done, 1 failed, 2 wrong command line or input, 3 coordinator unreachable, 4 not found.
            submit --wait and --follow: the job's own. run: the command's own.
Environment: LINARITE_DATA_DIR, LINARITE_URL, LINARITE_TOKEN, NO_COLOR.)";

constexpr const char* runs_group = "Runs";
constexpr const char* sdk_group = "Azure ML's SDK";
constexpr const char* cluster_group = "Cluster";

// CLI11 says "The following argument was not expected: --x"; after it, where help is.
int explain_parse_error(const CLI::App& app, const CLI::ParseError& error) {
    std::string command = "linarite";
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) {
        at = at->get_subcommands().front();
        command += " " + at->get_name();
    }
    write_err("linarite: " + printable(error.what()) + "\n" + "See: " + command + " --help\n");
    return exit_usage;
}

} // namespace

void add_global_options(CLI::App& command, GlobalOptions& options) {
    constexpr const char* group = "Global options";
    command.set_help_flag("-h,--help", "Print this help")->group(group);
    command.add_option("--data-dir", options.data_dir, "the coordinator's data directory [LINARITE_DATA_DIR]")
        ->type_name("DIR")
        ->group(group);
    command
        .add_option("--url", options.url, "the coordinator's address, with the token in LINARITE_TOKEN [LINARITE_URL]")
        ->type_name("URL")
        ->group(group);
    command.add_option("-o,--output", options.output, "json: one document on stdout, and nothing else there")
        ->check(CLI::IsMember({"json", "table"}).description(""))
        ->type_name("json|table")
        ->group(group);
    command.add_flag("--no-color", options.no_color, "no colours on a terminal")->group(group);
}

void add_client_commands(CLI::App& app, GlobalOptions& options, std::function<int()>& chosen) {
    add_global_options(app, options);
    app.footer(footer);
    app.require_subcommand(1);
    add_submit_command(app, options, chosen);
    add_runs_command(app, options, chosen);
    add_show_commands(app, options, chosen);
    add_logs_command(app, options, chosen);
    add_metrics_command(app, options, chosen);
    add_download_command(app, options, chosen);
    const auto add_global = [&](CLI::App* command) {
        add_global_options(*command, options);
        for (CLI::App* inner : command->get_subcommands([](const CLI::App*) { return true; })) {
            add_global_options(*inner, options);
        }
    };
    for (const char* name : {"submit", "runs", "show", "explain", "cancel", "logs", "metrics", "download"}) {
        add_global(app.get_subcommand(name)->group(runs_group));
    }
    add_init_command(app, options, chosen);
    add_sdk_commands(app, options, chosen);
    for (const char* name : {"init", "run", "env"}) {
        add_global(app.get_subcommand(name)->group(sdk_group));
    }
    add_datastore_command(app, options, chosen);
    add_workspace_command(app, options, chosen);
    add_nodes_command(app, options, chosen);
    add_system_commands(app, options, chosen);
    for (const char* name : {"datastore", "workspace", "nodes", "backup", "version"}) {
        add_global(app.get_subcommand(name)->group(cluster_group));
    }
}

int parse_and_run(CLI::App& app, GlobalOptions& options, std::vector<std::string> arguments,
                  const std::function<int()>& chosen) {
    const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
    if (dashes != arguments.end()) {
        options.after_dashes.assign(dashes + 1, arguments.end());
        arguments.erase(dashes, arguments.end());
    }
    std::reverse(arguments.begin(), arguments.end()); // CLI11 takes them from the back
    try {
        app.parse(std::move(arguments));
    } catch (const CLI::Success& asked) {
        return app.exit(asked, std::cout, std::cerr) == 0 ? exit_ok : exit_failure;
    } catch (const CLI::ParseError& error) {
        return explain_parse_error(app, error);
    }
    if (!options.after_dashes.empty()) {
        write_err("linarite: nothing is expected behind '--' here: '" + printable(options.after_dashes.front()) +
                  "'\n");
        return exit_usage;
    }
    return chosen ? chosen() : exit_usage;
}

} // namespace linarite::cli
