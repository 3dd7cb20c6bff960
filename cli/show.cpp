// `show`, `explain` and `cancel`: one run.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/outcome.hpp"
#include "cli/run_lookup.hpp"
#include "cli/run_table.hpp"

#include <fmt/core.h>

namespace linarite::cli {
namespace {

constexpr const char* show_footer = R"(RUN is a run id or a part of it that only one has.

Examples:
  linarite show mnist_1763930000_3f2a9c01
  linarite show 3f2a -o json)";
constexpr const char* explain_footer = R"(RUN is a run id or a part of it that only one has.

Example:
  linarite explain 3f2a)";
constexpr const char* cancel_footer =
    R"(RUN is a run id or a part of it that only one has. The script gets SIGTERM, and SIGKILL half a minute later.
Canceling a run that has ended changes nothing.

Example:
  linarite cancel 3f2a)";

struct RunArgument {
    std::string run;
};

std::string fact(const Terminal& terminal, const std::string& name, const std::string& value) {
    if (value.empty()) {
        return "";
    }
    return terminal.out(Style::dim, fmt::format("{:<12}", name)) + " " + printable(value) + "\n";
}

std::string moment(const Json& run, const char* key, Time now) {
    const std::string at = text(run, key);
    const auto time = parse_time(at);
    return time ? at + " (" + format_ago(*time, now) + ")" : at;
}

// "3f2a1b0c9d8e (pip, Python 3.11.2), same as run X (experiment E, 2026-11-23T20:15:03.123Z)".
std::string environment_of(const Json& run) {
    const Json& environment = member(run, "environment");
    if (!environment.is_object()) {
        return "";
    }
    const std::string key = text(environment, "key");
    const std::string python = text(environment, "python");
    const std::string image = text(environment, "image");
    const std::string interpreter = text(environment, "interpreter");
    if (key.empty()) {
        return "nothing was built: " + (python.empty() ? interpreter : "Python " + python + " at " + interpreter) +
               (image.empty() ? "" : " of image '" + image + "'");
    }
    std::string words = key.substr(0, 12) + " (" + text(environment, "provider") +
                        (python.empty() ? "" : ", Python " + python) +
                        (image.empty() ? "" : ", image '" + image + "'") + ")";
    const Json& same = member(run, "same_environment_as");
    if (same.is_object()) {
        words += ", same as run " + text(same, "run_id") + " (experiment " + text(same, "experiment") + ", " +
                 text(same, "created") + ")";
    }
    return words;
}

std::string render_facts(const Json& run, const Terminal& terminal, Time now) {
    const std::string status = text(run, "status");
    const Json& definition = member(run, "definition");
    const std::string communicator = text(definition, "communicator");
    std::string launch = format_count(static_cast<std::uint64_t>(number(run, "node_count")), "node") + " with ";
    if (communicator == "ParameterServer") {
        const Json& tasks = member(definition, "tensorflow");
        launch += format_count(static_cast<std::uint64_t>(number(tasks, "workerCount")), "worker") + " and " +
                  format_count(static_cast<std::uint64_t>(number(tasks, "parameterServerCount")), "parameter server") +
                  " in all";
    } else {
        launch += format_count(static_cast<std::uint64_t>(number(run, "processes_per_node")), "process");
    }
    launch += communicator.empty() || communicator == "None" ? "" : ", " + communicator;
    std::string arguments;
    for (const Json& argument : member(definition, "arguments")) {
        arguments += " " + (argument.is_string() ? argument.get<std::string>() : argument.dump());
    }
    std::string block =
        terminal.out(Style::bold, text(run, "run_id")) + "  " + terminal.out(style_of_status(status), status) + "\n\n";
    block += fact(terminal, "experiment", text(run, "experiment"));
    block += fact(terminal, "script", text(definition, "script") + arguments);
    block += fact(terminal, "target", text(run, "target"));
    block += fact(terminal, "launch", launch);
    block += fact(terminal, "nodes", join(texts(run, "nodes"), ", "));
    block += fact(terminal, "attempt", number(run, "attempt") > 1 ? std::to_string(number(run, "attempt")) : "");
    block += fact(terminal, "priority", number(run, "priority") != 0 ? std::to_string(number(run, "priority")) : "");
    block += fact(terminal, "submitted", moment(run, "created", now));
    block += fact(terminal, "by", text(run, "submitted_by"));
    block += fact(terminal, "started", moment(run, "started", now));
    block += fact(terminal, "ended", moment(run, "ended", now));
    block += fact(terminal, "duration", duration_of(run, now));
    block += fact(terminal, "snapshot", text(run, "snapshot"));
    block += fact(terminal, "environment", environment_of(run));
    block += fact(terminal, "reason", text(run, "reason"));
    for (const std::string& warning : texts(run, "warnings")) {
        block += fact(terminal, "warning", warning);
    }
    return block;
}

