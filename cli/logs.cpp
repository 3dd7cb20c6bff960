// `logs`: what a run's processes print.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/log_printer.hpp"
#include "cli/run_lookup.hpp"
#include "cli/submit.hpp"
#include "client/http_client.hpp"
#include "proto/process_layout.hpp"

#include <algorithm>

namespace linarite::cli {
namespace {

constexpr const char* footer =
    R"(Prints the script's output. A single log comes out byte by byte as it was written; with several
processes each line gets its rank in front, as "[3]" or "[worker_0]". With parameter servers the workers
are the first ranks, and the servers come after them. Other logs (linarite show RUN lists them) are printed by --name.
With -f the exit code is that of `linarite submit --follow`: the job's own.

Examples:
  linarite logs 3f2a
  linarite logs -f 3f2a --rank 2
  linarite logs 3f2a --name azureml-logs/20_image_build_log.txt)";

struct LogsOptions {
    std::string run;
    bool follow = false;
    std::optional<int> rank;
    std::string name;
};

Result<void> print_log(CommandContext& context, const Json& run, const std::string& name, LogPrinter& printer) {
    const auto sink = [&](std::string_view piece) {
        printer.print(name, piece);
        return Result<void>();
    };
    return context.connection.download(run_target(run, "/files/" + client::encode_path(name)), sink);
}

Result<std::vector<std::string>> list_logs(CommandContext& context, const Json& run) {
    const auto files = context.connection.get(run_target(run, "/files?prefix=azureml-logs/"));
    if (!files) {
        return files.error();
    }
    std::vector<std::string> names;
    for (const Json& file : member(*files, "files")) {
        names.push_back(text(file, "path"));
    }
    std::sort(names.begin(), names.end(), before_in_order);
    return names;
}

void say_nothing_yet(CommandContext& context, const Json& run, const std::vector<std::string>& logs) {
    const std::string reason = text(run, "reason");
    context.notice("the script has printed nothing yet: the run is " + text(run, "status") +
                   (reason.empty() ? "" : " (" + reason + ")"));
    if (!logs.empty()) {
        context.notice("logs that are there (--name): " + join(logs, ", "));
    }
}

// The logs that were asked for, and whether they are to be printed as they are.
struct Selection {
    std::vector<std::string> names;
    bool raw = false;
};

Result<std::string> rank_log(const Json& run, int rank) {
    const auto definition = proto::parse_run_definition(member(run, "definition"));
    if (!definition) {
        return definition.error().within("the definition of run '" + text(run, "run_id") + "'");
    }
    const auto layout = proto::process_layout(*definition);
    const auto processes = static_cast<int>(layout.size());
    if (rank < 0 || rank >= processes) {
        return Error(Errc::not_found, "run '" + text(run, "run_id") + "' has ranks 0 to " +
                                          std::to_string(processes - 1) + ", not " + std::to_string(rank));
    }
    return "azureml-logs/" +
           proto::driver_log_name(proto::file_word(layout[static_cast<std::size_t>(rank)], processes));
}

// `name` or the rank's log; "" for the driver logs.
Result<std::string> wanted_log(const LogsOptions& options, const Json& run) {
    if (!options.name.empty()) {
        return options.name;
    }
    return options.rank ? rank_log(run, *options.rank) : Result<std::string>(std::string());
}

Result<Selection> select_logs(CommandContext& context, const Json& run, const std::string& wanted, bool is_rank) {
    const auto logs = list_logs(context, run);
    if (!logs) {
        return logs.error();
    }
    Selection selection;
    if (!wanted.empty()) {
        if (is_rank && std::find(logs->begin(), logs->end(), wanted) == logs->end()) {
            say_nothing_yet(context, run, *logs);
            return selection;
        }
        return Selection{{wanted}, true};
    }
    std::copy_if(logs->begin(), logs->end(), std::back_inserter(selection.names),
                 [](const std::string& name) { return is_driver_log(name); });
    selection.raw = selection.names.size() == 1;
    if (selection.names.empty()) {
        say_nothing_yet(context, run, *logs);
    }
    return selection;
}

Result<int> print_json_logs(CommandContext& context, const Json& run, const Selection& selection) {
    Json logs = Json::array();
    for (const std::string& name : selection.names) {
        std::string bytes;
        LogPrinter collector(true, context.terminal, [&](std::string_view piece) { bytes += piece; });
        if (auto printed = print_log(context, run, name, collector); !printed) {
            return printed.error();
        }
        logs.push_back({{"name", name}, {"text", bytes}});
    }
    CommandContext::print_json(Json{{"run_id", text(run, "run_id")}, {"logs", std::move(logs)}});
    return exit_ok;
}

Result<int> logs(CommandContext& context, const LogsOptions& options) {
    const auto run = find_run(context.connection, options.run);
    if (!run) {
        return run.error();
    }
    const auto wanted = wanted_log(options, *run);
    if (!wanted) {
        return wanted.error();
    }
    if (options.follow) {
        const auto watched =
            watch(context, text(*run, "run_id"), {wanted->empty() ? "driver" : *wanted, !wanted->empty(), false});
        return watched ? Result<int>(watched->exit_code) : watched.error();
    }
    const auto selection = select_logs(context, *run, *wanted, options.name.empty());
    if (!selection) {
        return selection.error();
    }
    if (context.options.json()) {
        return print_json_logs(context, *run, *selection);
    }
    LogPrinter printer(selection->raw, context.terminal);
    for (const std::string& name : selection->names) {
        if (auto printed = print_log(context, *run, name, printer); !printed) {
            return printed.error();
        }
        printer.finish();
    }
    return exit_ok;
}

} // namespace

void add_logs_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command = add_command(app, "logs", "Print or follow what a run writes\n  linarite logs -f 3f2a", footer);
    const auto given = std::make_shared<LogsOptions>();
    command.add_option("RUN", given->run, "run id, or a part of one")->required()->type_name("");
    command.add_flag("-f,--follow", given->follow, "go on until the run has ended");
    auto* const rank = command.add_option("--rank", given->rank, "the log of one process")->type_name("N");
    command.add_option("--name", given->name, "any log file of the run")->type_name("FILE")->excludes(rank);
    command.callback([&options, &chosen, given] {
        if (given->follow && options.json()) {
            throw CLI::ValidationError("-f", "logs that are followed have no JSON form");
        }
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return logs(context, *given); });
        };
    });
}

} // namespace linarite::cli
