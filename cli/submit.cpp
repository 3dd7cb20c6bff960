#include "cli/submit.hpp"

#include "cli/fields.hpp"
#include "cli/report.hpp"
#include "cli/snapshot_upload.hpp"
#include "common/clock.hpp"
#include "common/ids.hpp"
#include "proto/json_reader.hpp"
#include "proto/run_definition.hpp"

#include <fmt/core.h>

namespace linarite::cli {
namespace {

void collect(const Error& error, const std::string& pointer, std::vector<Fault>& faults) {
    if (error.faults().empty()) {
        faults.push_back({pointer, error.detail()});
    }
    faults.insert(faults.end(), error.faults().begin(), error.faults().end());
}

Result<Json> read_base(const SubmitOptions& options) {
    if (options.job_file.empty()) {
        return Json::object();
    }
    const auto file = find_job_file(options.job_file, options.folder);
    return file ? load_job_file(*file, options.folder) : file.error();
}

Result<SourceTree> read_sources(CommandContext& context, const SubmitOptions& options, const Json& definition) {
    auto tree = read_source_tree(options.folder, context.terminal);
    if (!tree) {
        return tree.error();
    }
    for (const std::string& note : tree->notes) {
        context.notice("left out: " + note);
    }
    if (const std::string script = text(definition, "script"); !script.empty()) {
        if (auto there = check_script(*tree, options.folder, script); !there) {
            return there.error();
        }
    }
    return tree;
}

Json run_request(const SubmitPlan& plan, const std::string& snapshot) {
    return Json{{"run_id", plan.run_id},
                {"experiment", plan.experiment},
                {"snapshot", snapshot},
                {"definition", plan.definition}};
}

// What the coordinator says to the run without anything being sent: that the snapshot is not there is then no fault.
std::vector<Fault> faults_without_snapshot(const Error& error) {
    std::vector<Fault> faults;
    for (const Fault& fault : error.faults()) {
        if (fault.pointer != "/snapshot") {
            faults.push_back(fault);
        }
    }
    return faults;
}

Json normalised(const Json& definition) {
    const auto parsed = proto::parse_run_definition(definition);
    return parsed ? proto::print_run_definition(*parsed) : definition;
}

Json render_faults(const std::vector<Fault>& faults) {
    Json list = Json::array();
    for (const Fault& fault : faults) {
        list.push_back({{"target", fault.pointer}, {"message", fault.message}});
    }
    return list;
}

Result<int> dry_run(CommandContext& context, const SubmitPlan& plan, const SourceTree& tree) {
    const Json request = run_request(plan, proto::snapshot_id(tree.manifest).str());
    const auto answer = context.connection.call("POST", "/api/v1/runs?dry_run=true", request);
    std::vector<Fault> faults;
    if (!answer) {
        if (answer.error().faults().empty()) {
            return answer.error();
        }
        faults = faults_without_snapshot(answer.error());
    }
    const Json definition = answer ? member(*answer, "definition") : normalised(plan.definition);
    const std::uint64_t bytes = proto::total_bytes(tree.manifest);
    const std::size_t files = tree.manifest.files.size();
    if (context.options.json()) {
        const Json warnings = answer ? member(*answer, "warnings") : Json::array();
        CommandContext::print_json(Json{{"definition", definition},
                                        {"experiment", plan.experiment},
                                        {"files", files},
                                        {"bytes", bytes},
                                        {"faults", render_faults(faults)},
                                        {"warnings", warnings}});
        return faults.empty() ? exit_ok : exit_usage;
    }
    write_out(printable(proto::print_json_pretty(definition)) + "\n");
    context.notice(fmt::format("experiment {}, {}, {}; nothing was sent", plan.experiment, format_count(files, "file"),
                               format_bytes(bytes)));
    for (const std::string& warning : answer ? texts(*answer, "warnings") : std::vector<std::string>()) {
        context.notice("warning: " + warning);
    }
    return faults.empty() ? Result<int>(exit_ok) : Result<int>(Error(std::move(faults)));
}

Result<int> after_submit(CommandContext& context, const SubmitOptions& options, const Json& run) {
    const std::string id = text(run, "run_id");
    const bool json = context.options.json();
    const bool watched = options.follow || options.wait;
    for (const std::string& warning : texts(run, "warnings")) {
        context.notice("warning: " + warning);
    }
    if (!json) {
        write_out(id + "\n");
    }
    if (!watched) {
        if (json) {
            CommandContext::print_json(run);
        }
        return exit_ok;
    }
    WatchOptions watching;
    watching.logs = options.follow ? "driver" : "none";
    watching.logs_to_err = json;
    const auto end = watch(context, id, watching);
    if (!end) {
        return end.error();
    }
    if (json) {
        CommandContext::print_json(end->run.is_null() ? run : end->run);
    }
    return end->exit_code;
}

// Where the folder will be is part of the definition.
Result<DefinitionFlags> with_context(const SubmitOptions& options, SubmitPlan& plan) {
    DefinitionFlags flags = options.flags;
    if (options.build_context.empty()) {
        return flags;
    }
    if (flags.dockerfile.empty()) {
        flags.dockerfile = proto::BuildContext().dockerfile;
    }
    auto context = read_context(options.build_context, flags.dockerfile);
    if (!context) {
        return context.error();
    }
    flags.build_context = context->location();
    plan.context = std::move(*context);
    return flags;
}

} // namespace

std::string experiment_name(const fs::path& folder) {
    std::error_code error;
    const fs::path absolute = fs::weakly_canonical(folder, error);
    std::string name = (error ? folder : absolute).filename().string();
    for (char& c : name) {
        const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                             c == '-' || c == '.';
        c = allowed ? c : '-';
    }
    name.erase(0, std::min(name.find_first_not_of("-."), name.size()));
    name.resize(std::min<std::size_t>(name.size(), 64)); // the run id is made of it, too
    return name.empty() ? "experiment" : name;
}

Result<SubmitPlan> plan_submit(const SubmitOptions& options) {
    auto base = read_base(options);
    if (!base) {
        return base.error();
    }
    std::vector<Fault> faults;
    SubmitPlan plan;
    plan.experiment = options.experiment.empty() ? experiment_name(options.folder) : options.experiment;
    const auto experiment = parse_name(plan.experiment, "experiment");
    if (!experiment) {
        collect(experiment.error(), "/experiment", faults);
    }
    plan.run_id = options.run_id;
    if (plan.run_id.empty()) {
        plan.run_id = make_run_id(plan.experiment, to_ms(SystemClock().now()) / 1000).str();
    } else if (const auto id = parse_name(plan.run_id, "run id"); !id) {
        collect(id.error(), "/run_id", faults);
    }
    const auto flags = with_context(options, plan);
    if (!flags) {
        collect(flags.error(), "/environment/docker/buildContext", faults);
        return Error(std::move(faults));
    }
    auto definition = build_definition(*flags, std::move(*base));
    if (!definition) {
        collect(definition.error(), "", faults);
    } else {
        plan.definition = std::move(*definition);
        if (const auto parsed = proto::parse_run_definition(plan.definition); !parsed) {
            collect(parsed.error(), "", faults);
        }
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return plan;
}

Result<int> submit(CommandContext& context, const SubmitOptions& options) {
    const auto plan = plan_submit(options);
    if (!plan) {
        return plan.error();
    }
    const auto tree = read_sources(context, options, plan->definition);
    if (!tree) {
        return tree.error();
    }
    if (options.dry_run) {
        return dry_run(context, *plan, *tree);
    }
    const auto snapshot = send_snapshot(context.connection, *tree, context.terminal);
    if (!snapshot) {
        return snapshot.error();
    }
    if (plan->context) {
        if (auto sent = send_context(context.connection, *plan->context, context.terminal); !sent) {
            return sent.error();
        }
    }
    const auto run = context.connection.call("POST", "/api/v1/runs", run_request(*plan, *snapshot));
    return run ? after_submit(context, options, *run) : run.error();
}

} // namespace linarite::cli
