// The scheduler's talk with agents: what they tell, and what is wanted of them.
#include "server/service/run_rows.hpp"
#include "server/service/scheduler_parts.hpp"

#include <algorithm>

namespace linarite::service {

using namespace std::chrono_literals;

asio::awaitable<Result<proto::SyncAnswer>> Scheduler::sync(proto::SyncRequest request) {
    const NodeName name = request.node;
    const Time now = clock_.now();
    Node& from = node(name);
    const bool news = from.row.incarnation != request.incarnation || from.row.boot_id != request.boot_id ||
                      from.row.address != request.address || from.row.host_id != request.host_id ||
                      from.row.shared_dir != request.shared_dir || from.row.slots != request.resources.slots;
    core::NodeSpec spec{name, targets_for(request.resources.labels, request.resources.gpus), request.resources.slots,
                        request.incarnation, request.boot_id};
    auto actions = reactor_->node_up(std::move(spec), now);
    if (!actions) {
        co_return actions.error();
    }
    from.host_id = request.host_id;
    from.shared_dir = request.shared_dir;
    from.address = request.address;
    std::vector<core::NodeReport> reports;
    Environments environments;
    for (const proto::RunReport& report : request.runs) {
        if (tells_environment(name, report)) {
            environments.emplace_back(report.run, environment_row(*report.environment));
        }
        take_report(name, report);
        reports.push_back(node_report(name, report));
    }
    core::Actions more = reactor_->report(name, reports, now);
    actions->insert(actions->end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    const std::uint64_t ticket = enqueue(std::nullopt, std::move(*actions), std::move(environments));
    if (news) {
        auto update = [request, now](store::Tables& tables) -> Result<store::NodeRow> {
            auto row = tables.find_node(request.node); // its secret and its drain stay as they are
            if (!row) {
                return row;
            }
            update_node_row(*row, request, now);
            auto put = tables.put_node(*row);
            return put ? row : Result<store::NodeRow>(put.error());
        };
        auto stored = co_await store_.write(std::move(update));
        if (!stored) {
            co_return stored.error();
        }
        node(name).row = std::move(*stored);
    }
    co_await committed(ticket);

    const auto deadline = std::chrono::steady_clock::now() + request.wait;
    while (!stopping_ && nodes_.contains(name) && node(name).version <= request.seen) {
        const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
        if (left <= 0ms) {
            break;
        }
        co_await node(name).changed.wait(left);
    }
    if (request.wait == 0ms && request.seen > 0 && nodes_.contains(name) && node(name).version == request.seen) {
        // it reports beside a poll that it holds: what is new comes there
        proto::SyncAnswer answer;
        answer.version = request.seen;
        answer.lease = settings_.limits.lease;
        answer.unchanged = true;
        co_return answer;
    }
    // whatever the answer shows must be on disk before the agent acts on it
    proto::SyncAnswer answer = answer_for(name, request.runs);
    co_await committed(next_ticket_);
    co_return answer;
}

// Whether the first node of a placement says for the first time what its Python is.
bool Scheduler::tells_environment(const NodeName& name, const proto::RunReport& report) const {
    const auto found = active_.find(report.run);
    if (!report.environment || found == active_.end() || found->second.fence != report.fence ||
        found->second.gang.empty() || found->second.gang.front().node != name) {
        return false;
    }
    const auto known = found->second.reports.find(name);
    return known == found->second.reports.end() || known->second.environment != report.environment;
}

void Scheduler::take_report(const NodeName& name, const proto::RunReport& report) {
    const auto found = active_.find(report.run);
    if (found == active_.end() || found->second.fence != report.fence) {
        return;
    }
    proto::RunReport& known = found->second.reports[name];
    // the other nodes of the gang are told of these; a change wakes them
    const bool news = known.work_dir != report.work_dir || known.daemons != report.daemons ||
                      known.ending != report.ending || known.port != report.port || known.network != report.network;
    if (known.fence == report.fence && known.phase > report.phase) {
        return; // an older picture that came late
    }
    const bool moved = known.phase != report.phase || known.ended != report.ended;
    known = report;
    if (moved) {
        tell_processes(report.run, false);
    }
    if (news) {
        wake_gang(report.run);
    }
}

void Scheduler::tell_processes(const RunId& id, bool over) const {
    const auto found = active_.find(id);
    if (!settings_.on_processes || found == active_.end() || found->second.layout.empty()) {
        return;
    }
    const ActiveRun& run = found->second;
    ProcessPicture picture{id, run.attempt, clock_.now(), over, {}};
    for (const proto::ProcessPlace& place : run.layout) {
        const auto node = static_cast<std::size_t>(place.node);
        const NodeName name = node < run.gang.size() ? run.gang[node].node : NodeName();
        const auto report = run.reports.find(name);
        picture.processes.push_back(process_state(place, static_cast<int>(run.layout.size()), name,
                                                  report == run.reports.end() ? nullptr : &report->second, over));
    }
    settings_.on_processes(std::move(picture));
}

proto::SyncAnswer Scheduler::answer_for(const NodeName& name, const std::vector<proto::RunReport>& told) const {
    proto::SyncAnswer answer;
    const auto found = nodes_.find(name);
    answer.version = found == nodes_.end() ? 0 : found->second.version;
    answer.lease = settings_.limits.lease;
    std::set<std::pair<RunId, Fence>> known;
    for (const proto::RunReport& report : told) {
        known.emplace(report.run, report.fence);
    }
    for (const core::Desired& desired : reactor_->desired(name)) {
        answer.runs.push_back(describe(desired, known.contains({desired.run, desired.fence})));
    }
    return answer;
}

proto::DesiredRun Scheduler::describe(const core::Desired& desired, bool brief) const {
    proto::DesiredRun out;
    out.run = desired.run;
    out.fence = desired.fence;
    out.brief = brief;
    out.attempt = desired.attempt;
    out.want = static_cast<proto::Want>(desired.want);
    out.stop_reason = desired.stop_reason;
    out.grace = settings_.stop_grace;
    out.give_up_after = desired.last_attempt ? Millis(0) : settings_.limits.lost_after * 4 / 5;
    out.node_index = desired.node_index;
    const auto found = brief ? active_.end() : active_.find(desired.run);
    out.host_id = brief ? "" : settings_.host_id;
    if (found != active_.end()) {
        out.experiment = found->second.experiment;
        out.snapshot = found->second.snapshot;
        out.definition = found->second.definition;
        out.data = found->second.data;
        out.variables = found->second.variables;
        out.registry = found->second.registry;
    }
    for (const NodeName& member : desired.gang) {
        const proto::RunReport* report = report_of(desired, member);
        const auto index = static_cast<int>(out.gang.size());
        proto::GangMember entry;
        entry.node = member;
        if (report != nullptr) {
            entry.work_dir = report->work_dir;
            entry.port = report->port;
        }
        if (const auto known = nodes_.find(member); known != nodes_.end()) {
            entry.host_id = known->second.host_id;
            entry.shared_dir = known->second.shared_dir;
            entry.address = known->second.address;
        }
        if (const auto* latched = latched_member(desired, member)) {
            entry.host_id = latched->host_id;
            entry.shared_dir = latched->shared_dir;
        }
        if (report != nullptr && report->network) {
            entry.network = report->network;
            entry.address = report->network->address;
        }
        out.gang.push_back(std::move(entry));
        if (index != desired.node_index && report != nullptr && report->ending) {
            out.daemon_ends[index] = *report->ending;
        }
    }
    out.daemon_command = daemon_command(desired);
    if (const auto run = active_.find(desired.run); run != active_.end() && run->second.fence == desired.fence) {
        out.files_version = run->second.files_version;
    }
    return out;
}

// The last word of one node about this placement.
const proto::RunReport* Scheduler::report_of(const core::Desired& desired, const NodeName& member) const {
    const auto run = active_.find(desired.run);
    if (run == active_.end()) {
        return nullptr;
    }
    const auto report = run->second.reports.find(member);
    return report == run->second.reports.end() || report->second.fence != desired.fence ? nullptr : &report->second;
}

const proto::GangMember* Scheduler::latched_member(const core::Desired& desired, const NodeName& member) const {
    const auto run = active_.find(desired.run);
    if (run == active_.end() || run->second.fence != desired.fence) {
        return nullptr; // of a placement that was given up
    }
    const auto found = std::ranges::find(run->second.gang, member, &proto::GangMember::node);
    return found == run->second.gang.end() ? nullptr : &*found;
}

// What the lead's mpirun wants started on this node; "" until it asked.
std::string Scheduler::daemon_command(const core::Desired& desired) const {
    const proto::RunReport* lead =
        desired.node_index == 0 || desired.gang.empty() ? nullptr : report_of(desired, desired.gang.front());
    if (lead != nullptr) {
        for (const proto::DaemonRequest& daemon : lead->daemons) {
            if (daemon.node_index == desired.node_index) {
                return daemon.command;
            }
        }
    }
    return "";
}

Scheduler::Node& Scheduler::node(const NodeName& name) {
    const auto [at, made] = nodes_.try_emplace(name);
    if (made) {
        // higher than any version that this node saw from an earlier coordinator process
        at->second.version = static_cast<std::uint64_t>(to_ms(clock_.now())) << 10U;
        at->second.row.name = name;
    }
    return at->second;
}

void Scheduler::wake(Node& target) {
    ++target.version;
    target.changed.notify();
}

void Scheduler::wake_gang(const RunId& id) {
    if (const auto view = reactor_->find_run(id, clock_.now())) {
        if (view->nodes.size() > 1) {
            for (const NodeName& member : view->nodes) {
                wake(node(member));
            }
        }
    }
}
} // namespace linarite::service
