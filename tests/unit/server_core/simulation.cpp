#include "unit/server_core/simulation.hpp"

#include <algorithm>
#include <iterator>

namespace linarite::core {

using namespace std::chrono_literals;

Simulation::Simulation(std::uint64_t seed) : chance_(seed) {
    limits_.prepare_barrier = 100s;
    limits_.finalize = 300s;
    limits_.backfill_depth = 8;
    limits_.queue_length = 60;
    reactor_ = std::make_unique<Reactor>(limits_, 1);
    for (int i = 0; i < 10; ++i) {
        NodeSpec spec{NodeName("n" + std::to_string(i)), {"all"}, i % 4 == 3 ? 3 : 1, 1, "b"};
        spec.targets.insert(i % 2 == 0 ? "even" : "odd");
        if (i < 3) {
            spec.targets.insert("gpu");
        }
        agents_.emplace_back(std::move(spec), i % 3 == 0);
    }
}

bool Simulation::run(std::size_t events) {
    for (SimulatedAgent& each : agents_) {
        sync(each, false);
    }
    for (std::size_t i = 0; i < events && faults_.empty(); ++i) {
        ++events_;
        event();
        if (i % 5000 == 0) {
            busyness_ = 3 + chance_.below(60);
            check_everything();
            ledger_.forget_ended();
        }
    }
    if (faults_.empty()) {
        wind_down();
    }
    return faults_.empty();
}

void Simulation::event() {
    const std::size_t dice = chance_.below(1000);
    if (dice < 560) {
        sync(any_agent(), false);
    } else if (dice < 690) {
        submit();
    } else if (dice < 860) {
        let_time_pass();
    } else if (dice < 885) {
        cancel();
    } else if (dice < 935) {
        SimulatedAgent& agent = any_agent();
        if (agent.reachable && agent.joined) {
            apply(reactor_->heartbeat(agent.spec.name, now_));
        }
    } else if (dice < 955) {
        stale_report(any_agent());
    } else if (dice < 970) {
        late_report(any_agent());
    } else {
        rare_event();
    }
}

void Simulation::rare_event() {
    SimulatedAgent& agent = any_agent();
    const std::size_t dice = chance_.below(3000);
    if (dice < 1000) {
        reconnect_or_cut(agent);
    } else if (dice < 1700) {
        agent.drained = agent.joined && chance_.percent(30);
        apply(reactor_->set_drained(agent.spec.name, agent.drained, now_));
    } else if (dice < 2300) {
        ++agent.spec.incarnation; // the agent was restarted and found its jobs again
    } else if (dice < 2500) {
        agent.reboot();
    } else if (dice < 2700) {
        join_or_leave(agent);
    } else if (dice < 2995) {
        now_ += Millis(chance_.between(5'000, 200'000));
        apply(reactor_->tick(now_));
    } else {
        restart_coordinator();
    }
}

void Simulation::submit() {
    if (ledger_.active().size() >= busyness_) {
        return;
    }
    static const std::vector<std::string> targets = {"all", "all", "even", "odd", "gpu"};
    RunSpec spec;
    spec.id = RunId("r" + std::to_string(submitted_));
    spec.target = targets[chance_.below(targets.size())];
    spec.node_count = chance_.percent(50) ? 1 : chance_.between(1, spec.target == "all" ? 10 : 5);
    spec.priority = chance_.percent(80) ? 0 : chance_.between(-1, 2);
    spec.submitted = now_;
    spec.max_attempts = chance_.between(1, 3);
    if (chance_.percent(30)) { // no launcher: each node counts
        for (int node = 1; node < spec.node_count; ++node) {
            spec.deciders.insert(node);
        }
    }
    if (chance_.percent(40)) {
        spec.max_duration = Millis(chance_.between(10'000, 600'000));
    }
    if (!reactor_->check_submit(spec) && !chance_.percent(10)) {
        return;
    }
    ++submitted_;
    ledger_.insert(spec, now_);
    apply(reactor_->submit(spec, now_));
}

void Simulation::cancel() {
    if (ledger_.active().empty()) {
        return;
    }
    auto at = ledger_.active().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(chance_.below(ledger_.active().size())));
    apply(reactor_->cancel(at->first, "somebody", now_));
}

