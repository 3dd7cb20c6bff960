#include "server/core/reactor.hpp"

#include "server/core/turn.hpp"

#include <algorithm>
#include <utility>

namespace linarite::core {

struct Reactor::State {
    Board board;
};

namespace {

bool is_on_nodes(RunStatus status) {
    return status != RunStatus::not_started && status != RunStatus::queued && !is_terminal(status);
}

void restore_parts(Board& board, Run& run, const std::vector<NodeName>& nodes, Time now) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto [at, is_new] = board.nodes.try_emplace(nodes[i]);
        Node& node = at->second;
        if (is_new) { // its row is gone; it may come back
            node.spec.name = nodes[i];
            node.restored = true;
            node.last_seen = now;
            board.arm(node, now + board.limits.lease);
        }
        auto part = std::make_shared<Part>();
        part->run = run.spec.id;
        part->fence = run.fence;
        part->attempt = run.attempt;
        part->index = static_cast<int>(i);
        part->gang = nodes;
        part->node = &node;
        part->owner = &run;
        // how far it is the node will say; that it knows of the run is certain
        part->acted = run.status != RunStatus::provisioning;
        part->since = run.running_since.value_or(run.changed);
        run.parts.push_back(part);
        node.parts.push_back(std::move(part));
        board.refresh(node);
    }
}

RunView view_of(const Run& run, std::string reason) {
    RunView view;
    view.spec = run.spec;
    view.status = run.status;
    view.attempt = run.attempt;
    view.fence = run.fence;
    for (const auto& part : run.parts) {
        view.nodes.push_back(part->node->spec.name);
        view.phases.push_back(part->phase);
    }
    view.changed = run.changed;
    view.reason = std::move(reason);
    return view;
}

} // namespace

Reactor::Reactor(Limits limits, Fence next_fence) : state_(std::make_unique<State>()) {
    state_->board.limits = limits;
    state_->board.next_fence = next_fence;
}

Reactor::~Reactor() = default;

void Reactor::restore_node(NodeSpec spec, bool drained, Time now) {
    Board& board = state_->board;
    Node& node = board.nodes[spec.name];
    std::set<std::string> targets = std::exchange(spec.targets, {});
    node.spec = std::move(spec);
    node.drained = drained;
    node.restored = true;
    node.last_seen = now;
    board.set_targets(node, std::move(targets));
    board.arm(node, now + board.limits.lease);
}

void Reactor::restore_run(StoredRun stored, Time now) {
    Board& board = state_->board;
    if (is_terminal(stored.status)) {
        return;
    }
    const auto [at, is_new] = board.runs.try_emplace(stored.spec.id);
    if (!is_new) {
        return;
    }
    Run& run = at->second;
    run.spec = std::move(stored.spec);
    run.status = stored.status;
    run.before = may_move(stored.before_not_responding, RunStatus::not_responding) ? stored.before_not_responding
                                                                                   : RunStatus::running;
    run.sequence = stored.sequence;
    run.attempt = std::max(stored.attempt, 1);
    run.fence = stored.fence;
    run.outcome = std::move(stored.outcome);
    run.changed = stored.changed;
    run.timer_from = now;
    run.placed = now;
    run.running_since = stored.running_since;
    run.reason = "as it was before the coordinator was restarted";
    board.next_fence = std::max(board.next_fence, stored.fence + 1);
    if (run.status == RunStatus::queued) {
        run.running_since.reset();
        board.enqueue(run);
    }
    if (is_on_nodes(run.status) && stored.nodes.size() == static_cast<std::size_t>(run.spec.node_count)) {
        restore_parts(board, run, stored.nodes, now);
    }
    board.arm(run, deadline_of(run, board.limits));
    board.restored.push_back(run.spec.id);
}

Result<void> Reactor::check_submit(const RunSpec& spec) const {
    return core::check_submit(state_->board, spec);
}

Actions Reactor::submit(RunSpec spec, Time now) {
    Turn turn(state_->board, now);
    turn.submit(std::move(spec));
    return turn.finish();
}

Actions Reactor::cancel(const RunId& id, const std::string& who, Time now) {
    Turn turn(state_->board, now);
    turn.cancel(id, who);
    return turn.finish();
}

Result<Actions> Reactor::node_up(NodeSpec spec, Time now) {
    const Node* known = state_->board.find_node(spec.name);
    if (known != nullptr && spec.incarnation < known->spec.incarnation) {
        return Error(Errc::gone, "a newer agent has registered as node '" + spec.name.str() + "'");
    }
    Turn turn(state_->board, now);
    turn.node_up(std::move(spec));
    return turn.finish();
}

Actions Reactor::heartbeat(const NodeName& name, Time now) {
    Turn turn(state_->board, now);
    if (Node* node = state_->board.find_node(name)) {
        turn.word(*node);
    }
    return turn.finish();
}