std::string render_events(const Json& events, const Terminal& terminal) {
    Table table({{"AT"}, {"STATUS"}, {"ATTEMPT", Table::Align::right}, {"REASON"}});
    for (const Json& event : events) {
        const std::string status = text(event, "status");
        table.add({{text(event, "at")},
                   {status, style_of_status(status)},
                   {std::to_string(number(event, "attempt"))},
                   {text(event, "reason")}});
    }
    return table.render(terminal);
}

std::string render_files(const Json& files, const Terminal& terminal) {
    Table table({{"SIZE", Table::Align::right}, {"FILE"}});
    for (const Json& file : files) {
        table.add({{format_bytes(static_cast<std::uint64_t>(number(file, "size")))}, {text(file, "path")}});
    }
    return table.render(terminal);
}

Result<int> show(CommandContext& context, const RunArgument& given) {
    const auto found = find_run(context.connection, given.run);
    if (!found) {
        return found.error();
    }
    // who was found by a part of its id is as it is in lists
    const auto run = found->contains("same_environment_as") ? found : context.connection.get(run_target(*found, ""));
    if (!run) {
        return run.error();
    }
    const auto events = context.connection.get(run_target(*run, "/events"));
    const auto files = context.connection.get(run_target(*run, "/files"));
    if (!events || !files) {
        return events ? files.error() : events.error();
    }
    const Json& event_list = member(*events, "events");
    const Json& file_list = member(*files, "files");
    if (context.options.json()) {
        CommandContext::print_json(Json{{"run", *run}, {"events", event_list}, {"files", file_list}});
        return exit_ok;
    }
    const Terminal& terminal = context.terminal;
    std::string page = render_facts(*run, terminal, SystemClock().now());
    const std::string status = text(*run, "status");
    if (status == "Failed" || status == "Canceled") {
        // the words are the same as when one waits for a run; only the colours are stdout's here
        page += "\n" + describe_failure(*run, Terminal());
    }
    page += "\n" + render_events(event_list, terminal);
    if (!file_list.empty()) {
        page += "\n" + render_files(file_list, terminal);
    }
    write_out(page);
    return exit_ok;
}

Result<int> explain(CommandContext& context, const RunArgument& given) {
    const auto run = find_run(context.connection, given.run);
    if (!run) {
        return run.error();
    }
    const auto answer = context.connection.get(run_target(*run, "/explain"));
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    const std::string status = text(*answer, "status");
    write_out(printable(text(*answer, "run_id")) + "  " + context.terminal.out(style_of_status(status), status) + "\n");
    for (const std::string& line : texts(*answer, "lines")) {
        write_out(line.empty() ? "" : "  " + printable(line) + "\n");
    }
    return exit_ok;
}

Result<int> cancel(CommandContext& context, const RunArgument& given) {
    const auto run = find_run(context.connection, given.run);
    if (!run) {
        return run.error();
    }
    const auto answer = context.connection.call("POST", run_target(*run, "/cancel"), Json::object());
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
    } else {
        write_out(text(*answer, "run_id") + "  " + text(*answer, "status") + "\n");
    }
    return exit_ok;
}

void add_one(CLI::App& command, GlobalOptions& options, Chosen& chosen,
             Result<int> (*body)(CommandContext&, const RunArgument&)) {
    const auto given = std::make_shared<RunArgument>();
    command.add_option("RUN", given->run, "run id, or a part of one")->required()->type_name("");
    command.callback([&options, &chosen, given, body] {
        chosen = [&options, given, body] {
            return run_command(options, [given, body](CommandContext& context) { return body(context, *given); });
        };
    });
}

} // namespace

void add_show_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    add_one(add_command(app, "show", "All about one run: facts, events, files\n  linarite show 3f2a", show_footer),
            options, chosen, show);
    add_one(add_command(app, "explain", "Why a run is where it is, in words\n  linarite explain 3f2a", explain_footer),
            options, chosen, explain);
    add_one(add_command(app, "cancel", "End a run\n  linarite cancel 3f2a", cancel_footer), options, chosen, cancel);
}

} // namespace linarite::cli