void Simulation::sync(SimulatedAgent& agent, bool smooth) {
    if (!agent.reachable || !agent.joined) {
        agent.work(chance_, smooth);
        return;
    }
    agent.work(chance_, smooth);
    const auto up = reactor_->node_up(agent.spec, now_);
    if (!up) {
        fault("node '" + agent.spec.name.str() + "' was refused: " + up.error().detail());
        return;
    }
    apply(*up);
    std::vector<NodeReport> picture = agent.picture();
    agent.has_spoken = true;
    apply(reactor_->report(agent.spec.name, picture, now_));
    if (!agent.sent_late_picture && chance_.percent(10)) {
        agent.late_picture = std::move(picture);
    }
    agent.sent_late_picture = false;
    if (smooth || chance_.percent(92)) { // else the answer is lost
        agent.obey(reactor_->desired(agent.spec.name), chance_, faults_);
    }
}

/// An old message that was held up on the way; one of it between two that are in time.
void Simulation::late_report(SimulatedAgent& agent) {
    if (agent.has_spoken && agent.joined && !agent.sent_late_picture) {
        agent.sent_late_picture = true;
        apply(reactor_->report(agent.spec.name, agent.late_picture, now_));
    }
}

void Simulation::stale_report(SimulatedAgent& agent) {
    if (!agent.has_spoken || !agent.joined || ledger_.active().empty()) {
        return;
    }
    auto at = ledger_.active().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(chance_.below(ledger_.active().size())));
    const StoredRun& run = at->second;
    NodeReport stale{run.spec.id, 1 + chance_.below(ledger_.highest_fence() + 3),
                     static_cast<NodePhase>(chance_.below(6)), "", std::nullopt};
    const auto wanted = reactor_->desired(agent.spec.name);
    if (std::any_of(wanted.begin(), wanted.end(),
                    [&](const Desired& each) { return each.run == stale.run && each.fence == stale.fence; })) {
        return;
    }
    const RunStatus before = run.status;
    std::vector<NodeReport> picture = agent.picture();
    const bool quiet = picture.empty();
    picture.push_back(stale);
    const RunId id = stale.run;
    apply(reactor_->report(agent.spec.name, picture, now_));
    const StoredRun* after = ledger_.find(id);
    if (quiet && before == RunStatus::running && after->status != before) {
        fault("run '" + id.str() + "' was moved by a report under a stale fence");
    }
}

void Simulation::let_time_pass() {
    now_ += Millis(chance_.between(0, 1'800));
    const auto next = reactor_->next_deadline();
    if (next && *next <= now_) {
        apply(reactor_->tick(now_));
        const auto after = reactor_->next_deadline();
        if (after && *after <= now_) {
            fault("a deadline is left after a tick");
        }
    }
}

void Simulation::reconnect_or_cut(SimulatedAgent& agent) {
    agent.reachable = !agent.reachable || chance_.percent(60);
}

void Simulation::join_or_leave(SimulatedAgent& agent) {
    if (!agent.joined) {
        agent.joined = true;
        return;
    }
    auto removed = reactor_->remove_node(agent.spec.name, now_);
    if (removed) {
        apply(*removed);
        agent.joined = false;
        agent.drained = false;
        agent.has_spoken = false;
    }
}

void Simulation::restart_coordinator() {
    reactor_ = std::make_unique<Reactor>(limits_, ledger_.highest_fence() + 1);
    for (SimulatedAgent& each : agents_) {
        each.has_spoken = false;
        if (each.joined) {
            reactor_->restore_node(each.spec, each.drained, now_);
        }
    }
    for (const auto& [id, run] : ledger_.active()) {
        reactor_->restore_run(run, now_);
    }
    apply(reactor_->tick(now_));
    check_everything();
}

void Simulation::heal() {
    for (SimulatedAgent& each : agents_) {
        each.reachable = true;
        each.joined = true;
        each.drained = false;
        sync(each, true);
        apply(reactor_->set_drained(each.spec.name, false, now_));
    }
}

/// No more trouble: everything must come to an end, and all slots must be free.
void Simulation::wind_down() {
    heal();
    constexpr int rounds = 5'000;
    for (int i = 0; i < rounds && faults_.empty() && !ledger_.active().empty(); ++i) {
        for (SimulatedAgent& each : agents_) {
            sync(each, true);
        }
        now_ += 1s;
        apply(reactor_->tick(now_));
    }
    for (int i = 0; i < 5 && faults_.empty(); ++i) {
        for (SimulatedAgent& each : agents_) {
            sync(each, true);
        }
    }
    if (faults_.empty()) {
        check_all_free();
    }
}

} // namespace linarite::core
