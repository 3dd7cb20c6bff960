// The life of a run: which moves follow from what its nodes have said.
#include "server/core/turn.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace linarite::core {

namespace {

/// Has got as far as `phase` on the way of a run that starts; one that ended before its launch has not.
bool reached(const Part& part, NodePhase phase) {
    const bool never_started = part.phase >= NodePhase::exited && part.outcome && !part.outcome->started;
    return part.phase >= phase && !never_started;
}

std::vector<NodeName> names_of(const Run& run) {
    std::vector<NodeName> names;
    names.reserve(run.parts.size());
    for (const auto& part : run.parts) {
        names.push_back(part->node->spec.name);
    }
    return names;
}

} // namespace

std::optional<Time> deadline_of(const Run& run, const Limits& limits) {
    switch (run.status) {
    case RunStatus::provisioning:
    case RunStatus::preparing: return run.placed + limits.prepare_barrier;
    case RunStatus::cancel_requested: return run.timer_from + limits.stop;
    case RunStatus::finalizing: return run.timer_from + limits.finalize;
    case RunStatus::not_started:
    case RunStatus::queued:
    case RunStatus::starting:
    case RunStatus::running:
    case RunStatus::not_responding:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: break;
    }
    return std::nullopt;
}

void Turn::move(Run& run, RunStatus to, std::string reason) {
    if (!may_move(run.status, to)) {
        throw std::logic_error("run '" + run.spec.id.str() + "': no move from " + std::string(to_wire(run.status)) +
                               " to " + std::string(to_wire(to)));
    }
    MoveRun action{run.spec.id, run.status, to, ++run.sequence, run.attempt, run.fence, now_, std::move(reason), {}};
    if (is_terminal(to) || to == RunStatus::finalizing || to == RunStatus::cancel_requested) {
        action.outcome = run.outcome;
    }
    if (to == RunStatus::not_responding) {
        run.before = run.status;
    }
    if (to == RunStatus::running && !run.running_since) {
        run.running_since = now_;
    }
    run.status = to;
    run.changed = now_;
    run.timer_from = now_;
    run.reason = action.reason;
    board_.arm(run, deadline_of(run, board_.limits));
    actions_.emplace_back(std::move(action));
}

void Turn::advance(Run& run) {
    while (step(run)) {
    }
}

/// One move, if there is one to be made; false also if it ended the run.
bool Turn::step(Run& run) {
    switch (run.status) {
    case RunStatus::provisioning: {
        const auto acted =
            std::find_if(run.parts.begin(), run.parts.end(), [](const auto& part) { return part->acted; });
        if (acted == run.parts.end()) {
            return false;
        }
        move(run, RunStatus::preparing, "node '" + (*acted)->node->spec.name.str() + "' has taken the run");
        return true;
    }
    case RunStatus::preparing: return prepared(run) || conclude(run);
    case RunStatus::starting:
        if (reached(*run.parts.front(), NodePhase::launched)) {
            move(run, RunStatus::running, "started on " + name_nodes(names_of(run)));
            return true;
        }
        return conclude(run);
    case RunStatus::running: return conclude(run);
    case RunStatus::not_responding: return resume(run);
    case RunStatus::cancel_requested: return conclude_cancel(run);
    case RunStatus::finalizing: return conclude_finalizing(run);
    case RunStatus::not_started:
    case RunStatus::queued:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: break;
    }
    return false;
}

bool Turn::prepared(Run& run) {
    if (!std::all_of(run.parts.begin(), run.parts.end(),
                     [](const auto& part) { return reached(*part, NodePhase::ready); })) {
        return false;
    }
    move(run, RunStatus::starting,
         run.parts.size() == 1 ? "node '" + run.parts.front()->node->spec.name.str() + "' is ready"
                               : "all " + count_of(run.parts.size(), "node") + " are ready");
    if (run.parts.size() > 1) {
        touch_gang(run);
    }
    return true;
}

