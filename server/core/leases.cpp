// Which nodes live, and what becomes of the runs of those that do not.
#include "server/core/turn.hpp"

#include <algorithm>
#include <utility>

namespace linarite::core {

namespace {

bool needs_word(RunStatus status) {
    return status == RunStatus::preparing || status == RunStatus::starting || status == RunStatus::running;
}

/// The runs with something left to do on the node. By id: handling one may end others' parts or the run itself.
std::vector<RunId> runs_on(const Node& node) {
    std::vector<RunId> ids;
    for (const auto& part : node.parts) {
        if (part->owner != nullptr && part->phase < NodePhase::done) {
            ids.push_back(part->run);
        }
    }
    return ids;
}

/// The parts of a run that keep it from its end.
std::vector<NodeName> laggards(const Run& run, NodePhase below) {
    std::vector<NodeName> names;
    for (const auto& part : run.parts) {
        if (part->phase < below) {
            names.push_back(part->node->spec.name);
        }
    }
    return names;
}

} // namespace

void Turn::node_up(NodeSpec spec) {
    const auto [at, is_new] = board_.nodes.try_emplace(spec.name);
    Node& node = at->second;
    if (is_new) {
        node.spec = spec;
        node.spec.targets.clear();
        node.awaiting_report = true;
    } else if (node.spec.boot_id != spec.boot_id) {
        if (!node.spec.boot_id.empty()) {
            reboot(node);
        }
        node.spec.boot_id = spec.boot_id;
    }
    if (node.spec.incarnation != spec.incarnation) {
        node.spec.incarnation = spec.incarnation;
        for (const auto& part : node.parts) {
            part->absences = 0; // a new agent process learns what it has from its first answer
        }
    }
    if (node.spec.targets != spec.targets) {
        dirty_pools_.insert(node.spec.targets.begin(), node.spec.targets.end());
        board_.set_targets(node, std::move(spec.targets));
        refresh(node);
    }
    if (node.spec.slots != spec.slots) {
        node.spec.slots = spec.slots;
        refresh(node);
    }
    word(node);
}

void Turn::word(Node& node) {
    node.last_seen = now_;
    if (node.up) {
        return; // an armed deadline finds out by itself that the lease was renewed
    }
    node.up = true;
    node.lost = false;
    node.down_since.reset();
    if (std::exchange(node.restored, false)) {
        node.awaiting_report = true;
    }
    board_.arm(node, now_ + board_.limits.lease);
    refresh(node);
    for (const RunId& id : runs_on(node)) {
        if (Run* run = board_.find_run(id); run != nullptr && run->status == RunStatus::not_responding) {
            advance(*run);
        }
    }
}

void Turn::set_drained(Node& node, bool drained) {
    if (node.drained != drained) {
        node.drained = drained;
        refresh(node);
    }
}

void Turn::remove(Node& node) {
    const NodeName name = node.spec.name;
    refresh(node); // its pools get to know, whatever is left of them
    board_.set_targets(node, {});
    board_.arm(node, std::nullopt);
    board_.kept_free.erase(&node);
    board_.nodes.erase(name);
}

void Turn::tick() {
    settle_restored();
    while (!board_.node_deadlines.empty() && board_.node_deadlines.begin()->first <= now_) {
        node_deadline(*board_.find_node(board_.node_deadlines.begin()->second));
    }
    while (!board_.run_deadlines.empty() && board_.run_deadlines.begin()->first <= now_) {
        run_deadline(*board_.find_run(board_.run_deadlines.begin()->second));
    }
}

void Turn::node_deadline(Node& node) {
    const Limits& limits = board_.limits;
    if (!node.down_since) {
        const Time ends = node.last_seen + limits.lease;
        if (ends > now_) {
            board_.arm(node, ends);
            return;
        }
        // Counted from when the silence was noticed: a coordinator that was suspended must not find everything lost.
        board_.arm(node, now_ + std::max(limits.lost_after - limits.lease, Millis(1)));
        go_silent(node);
        return;
    }
    board_.arm(node, std::nullopt);
    lose(node);
}

void Turn::go_silent(Node& node) {
    node.up = false;
    node.down_since = now_;
    refresh(node);
    const std::string silent =
        "no word from node '" + node.spec.name.str() + "' for " + format_duration(now_ - node.last_seen);
    for (const RunId& id : runs_on(node)) {
        Run* run = board_.find_run(id);
        if (run == nullptr) {
            continue;
        }
        if (run->status == RunStatus::provisioning) {
            requeue(*run, run->attempt, silent + " before it took the run");
        } else if (needs_word(run->status)) {
            move(*run, RunStatus::not_responding, silent);
            advance(*run);
        }
    }
}

void Turn::lose(Node& node) {
    node.lost = true;
    const std::string why =
        "node '" + node.spec.name.str() + "' was lost: no word for " + format_duration(now_ - node.last_seen);
    for (const RunId& id : runs_on(node)) {
        Run* run = board_.find_run(id);
        if (run != nullptr && run->status == RunStatus::not_responding) {
            give_up(*run, node.spec.name, why);
        } else if (run != nullptr && run->status == RunStatus::finalizing) {
            lose_parts(*run, node);
        }
    }
}

/// What is still to come from the node is not waited for any longer.
void Turn::lose_parts(Run& run, const Node& node) {
    for (const auto& part : run.parts) {
        part->lost = part->lost || (part->node == &node && part->phase < NodePhase::done);
    }
    advance(run);
}

void Turn::reboot(Node& node) {
    const std::vector<std::shared_ptr<Part>> parts = node.parts;
    for (const auto& part : parts) {
        if (part->owner != nullptr && part->phase < NodePhase::done) {
            reboot_part(part);
        }
        if (part->owner == nullptr) {
            part->phase = NodePhase::done;
            drop_part(part);
        }
    }
    touch(node);
}

/// Nothing of it runs any more, and nothing more comes from it.
void Turn::reboot_part(const std::shared_ptr<Part>& part) {
    Run& run = *part->owner;
    if (run.status == RunStatus::cancel_requested || run.status == RunStatus::finalizing) {
        part->phase = NodePhase::done;
        part->lost = true;
        refresh(*part->node);
        advance(run);
        return;
    }
    give_up(run, part->node->spec.name, "node '" + part->node->spec.name.str() + "' was lost: it was restarted");
}

void Turn::run_deadline(Run& run) {
    switch (run.status) {
    case RunStatus::provisioning:
    case RunStatus::preparing: overdue_preparing(run); return;
    case RunStatus::finalizing: overdue_finalizing(run); return;
    case RunStatus::cancel_requested: overdue_stopping(run); return;
    case RunStatus::not_started:
    case RunStatus::queued:
    case RunStatus::starting:
    case RunStatus::running:
    case RunStatus::not_responding:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: board_.arm(run, std::nullopt);
    }
}

void Turn::overdue_preparing(Run& run) {
    const auto late = std::find_if(run.parts.begin(), run.parts.end(),
                                   [](const auto& part) { return part->phase < NodePhase::ready; });
    const Part& first = late == run.parts.end() ? *run.parts.front() : **late;
    const std::string reason = name_nodes(laggards(run, NodePhase::ready)) + " did not get ready within " +
                               format_duration(now_ - run.placed) +
                               (first.detail.empty() ? "" : " (" + first.detail + ")");
    Outcome outcome;
    outcome.node = first.node->spec.name;
    outcome.code = "ServiceError";
    outcome.message = reason;
    run.outcome = std::move(outcome);
    run.stop_reason = reason;
    if (run.status == RunStatus::provisioning) {
        end(run, RunStatus::failed, reason);
        return;
    }
    move(run, RunStatus::finalizing, reason);
    touch_gang(run);
    advance(run);
}

void Turn::overdue_finalizing(Run& run) {
    const std::vector<NodeName> late = laggards(run, NodePhase::done);
    const std::string reason =
        name_nodes(late) + " did not send the last files of the run within " + format_duration(now_ - run.timer_from);
    Outcome outcome = run.outcome.value_or(Outcome{});
    if (!run.outcome || succeeded(outcome)) {
        outcome.node = late.empty() ? NodeName() : late.front();
        outcome.code = "ServiceError";
        outcome.message = reason;
    }
    run.outcome = std::move(outcome);
    end(run, RunStatus::failed, reason);
}

void Turn::overdue_stopping(Run& run) {
    const std::vector<NodeName> running = laggards(run, NodePhase::exited);
    const std::string span = " within " + format_duration(now_ - run.timer_from);
    end(run, RunStatus::canceled,
        running.empty()
            ? run.stop_reason + "; not all of its last files were sent" + span
            : run.stop_reason + "; orphan suspected: " + name_nodes(running) + " did not say that it has ended" + span);
}

/// After a restart: what was stored half-way goes on, and what has no placement although it should is given up.
void Turn::settle_restored() {
    const std::vector<RunId> ids = std::exchange(board_.restored, {});
    for (const RunId& id : ids) {
        Run* run = board_.find_run(id);
        if (run == nullptr) {
            continue;
        }
        if (run->status == RunStatus::not_started) {
            move(*run, RunStatus::queued, "submitted");
            board_.enqueue(*run);
        } else if (run->status == RunStatus::cancel_requested || run->status == RunStatus::finalizing) {
            advance(*run);
        } else if (run->status != RunStatus::queued && run->parts.empty()) {
            give_up(*run, {}, "its nodes are not in the run history");
        }
    }
    pass_ = pass_ || !ids.empty();
}

} // namespace linarite::core
