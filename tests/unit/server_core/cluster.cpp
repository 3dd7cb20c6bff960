#include "unit/server_core/cluster.hpp"

#include <algorithm>

namespace linarite::core {

void Cluster::TearDown() {
    for (const std::string& fault : ledger_.faults()) {
        ADD_FAILURE() << fault;
    }
}

const Actions& Cluster::apply(const Actions& actions) {
    ledger_.apply(actions);
    for (const Action& action : actions) {
        if (const auto* move = std::get_if<MoveRun>(&action)) {
            moves_[move->run].push_back(*move);
        }
    }
    return actions;
}

void Cluster::add_node(const std::string& name, int slots, std::set<std::string> targets) {
    NodeSpec spec{NodeName(name), std::move(targets), slots, 1, "boot-1"};
    specs_[name] = spec;
    apply(reactor_->node_up(std::move(spec), now_).value());
    apply(reactor_->report(NodeName(name), {}, now_));
}

Actions Cluster::submit(const std::string& id, const RunOptions& options) {
    RunSpec spec;
    spec.id = RunId(id);
    spec.target = options.target;
    spec.node_count = options.nodes;
    spec.priority = options.priority;
    spec.submitted = now_;
    spec.max_duration = options.max_duration;
    spec.max_attempts = options.max_attempts;
    spec.deciders = options.deciders;
    ledger_.insert(spec, now_);
    return apply(reactor_->submit(spec, now_));
}

Actions Cluster::cancel(const std::string& id) {
    return apply(reactor_->cancel(RunId(id), "ada", now_));
}

Actions Cluster::report(const std::string& node, const std::string& run, NodePhase phase,
                        std::optional<Outcome> outcome, const std::string& detail) {
    const auto wanted = desired(node, run);
    EXPECT_TRUE(wanted) << "node " << node << " has nothing of run " << run;
    return report_all(node, {NodeReport{RunId(run), wanted ? wanted->fence : 0, phase, detail, std::move(outcome)}});
}

Actions Cluster::report_all(const std::string& node, const std::vector<NodeReport>& reports) {
    return apply(reactor_->report(NodeName(node), reports, now_));
}

void Cluster::heartbeat(const std::string& node) {
    apply(reactor_->heartbeat(NodeName(node), now_));
}

void Cluster::reboot(const std::string& node) {
    NodeSpec& spec = specs_.at(node);
    ++spec.incarnation;
    spec.boot_id += "x";
    apply(reactor_->node_up(spec, now_).value());
}

void Cluster::drain(const std::string& node, bool drained) {
    apply(reactor_->set_drained(NodeName(node), drained, now_));
}

void Cluster::pass(Millis span) {
    const Time until = now_ + span;
    for (auto next = reactor_->next_deadline(); next && *next <= until; next = reactor_->next_deadline()) {
        now_ = std::max(now_, *next);
        apply(reactor_->tick(now_));
    }
    now_ = until;
}

void Cluster::pass(Millis span, const std::vector<std::string>& talking) {
    const Time until = now_ + span;
    while (now_ < until) {
        pass(std::min<Millis>(10s, until - now_));
        for (const std::string& each : talking) {
            heartbeat(each);
        }
    }
}

void Cluster::restart() {
    reactor_ = std::make_unique<Reactor>(limits_, ledger_.highest_fence() + 1);
    for (const auto& [name, spec] : specs_) {
        reactor_->restore_node(spec, false, now_);
    }
    for (const auto& [id, run] : ledger_.active()) {
        reactor_->restore_run(run, now_);
    }
    apply(reactor_->tick(now_));
}

void Cluster::run_to_end(const std::string& node, const std::string& run) {
    report(node, run, NodePhase::done, ended_well());
}

RunStatus Cluster::status(const std::string& run) const {
    const StoredRun* stored = ledger_.find(RunId(run));
    EXPECT_NE(stored, nullptr) << run;
    return stored == nullptr ? RunStatus::not_started : stored->status;
}

std::string Cluster::history(const std::string& run) const {
    std::string words = "NotStarted";
    const auto found = moves_.find(RunId(run));
    if (found != moves_.end()) {
        for (const MoveRun& move : found->second) {
            words += " " + std::string(to_wire(move.to));
        }
    }
    return words;
}

std::string Cluster::reason(const std::string& run) const {
    const auto view = reactor_->find_run(RunId(run), now_);
    return view ? view->reason : "(not active)";
}

std::string Cluster::last_move_reason(const std::string& run) const {
    const auto found = moves_.find(RunId(run));
    return found == moves_.end() ? "" : found->second.back().reason;
}

std::optional<Outcome> Cluster::outcome(const std::string& run) const {
    const StoredRun* stored = ledger_.find(RunId(run));
    return stored == nullptr ? std::nullopt : stored->outcome;
}

std::vector<std::string> Cluster::nodes_of(const std::string& run) const {
    std::vector<std::string> names;
    if (const auto view = reactor_->find_run(RunId(run), now_)) {
        for (const NodeName& name : view->nodes) {
            names.push_back(name.str());
        }
    }
    return names;
}

std::optional<Desired> Cluster::desired(const std::string& node, const std::string& run) const {
    for (Desired& each : reactor_->desired(NodeName(node))) {
        if (each.run == RunId(run)) {
            return std::move(each);
        }
    }
    return std::nullopt;
}

std::optional<Want> Cluster::want(const std::string& node, const std::string& run) const {
    const auto found = desired(node, run);
    return found ? std::optional(found->want) : std::nullopt;
}

NodeView Cluster::node(const std::string& name) const {
    for (NodeView& each : reactor_->nodes()) {
        if (each.spec.name == NodeName(name)) {
            return std::move(each);
        }
    }
    ADD_FAILURE() << "no node " << name;
    return {};
}

Outcome ended_well() {
    Outcome outcome;
    outcome.started = true;
    return outcome;
}

Outcome failed_with(int exit_code, const std::string& code, int rank) {
    Outcome outcome;
    outcome.started = true;
    outcome.exit_code = exit_code;
    outcome.code = code;
    outcome.rank = rank;
    outcome.message = "exit code " + std::to_string(exit_code);
    return outcome;
}

Outcome stopped_outcome() {
    Outcome outcome;
    outcome.started = true;
    outcome.signal = 15;
    outcome.stopped = true;
    return outcome;
}

} // namespace linarite::core
