#include "unit/server_core/simulated_agent.hpp"

#include <algorithm>
#include <set>

namespace linarite::core {

namespace {

NodePhase later(NodePhase phase, int steps, NodePhase limit) {
    return static_cast<NodePhase>(std::min(static_cast<int>(phase) + steps, static_cast<int>(limit)));
}

} // namespace

void SimulatedAgent::obey(const std::vector<Desired>& wanted, Chance& chance, std::vector<std::string>& faults) {
    std::set<RunId> kept;
    for (const Desired& each : wanted) {
        if (!kept.insert(each.run).second) {
            faults.push_back("node '" + spec.name.str() + "' has two parts of run '" + each.run.str() + "'");
        }
    }
    std::erase_if(jobs_, [&](const auto& job) { return !kept.contains(job.first); });
    for (const Desired& each : wanted) {
        const auto found = jobs_.find(each.run);
        if (found != jobs_.end() && found->second.fence == each.fence) {
            found->second.want = each.want;
        } else {
            start(each, chance, faults);
        }
    }
}

void SimulatedAgent::start(const Desired& order, Chance& chance, std::vector<std::string>& faults) {
    const auto old = jobs_.find(order.run);
    if (old != jobs_.end() && old->second.phase < NodePhase::exited) {
        faults.push_back("node '" + spec.name.str() + "' would have two attempts of run '" + order.run.str() + "'");
    }
    Job job;
    job.fence = order.fence;
    job.index = order.node_index;
    job.want = order.want;
    if (order.want == Want::stop) {
        if (forgetful_) {
            return;
        }
        job.phase = NodePhase::done;
        job.outcome.stopped = true;
    } else {
        job.mute = chance.percent(2);
        job.stubborn = chance.percent(0.5);
    }
    jobs_[order.run] = job;
    if (order.want != Want::stop && busy() > spec.slots) {
        faults.push_back("node '" + spec.name.str() + "' has " + std::to_string(busy()) + " parts in " +
                         std::to_string(spec.slots) + " slots");
    }
}

int SimulatedAgent::busy() const {
    return static_cast<int>(std::count_if(jobs_.begin(), jobs_.end(),
                                          [](const auto& job) { return job.second.phase < NodePhase::exited; }));
}

bool SimulatedAgent::has_before(const RunId& run, Fence fence, NodePhase phase) const {
    const auto found = jobs_.find(run);
    return found != jobs_.end() && found->second.fence == fence && found->second.phase < phase;
}

void SimulatedAgent::reboot() {
    jobs_.clear();
    ++spec.incarnation;
    spec.boot_id += 'x';
    if (spec.boot_id.size() > 12) {
        spec.boot_id = std::to_string(spec.incarnation);
    }
}

std::vector<NodeReport> SimulatedAgent::picture() const {
    std::vector<NodeReport> reports;
    reports.reserve(jobs_.size());
    for (const auto& [run, job] : jobs_) {
        NodeReport report;
        report.run = run;
        report.fence = job.fence;
        report.phase = job.mute && job.want != Want::stop ? NodePhase::assigned : job.phase;
        if (report.phase >= NodePhase::exited) {
            report.outcome = job.outcome;
        }
        reports.push_back(std::move(report));
    }
    return reports;
}

void SimulatedAgent::work(Chance& chance, bool smooth) {
    for (auto& [run, job] : jobs_) {
        if (smooth) {
            job.mute = false;
            job.stubborn = false;
        }
        const double pace = job.stubborn ? 0.2 : 60;
        if (smooth || chance.percent(pace)) {
            work_on(job, chance, smooth);
        }
    }
}

void SimulatedAgent::work_on(Job& job, Chance& chance, bool smooth) {
    if (job.phase == NodePhase::done) {
        return;
    }
    if (job.phase == NodePhase::exited) {
        job.phase = NodePhase::done;
        return;
    }
    if (job.want == Want::stop) {
        stop(job, chance, smooth);
        return;
    }
    if (job.phase == NodePhase::launched) {
        finish(job, chance, smooth);
        return;
    }
    if (!smooth && chance.percent(1.5)) {
        job.outcome.code = chance.percent(50) ? "UserError" : "ServiceError";
        job.phase = chance.percent(50) ? NodePhase::exited : NodePhase::done;
        return;
    }
    const NodePhase limit = job.want == Want::launch ? NodePhase::launched : NodePhase::ready;
    job.phase = later(job.phase, chance.between(1, 3), limit);
    if (job.phase == NodePhase::launched && chance.percent(30)) {
        finish(job, chance, smooth);
    }
}

void SimulatedAgent::stop(Job& job, Chance& chance, bool smooth) {
    job.outcome.started = job.phase == NodePhase::launched;
    job.outcome.stopped = true;
    job.outcome.signal = job.outcome.started ? 15 : 0;
    job.phase = smooth || chance.percent(50) ? NodePhase::done : NodePhase::exited;
}

/// The launcher, or a daemon on a node that is not the lead, ends by itself now and then.
void SimulatedAgent::finish(Job& job, Chance& chance, bool smooth) {
    if (!smooth && !chance.percent(job.index == 0 ? 40 : 4)) {
        return;
    }
    job.outcome.started = true;
    if (!smooth && chance.percent(15)) {
        job.outcome.exit_code = chance.between(1, 100);
        job.outcome.code = "UserError";
        job.outcome.rank = chance.between(-1, 5);
    } else if (!smooth && chance.percent(5)) {
        job.outcome.timed_out = true;
        job.outcome.stopped = true;
        job.outcome.signal = 15;
    }
    job.phase = chance.percent(60) ? NodePhase::exited : NodePhase::done;
}

} // namespace linarite::core
