// What a turn is made of: taking nodes, leaving them, and the list of what is to be done.
#include "server/core/turn.hpp"

#include <algorithm>
#include <utility>

namespace linarite::core {

Turn::Turn(Board& board, Time now) : board_(board), now_(std::max(now, board.latest)) {
    board_.latest = now_;
}

void Turn::place(Run& run, const std::vector<Node*>& nodes) {
    board_.dequeue(run);
    dirty_pools_.insert(run.spec.target);
    run.fence = board_.next_fence++;
    run.placed = now_;
    std::vector<NodeName> gang;
    gang.reserve(nodes.size());
    for (const Node* node : nodes) {
        gang.push_back(node->spec.name);
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        auto part = std::make_shared<Part>();
        part->run = run.spec.id;
        part->fence = run.fence;
        part->attempt = run.attempt;
        part->index = static_cast<int>(i);
        part->gang = gang;
        part->node = nodes[i];
        part->owner = &run;
        part->since = now_;
        run.parts.push_back(part);
        nodes[i]->parts.push_back(std::move(part));
        board_.refresh(*nodes[i]);
        touch(*nodes[i]);
    }
    std::string reason = "placed on " + name_nodes(gang);
    actions_.emplace_back(AssignRun{run.spec.id, run.fence, run.attempt, std::move(gang)});
    move(run, RunStatus::provisioning, std::move(reason));
}

void Turn::detach(Run& run, const std::string& stop_reason) {
    const std::vector<std::shared_ptr<Part>> parts = std::exchange(run.parts, {});
    for (const auto& part : parts) {
        part->owner = nullptr;
        part->stop_reason = stop_reason;
        touch(*part->node);
        if (part->phase == NodePhase::done) {
            drop_part(part);
        }
    }
}

void Turn::requeue(Run& run, int attempt, const std::string& reason) {
    detach(run, "this attempt was given up: " + reason);
    run.attempt = attempt;
    run.outcome.reset();
    run.running_since.reset();
    run.stop_reason.clear();
    move(run, RunStatus::queued, reason);
    board_.enqueue(run);
    pass_ = true;
}

void Turn::give_up(Run& run, const NodeName& node, const std::string& why) {
    if (run.status == RunStatus::provisioning) {
        requeue(run, run.attempt, why);
        return;
    }
    if (run.status != RunStatus::not_responding) {
        move(run, RunStatus::not_responding, why);
    }
    if (run.attempt < run.spec.max_attempts) {
        requeue(run, run.attempt + 1, "attempt " + std::to_string(run.attempt) + " was lost: " + why);
        return;
    }
    Outcome outcome;
    outcome.started = run.running_since.has_value();
    outcome.node = node;
    outcome.code = "ServiceError";
    outcome.message = why;
    run.outcome = std::move(outcome);
    end(run, RunStatus::failed, why);
}

void Turn::end(Run& run, RunStatus terminal, std::string reason) {
    board_.dequeue(run);
    detach(run, "the run is over: " + reason);
    move(run, terminal, std::move(reason));
    board_.arm(run, std::nullopt);
    board_.runs.erase(board_.runs.find(run.spec.id));
}

void Turn::touch_gang(const Run& run) {
    for (const auto& part : run.parts) {
        if (part->phase < NodePhase::exited) {
            touch(*part->node);
        }
    }
}

void Turn::refresh(Node& node) {
    board_.refresh(node);
    pass_ = true;
    dirty_pools_.insert(node.spec.targets.begin(), node.spec.targets.end());
}

void Turn::drop_part(const std::shared_ptr<Part>& part) {
    Node& node = *part->node;
    board_.erase_part(part);
    refresh(node);
}

Actions Turn::finish() {
    if (pass_) {
        schedule(*this, board_);
    }
    // The first of each queue have watchers more often than not; those far behind learn of a new reason when they ask.
    constexpr int told = 16;
    for (const std::string& name : dirty_pools_) {
        if (const Pool* pool = board_.find_pool(name)) {
            int n = 0;
            for (auto at = pool->queue.begin(); at != pool->queue.end() && n < told; ++at, ++n) {
                changed_waits_.insert((*at)->spec.id);
            }
        }
    }
    for (const NodeName& name : changed_nodes_) {
        actions_.emplace_back(NodeChanged{name});
    }
    for (const RunId& id : changed_waits_) {
        if (board_.runs.contains(id)) {
            actions_.emplace_back(WaitChanged{id});
        }
    }
    return std::move(actions_);
}

} // namespace linarite::core
