// `metrics`: what a run logged by its numbers.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/metric_pages.hpp"
#include "cli/run_lookup.hpp"

namespace linarite::cli {
namespace {

constexpr const char* footer =
    R"(RUN is a run id or a part of it that only one has. Without NAME: all metrics of the run, with their last value.
JSON has no word for NaN and Infinity: with -o json they are texts.

Examples:
  linarite metrics 3f2a
  linarite metrics 3f2a accuracy --tail 20
  linarite metrics 3f2a accuracy -o json)";

struct MetricsOptions {
    std::string run;
    std::string name;
    std::int64_t tail = 0; // all
};

Result<int> list_metrics(CommandContext& context, const Json& run) {
    const auto found = fetch_metrics(context.connection, run);
    if (!found) {
        return found.error();
    }
    const Json& metrics = member(*found, "metrics");
    if (context.options.json()) {
        CommandContext::print_json(*found);
    } else if (metrics.empty()) {
        context.notice("the run has logged no metrics");
    } else {
        write_out(render_metrics(metrics, context.terminal));
    }
    return exit_ok;
}

Result<int> list_points(CommandContext& context, const Json& run, const MetricsOptions& given) {
    const auto series = fetch_points(context.connection, run, given.name, given.tail);
    if (!series) {
        return series.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*series);
    } else {
        write_out(render_points(*series, context.terminal));
    }
    return exit_ok;
}

Result<int> show_metrics(CommandContext& context, const MetricsOptions& given) {
    const auto run = find_run(context.connection, given.run);
    if (!run) {
        return run.error();
    }
    return given.name.empty() ? list_metrics(context, *run) : list_points(context, *run, given);
}

} // namespace

void add_metrics_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command =
        add_command(app, "metrics", "What a run logged with run.log()\n  linarite metrics 3f2a accuracy", footer);
    const auto given = std::make_shared<MetricsOptions>();
    command.add_option("RUN", given->run, "run id, or a part of one")->required()->type_name("");
    auto* const name = command.add_option("NAME", given->name, "one metric, with all its points")->type_name("");
    command.add_option("--tail", given->tail, "the last N points only")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000}).description(""))
        ->needs(name);
    command.callback([&options, &chosen, given] {
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return show_metrics(context, *given); });
        };
    });
}

} // namespace linarite::cli