Actions Reactor::report(const NodeName& name, const std::vector<NodeReport>& reports, Time now) {
    Turn turn(state_->board, now);
    if (Node* node = state_->board.find_node(name)) {
        turn.report(*node, reports);
    }
    return turn.finish();
}

Actions Reactor::set_drained(const NodeName& name, bool drained, Time now) {
    Turn turn(state_->board, now);
    if (Node* node = state_->board.find_node(name)) {
        turn.set_drained(*node, drained);
    }
    return turn.finish();
}

Result<Actions> Reactor::remove_node(const NodeName& name, Time now) {
    Node* node = state_->board.find_node(name);
    if (node == nullptr) {
        return Error(Errc::not_found, "node '" + name.str() + "' not found");
    }
    for (const auto& part : node->parts) {
        // what a silent node still has is nobody's concern any more; it is refused when it comes back
        if (part->owner != nullptr || node->up) {
            return Error(Errc::conflict, "node '" + name.str() + "' has run '" + part->run.str() + "'");
        }
    }
    Turn turn(state_->board, now);
    turn.remove(*node);
    return turn.finish();
}

Actions Reactor::tick(Time now) {
    Turn turn(state_->board, now);
    turn.tick();
    return turn.finish();
}

std::optional<Time> Reactor::next_deadline() const {
    const Board& board = state_->board;
    std::optional<Time> next;
    if (!board.node_deadlines.empty()) {
        next = board.node_deadlines.begin()->first;
    }
    if (!board.run_deadlines.empty() && (!next || board.run_deadlines.begin()->first < *next)) {
        next = board.run_deadlines.begin()->first;
    }
    return next;
}

std::vector<Desired> Reactor::desired(const NodeName& name) const {
    std::vector<Desired> all;
    const Node* node = state_->board.find_node(name);
    if (node == nullptr) {
        return all;
    }
    for (const auto& part : node->parts) {
        if (part->foreign) {
            continue; // it is not wanted, and ends by that
        }
        Desired desired;
        desired.run = part->run;
        desired.fence = part->fence;
        desired.attempt = part->attempt;
        desired.node_index = part->index;
        desired.gang = part->gang;
        desired.last_attempt = part->owner == nullptr || part->attempt >= part->owner->spec.max_attempts;
        desired.want = part->owner == nullptr ? Want::stop : wanted(*part);
        if (desired.want == Want::stop) {
            desired.stop_reason = part->owner == nullptr ? part->stop_reason : part->owner->stop_reason;
        }
        all.push_back(std::move(desired));
    }
    return all;
}

std::optional<RunView> Reactor::find_run(const RunId& id, Time now) const {
    const Board& board = state_->board;
    const Run* run = std::as_const(board).find_run(id);
    if (run == nullptr) {
        return std::nullopt;
    }
    return view_of(*run, explain(board, *run, now));
}

std::vector<RunView> Reactor::active_runs(Time now) const {
    const Board& board = state_->board;
    std::vector<RunView> views;
    std::vector<const Run*> waiting;
    views.reserve(board.runs.size());
    for (const auto& [id, run] : board.runs) {
        if (run.status == RunStatus::queued) {
            waiting.push_back(&run);
        } else {
            views.push_back(view_of(run, explain(board, run, now)));
        }
    }
    std::sort(waiting.begin(), waiting.end(), QueueOrder());
    QueueExplainer explainer(board, now);
    std::map<std::string, std::pair<std::size_t, const Run*>> ahead; // by pool
    for (const Run* run : waiting) {
        auto& [count, first] = ahead[run->spec.target];
        views.push_back(view_of(*run, explainer.text(*run, std::min(count, QueueExplainer::count_limit), first)));
        first = first == nullptr ? run : first;
        ++count;
    }
    return views;
}

std::vector<NodeView> Reactor::nodes() const {
    std::vector<NodeView> views;
    for (const auto& [name, node] : state_->board.nodes) {
        NodeView view;
        view.spec = node.spec;
        view.up = node.up;
        view.drained = node.drained;
        view.last_seen = node.last_seen;
        view.down_since = node.down_since;
        for (const auto& part : node.parts) {
            if (part->phase != NodePhase::done) {
                view.runs.push_back(part->run);
            }
        }
        views.push_back(std::move(view));
    }
    return views;
}

std::set<std::string> Reactor::targets() const {
    std::set<std::string> names;
    for (const auto& [name, pool] : state_->board.pools) {
        if (!pool.members.empty()) {
            names.insert(name);
        }
    }
    return names;
}

std::size_t Reactor::queue_length() const {
    return state_->board.queued;
}

} // namespace linarite::core
