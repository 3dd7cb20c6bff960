#include "cli/context.hpp"

#include "cli/report.hpp"
#include "proto/json_reader.hpp"

namespace linarite::cli {

void CommandContext::print_json(const Json& document) {
    write_out(proto::print_json_pretty(document) + "\n");
}

void CommandContext::notice(std::string_view text) const {
    write_err(terminal.err(Style::dim, printable(text)) + "\n");
}

int report(const GlobalOptions& options, const Error& error) {
    write_err(describe_error(error, Terminal::detect(options.no_color)));
    return exit_code_of(error);
}

int run_command(const GlobalOptions& options, const Command& command) {
    const auto connection = connect(options);
    if (!connection) {
        return report(options, connection.error());
    }
    CommandContext context{options, **connection, Terminal::detect(options.no_color)};
    const Result<int> code = command(context);
    return code ? *code : report(options, code.error());
}

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description,
                      const std::string& footer) {
    CLI::App* command = app.add_subcommand(name, description);
    command->footer(footer);
    return *command;
}

} // namespace linarite::cli
