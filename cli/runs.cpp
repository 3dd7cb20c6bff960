// `runs`: the history as a table.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/outcome.hpp"
#include "cli/run_filter.hpp"
#include "cli/run_table.hpp"
#include "client/http_client.hpp"

#include <algorithm>

namespace linarite::cli {
namespace {

constexpr std::int64_t largest_page = 500;

constexpr const char* footer =
    R"(KEY=VALUE of --filter: status, target, text (part of the run id or experiment), experiment,
environment (the beginning of its key, as 'show' has it); several with commas.

Examples:
  linarite runs
  linarite runs --experiment mnist --filter status=failed
  linarite runs --filter status=running,status=queued --all
  linarite runs -o json | jq -r '.runs[].run_id')";

struct RunsOptions {
    std::string experiment;
    std::string filter;
    std::int64_t limit = 25;
    bool all = false;
};

// Pages until there are enough runs or there are no more.
Result<Json> fetch_runs(Connection& connection, RunQuery query, const RunsOptions& options) {
    Json runs = Json::array();
    Json next;
    do {
        const std::int64_t wanted = options.all ? largest_page : options.limit - static_cast<std::int64_t>(runs.size());
        query["limit"] = std::to_string(std::min(wanted, largest_page));
        const auto page = connection.get("/api/v1/runs" + client::encode_query(query));
        if (!page) {
            return page.error();
        }
        for (const Json& run : member(*page, "runs")) {
            runs.push_back(run);
        }
        next = member(*page, "next");
        query["before"] = text(*page, "next");
    } while (next.is_string() && (options.all || static_cast<std::int64_t>(runs.size()) < options.limit));
    return Json{{"runs", std::move(runs)}, {"next", std::move(next)}};
}

Result<int> list_runs(CommandContext& context, const RunsOptions& options) {
    RunQuery query;
    if (auto read = read_filter(options.filter, query); !read) {
        return read.error();
    }
    if (!options.experiment.empty()) {
        query["experiment"] = options.experiment;
    }
    const auto found = fetch_runs(context.connection, std::move(query), options);
    if (!found) {
        return found.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*found);
        return exit_ok;
    }
    const Json& runs = member(*found, "runs");
    if (runs.empty()) {
        context.notice("no runs");
        return exit_ok;
    }
    write_out(render_run_table(runs, SystemClock().now(), context.terminal));
    if (member(*found, "next").is_string()) {
        context.notice("there are more: --limit N or --all");
    }
    return exit_ok;
}

} // namespace

std::string duration_of(const Json& run, Time now) {
    const auto started = parse_time(text(run, "started"));
    if (!started) {
        return "";
    }
    const Time ended = parse_time(text(run, "ended")).value_or(now);
    return format_duration(std::max(ended - *started, Millis(0)));
}

std::string render_run_table(const Json& runs, Time now, const Terminal& terminal) {
    Table table(
        {{"RUN"}, {"EXPERIMENT"}, {"STATUS"}, {"NODES", Table::Align::right}, {"SUBMITTED"}, {"DURATION"}, {"REASON"}});
    for (const Json& run : runs) {
        const std::string status = text(run, "status");
        const auto created = parse_time(text(run, "created"));
        const std::string ended = brief_outcome(run);
        const bool waits = !is_terminal_status(status) || ended.empty();
        const std::string reason = status == "Completed" ? "" : waits ? text(run, "reason") : ended;
        table.add({{text(run, "run_id")},
                   {text(run, "experiment")},
                   {status, style_of_status(status)},
                   {std::to_string(number(run, "node_count"))},
                   {created ? format_ago(*created, now) : ""},
                   {duration_of(run, now)},
                   {reason.substr(0, reason.find('\n'))}});
    }
    return table.render(terminal);
}

void add_runs_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command =
        add_command(app, "runs", "List runs, newest first\n  linarite runs --filter status=failed", footer);
    const auto given = std::make_shared<RunsOptions>();
    command.add_option("--experiment", given->experiment, "runs of this experiment only")->type_name("E");
    command.add_option("--filter", given->filter, "runs that are so only")->type_name("KEY=VALUE,...");
    auto* const limit = command.add_option("--limit", given->limit, "how many at most; default: 25")
                            ->type_name("N")
                            ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}).description(""));
    command.add_flag("--all", given->all, "all of them")->excludes(limit);
    command.callback([&options, &chosen, given] {
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return list_runs(context, *given); });
        };
    });
}

} // namespace linarite::cli
