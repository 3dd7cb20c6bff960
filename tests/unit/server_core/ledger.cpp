#include "unit/server_core/ledger.hpp"

#include <set>

namespace linarite::core {

void Ledger::insert(const RunSpec& spec, Time now) {
    StoredRun run;
    run.spec = spec;
    run.status = RunStatus::not_started;
    run.sequence = 1;
    run.changed = now;
    active_[spec.id] = std::move(run);
}

const StoredRun* Ledger::find(const RunId& id) const {
    if (const auto found = active_.find(id); found != active_.end()) {
        return &found->second;
    }
    const auto found = ended_.find(id);
    return found == ended_.end() ? nullptr : &found->second;
}

void Ledger::apply(const Actions& actions) {
    for (const Action& action : actions) {
        if (const auto* move = std::get_if<MoveRun>(&action)) {
            apply_move(*move);
        } else if (const auto* assign = std::get_if<AssignRun>(&action)) {
            apply_assign(*assign);
        }
    }
}

void Ledger::apply_move(const MoveRun& move) {
    const auto found = active_.find(move.run);
    if (found == active_.end()) {
        fault(move.run, "moved to " + std::string(to_wire(move.to)) + " though it is not active");
        return;
    }
    StoredRun& run = found->second;
    if (run.status != move.from || !may_move(move.from, move.to)) {
        fault(move.run, "moved from " + std::string(to_wire(move.from)) + " to " + std::string(to_wire(move.to)) +
                            " while it is " + std::string(to_wire(run.status)));
    }
    if (move.sequence != run.sequence + 1) {
        fault(move.run, "sequence " + std::to_string(move.sequence) + " after " + std::to_string(run.sequence));
    }
    if (move.fence != run.fence) {
        fault(move.run, "moved with fence " + std::to_string(move.fence));
    }
    if (move.reason.empty()) {
        fault(move.run, "moved without a reason");
    }
    if (move.from == RunStatus::not_responding && move.to != run.before_not_responding &&
        (move.to == RunStatus::preparing || move.to == RunStatus::starting || move.to == RunStatus::running)) {
        fault(move.run, "came back to another status than it had");
    }
    if (move.to == RunStatus::not_responding) {
        run.before_not_responding = move.from;
    }
    if (move.to == RunStatus::queued) {
        run.nodes.clear();
        run.outcome.reset();
        run.running_since.reset();
    }
    if (move.to == RunStatus::running && !run.running_since) {
        run.running_since = move.at;
    }
    if (move.to == RunStatus::finalizing && !move.outcome) {
        fault(move.run, "Finalizing without an outcome");
    }
    if (move.outcome) {
        run.outcome = move.outcome;
    }
    run.status = move.to;
    run.sequence = move.sequence;
    run.attempt = move.attempt;
    run.changed = move.at;
    if (is_terminal(move.to)) {
        ended_[move.run] = std::move(run);
        active_.erase(found);
    }
}

void Ledger::apply_assign(const AssignRun& assign) {
    const auto found = active_.find(assign.run);
    if (found == active_.end() || found->second.status != RunStatus::queued) {
        fault(assign.run, "placed though it is not queued");
        return;
    }
    StoredRun& run = found->second;
    if (assign.fence <= highest_fence_) {
        fault(assign.run, "fence " + std::to_string(assign.fence) + " is not a new one");
    }
    const std::set<NodeName> distinct(assign.nodes.begin(), assign.nodes.end());
    if (distinct.size() != assign.nodes.size() || distinct.size() != static_cast<std::size_t>(run.spec.node_count)) {
        fault(assign.run, "placed on " + std::to_string(distinct.size()) + " distinct nodes");
    }
    if (run.attempt != 0 && assign.attempt != run.attempt) {
        fault(assign.run, "placed for attempt " + std::to_string(assign.attempt));
    }
    highest_fence_ = std::max(highest_fence_, assign.fence);
    run.fence = assign.fence;
    run.attempt = assign.attempt;
    run.nodes = assign.nodes;
}

} // namespace linarite::core
