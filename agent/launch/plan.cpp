#include "agent/launch/plan.hpp"

#include "agent/launch/group_plan.hpp"
#include "agent/launch/mpi_plan.hpp"
#include "agent/launch/run_environment.hpp"
#include "common/files.hpp"
#include "fmt/core.h"
#include "proto/process_layout.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fcntl.h>

namespace linarite::agent {

namespace {

bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::vector<std::string> program_line(const LaunchOrder& order) {
    const auto& definition = order.definition;
    std::vector<std::string> argv = definition.command;
    if (argv.empty()) {
        argv = {order.python.empty() ? "python" : order.python.string(), definition.script};
    }
    argv.insert(argv.end(), definition.arguments.begin(), definition.arguments.end());
    for (auto& word : argv) {
        word = replace_data_references(word, order.data_paths);
    }
    return argv;
}

std::string quoted(const std::vector<std::string>& argv) {
    std::string out;
    for (const auto& word : argv) {
        std::string flat = word;
        std::ranges::replace(flat, '\n', ' ');
        out += (out.empty() ? "'" : ", '") + flat + "'";
    }
    return "[" + out + "]";
}

LogLines log_lines(const LaunchOrder& order, const std::vector<std::string>& argv) {
    const auto& node = order.gang[static_cast<std::size_t>(order.node_index)].node;
    const bool script = order.definition.command.empty();
    LogLines lines{{fmt::format("Entering run {} on node {}.", order.run.str(), node.str()), "Command: " + quoted(argv),
                    fmt::format("Script type = {}", script ? "python" : "command")},
                   success_line,
                   failure_line};
    if (script && !order.interpreter.empty()) {
        lines.before.push_back("Interpreter: " + order.interpreter);
    }
    return lines;
}

Result<void> check(const LaunchOrder& order) {
    const auto& definition = order.definition;
    const auto nodes = static_cast<int>(order.gang.size());
    if (nodes != definition.node_count || order.node_index < 0 || order.node_index >= nodes) {
        return Error(Errc::invalid_argument,
                     fmt::format("the run wants {} nodes, but {} were given, of which this is {}",
                                 definition.node_count, nodes, order.node_index));
    }
    switch (definition.launch) {
    case proto::LaunchKind::single:
        if (definition.node_count != 1) {
            return Error(Errc::invalid_argument, "a run on several nodes needs a distributed backend");
        }
        return {};
    case proto::LaunchKind::mpi:
    case proto::LaunchKind::process_group:
    case proto::LaunchKind::parameter_server: return {};
    }
    return Error(Errc::internal, "unknown kind of launch");
}

} // namespace

std::string replace_data_references(const std::string& text, const std::map<std::string, std::string>& data_paths) {
    constexpr std::string_view word = "AZUREML_DATAREFERENCE_";
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const bool braced = text.compare(at, 2, "${") == 0;
        const std::size_t from = at + (braced ? 2 : 1);
        if (text[at] != '$' || text.compare(from, word.size(), word) != 0) {
            out += text[at++];
            continue;
        }
        std::size_t end = from + word.size();
        while (end < text.size() && is_name(text[end])) {
            ++end;
        }
        const auto found = data_paths.find(text.substr(from + word.size(), end - from - word.size()));
        const bool closed = !braced || (end < text.size() && text[end] == '}');
        end += braced && closed ? 1 : 0;
        out += found != data_paths.end() && closed ? found->second : text.substr(at, end - at);
        at = end;
    }
    return out;
}

namespace {

bool is_below(const fs::path& path, const fs::path& folder) {
    const auto relative = path.lexically_relative(folder);
    return !relative.empty() && *relative.begin() != "..";
}

// Other runs have the same environment and the same data. In a container the engine sees to it.
void protect_shared(const LaunchOrder& order, ShimJob& job) {
    if (order.contained) {
        return;
    }
    job.user_namespace = order.user_namespace;
    if (auto view = environment_view(order)) {
        job.views.push_back(std::move(*view));
    }
    for (const proto::DataReference& reference : order.definition.data) {
        const auto path = order.data_paths.find(reference.name);
        if (path == order.data_paths.end() || !is_read_only(order, reference)) {
            continue;
        }
        const bool holds_the_run = is_below(order.run_dir, path->second) || is_below(order.work_dir, path->second);
        if (!holds_the_run) {
            job.read_only.emplace_back(path->second);
        }
    }
}

} // namespace

std::optional<View> environment_view(const LaunchOrder& order) {
    return order.environment_folder.empty() ? std::nullopt
                                            : std::optional(View{order.environment_folder, order.run_dir / "changes"});
}

bool is_read_only(const LaunchOrder& order, const proto::DataReference& reference) {
    const auto path = order.data_paths.find(reference.name);
    // what is below the run's folder was fetched, and may share its files with other runs' copies
    const bool fetched = path != order.data_paths.end() && is_below(path->second, order.run_dir);
    return reference.mode == proto::DataMode::mount && (!reference.overwrite || fetched);
}

Result<LaunchPlan> plan_launch(const LaunchOrder& order) {
    if (auto checked = check(order); !checked) {
        return checked.error();
    }
    LaunchPlan plan;
    plan.host_file_path = order.facts_dir / "hostfile";
    for (const auto& address : node_addresses(order)) {
        plan.host_file += fmt::format("{} slots={}\n", address, order.definition.processes_per_node);
    }
    auto argv = program_line(order);
    plan.job.run = order.run;
    plan.job.fence = order.fence;
    plan.job.facts_dir = order.facts_dir;
    plan.job.folders = {tmp_folder(order)};
    plan.job.log = log_lines(order, argv);
    plan.job.grace = order.grace;
    if (order.definition.max_duration) {
        plan.job.limit = *order.definition.max_duration;
    }
    protect_shared(order, plan.job);
    auto env = run_environment(order, plan);
    if (order.definition.launch == proto::LaunchKind::mpi) {
        if (auto planned = plan_mpi(order, env, std::move(argv), plan); !planned) {
            return planned.error();
        }
        return plan;
    }
    if (order.definition.launch != proto::LaunchKind::single) {
        plan_group(order, std::move(env), std::move(argv), plan);
        return plan;
    }
    plan.job.argv = std::move(argv);
    plan.job.env = std::move(env);
    plan.job.cwd = order.work_dir;
    plan.job.out = order.run_dir / "azureml-logs" / proto::driver_log_name("");
    return plan;
}

Result<void> write_plan(const LaunchPlan& plan, const fs::path& job_file) {
    for (const auto& folder : {plan.job.facts_dir, plan.job.out.parent_path()}) {
        if (auto made = make_folders(folder); !made) {
            return made;
        }
    }
    if (plan.ranks) {
        if (auto made = make_folders(plan.ranks->log_dir); !made) {
            return made;
        }
        if (auto written = write_rank_file(plan.rank_file, *plan.ranks); !written) {
            return written;
        }
    }
    const UniqueFd host_file(::open(plan.host_file_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!host_file) {
        return errno_error("open '" + plan.host_file_path.string() + "'", errno);
    }
    if (auto written = write_all(host_file.get(), plan.host_file); !written) {
        return written;
    }
    return write_job_file(job_file, plan.job);
}

} // namespace linarite::agent