bool Turn::resume(Run& run) {
    const bool all_back = std::all_of(run.parts.begin(), run.parts.end(), [](const auto& part) {
        return part->phase == NodePhase::done || part->node->up;
    });
    if (!all_back) {
        // A launcher that ended well needs no word from the silent node: its last files have their own deadline. A
        // failure may be nothing but the loss of that node, and then another attempt is due.
        const std::optional<Outcome> ended = verdict(run);
        if (!ended || (!succeeded(*ended) && !ended->timed_out)) {
            return false;
        }
    }
    move(run, run.before, all_back ? "all of its nodes respond again" : "it has ended on its first node");
    return true;
}

/// It ended, well or not, or ran out of its time.
bool Turn::conclude(Run& run) {
    std::optional<Outcome> ended = verdict(run);
    if (!ended) {
        return false;
    }
    if (ended->timed_out) {
        run.stop_reason = over_time_limit(run.spec);
        if (ended->message.empty()) {
            ended->message = "the run was stopped: it was " + run.stop_reason;
        }
        run.outcome = std::move(ended);
        move(run, RunStatus::cancel_requested, run.stop_reason);
        touch_gang(run);
        return true;
    }
    if (ended->stopped && ended->code.empty()) {
        ended->code = "ServiceError";
        if (ended->message.empty()) {
            ended->message = "the run was stopped on node '" + ended->node.str() + "' though nobody had asked for it";
        }
    }
    if (ended->code == "ServiceError" && run.attempt < run.spec.max_attempts) {
        give_up(run, ended->node, describe(*ended)); // not the script's fault: it has another attempt
        return false;
    }
    run.stop_reason = succeeded(*ended) ? "the run has ended on node '" + ended->node.str() + "'"
                                        : "node '" + ended->node.str() + "' failed: " + describe(*ended);
    std::string reason = "ended on node '" + ended->node.str() + "': " + describe(*ended);
    run.outcome = std::move(ended);
    move(run, RunStatus::finalizing, std::move(reason));
    touch_gang(run);
    return true;
}

bool Turn::conclude_cancel(Run& run) {
    if (!run.outcome || !run.outcome->timed_out) {
        const auto late = std::find_if(run.parts.begin(), run.parts.end(), [](const auto& part) {
            return part->outcome && part->outcome->timed_out; // learned again after a restart of ours
        });
        if (late != run.parts.end()) {
            run.outcome = (*late)->outcome;
        }
    }
    if (!run.all_parts_at_least(NodePhase::done)) {
        return false;
    }
    if (!run.outcome && !run.parts.empty() && run.parts.front()->outcome && run.parts.front()->outcome->started) {
        run.outcome = run.parts.front()->outcome;
    }
    end(run, RunStatus::canceled, run.stop_reason.empty() ? "canceled" : run.stop_reason);
    return false;
}

bool Turn::conclude_finalizing(Run& run) {
    if (!std::all_of(run.parts.begin(), run.parts.end(),
                     [](const auto& part) { return part->phase == NodePhase::done || part->lost; })) {
        return false;
    }
    if (!run.outcome) { // only a damaged history has none here
        run.outcome = Outcome{};
        run.outcome->code = "ServiceError";
        run.outcome->message = "it is not known how the run ended";
    }
    refine(*run.outcome, run);
    const auto lost = std::find_if(run.parts.begin(), run.parts.end(), [](const auto& part) { return part->lost; });
    if (lost != run.parts.end() && succeeded(*run.outcome)) {
        run.outcome->code = "ServiceError";
        run.outcome->node = (*lost)->node->spec.name;
        run.outcome->message = "node '" + run.outcome->node.str() + "' was " +
                               ((*lost)->phase == NodePhase::done ? "restarted" : "lost") +
                               " before the last files of the run were sent";
    }
    const bool good = succeeded(*run.outcome);
    end(run, good ? RunStatus::completed : RunStatus::failed,
        good ? "all logs and outputs are stored" : describe(*run.outcome));
    return false;
}

} // namespace linarite::core
