// What must hold at every event of a simulation.
#include "unit/server_core/simulation.hpp"

#include <algorithm>
#include <tuple>

namespace linarite::core {

namespace {

bool goes_before(const RunSpec& a, const RunSpec& b) {
    return std::tie(b.priority, a.submitted, a.id) < std::tie(a.priority, b.submitted, b.id);
}

bool holds(const NodeView& node, const RunId& run) {
    return std::find(node.runs.begin(), node.runs.end(), run) != node.runs.end();
}

} // namespace

const SimulatedAgent* Simulation::agent(const NodeName& name) const {
    const auto found =
        std::find_if(agents_.begin(), agents_.end(), [&](const auto& each) { return each.spec.name == name; });
    return found == agents_.end() ? nullptr : &*found;
}

void Simulation::apply(const Actions& actions) {
    ledger_.apply(actions);
    faults_.insert(faults_.end(), ledger_.faults().begin(), ledger_.faults().end());
    bool placed = false;
    for (const Action& action : actions) {
        if (const auto* move = std::get_if<MoveRun>(&action)) {
            moves_seen_.emplace(move->from, move->to);
            check_end(*move);
        }
        placed = placed || std::holds_alternative<AssignRun>(action);
    }
    if (placed) {
        check_order(actions);
    }
}

/// Completed means that all is sent, and Canceled that nothing runs, unless it says that this is not known.
void Simulation::check_end(const MoveRun& move) {
    const bool canceled = move.to == RunStatus::canceled && move.reason.find("orphan suspected") == std::string::npos;
    if (move.to != RunStatus::completed && !canceled) {
        return;
    }
    const StoredRun* run = ledger_.find(move.run);
    for (const NodeName& name : run->nodes) {
        const SimulatedAgent* node = agent(name);
        if (node->has_before(move.run, move.fence, canceled ? NodePhase::exited : NodePhase::done)) {
            fault("run '" + move.run.str() + "' is " + std::string(to_wire(move.to)) + " while it goes on on node '" +
                  name.str() + "'");
        }
    }
}

/// The first waiting run of a pool that its usable nodes could hold.
const RunSpec* Simulation::head_of(const std::string& target) const {
    const RunSpec* head = nullptr;
    const int usable = usable_nodes(target);
    for (const auto& [id, run] : ledger_.active()) {
        if (run.status == RunStatus::queued && run.spec.target == target && run.spec.node_count <= usable &&
            (head == nullptr || goes_before(run.spec, *head))) {
            head = &run.spec;
        }
    }
    return head;
}

int Simulation::usable_nodes(const std::string& target) const {
    int usable = 0;
    for (const NodeView& node : reactor_->nodes()) {
        const SimulatedAgent* known = agent(node.spec.name);
        const bool in_pool = node.spec.targets.contains(target);
        usable += in_pool && node.up && !node.drained && known->has_spoken ? 1 : 0;
    }
    return usable;
}

/// Undoes the placements of this call one by one, the last first, and looks at what each of them found.
void Simulation::check_order(const Actions& actions) {
    std::map<NodeName, NodeView> nodes;
    for (NodeView& node : reactor_->nodes()) {
        const NodeName name = node.spec.name;
        nodes.emplace(name, std::move(node));
    }
    for (auto at = actions.rbegin(); at != actions.rend(); ++at) {
        const auto* placed = std::get_if<AssignRun>(&*at);
        if (placed == nullptr) {
            continue;
        }
        check_placement(*placed, nodes);
        for (const NodeName& name : placed->nodes) {
            std::erase(nodes.at(name).runs, placed->run);
        }
    }
}

/// A run that may take for ever must not take the last slot of a node that an older waiting run could use.
void Simulation::check_placement(const AssignRun& placed, const std::map<NodeName, NodeView>& after) {
    const StoredRun* run = ledger_.find(placed.run);
    for (const NodeName& name : placed.nodes) {
        const NodeView& node = after.at(name);
        const auto used = static_cast<int>(node.runs.size());
        if (used > node.spec.slots || !node.up || node.drained || !agent(name)->has_spoken) {
            fault("run '" + placed.run.str() + "' was placed on node '" + name.str() + "', which has no room");
        }
        if (run->spec.max_duration || used < node.spec.slots) {
            continue;
        }
        for (const std::string& target : node.spec.targets) {
            const RunSpec* head = head_of(target);
            if (head != nullptr && goes_before(*head, run->spec) && !holds(node, head->id)) {
                fault("run '" + placed.run.str() + "' took node '" + name.str() + "', for which run '" +
                      head->id.str() + "' waits");
            }
        }
    }
}

/// The reactor and the fold of its actions must agree.
void Simulation::check_everything() {
    const std::vector<RunView> views = reactor_->active_runs(now_);
    if (views.size() != ledger_.active().size()) {
        fault("the reactor has " + std::to_string(views.size()) + " runs, the history " +
              std::to_string(ledger_.active().size()));
    }
    std::size_t queued = 0;
    for (const RunView& view : views) {
        const StoredRun* stored = ledger_.find(view.spec.id);
        const bool on_nodes = view.status != RunStatus::queued;
        queued += on_nodes ? 0 : 1;
        if (stored == nullptr || stored->status != view.status || stored->attempt != view.attempt ||
            stored->fence != view.fence || stored->nodes != view.nodes) {
            fault("run '" + view.spec.id.str() + "' is not what its history says");
        }
        const std::set<NodeName> distinct(view.nodes.begin(), view.nodes.end());
        if (distinct.size() != (on_nodes ? static_cast<std::size_t>(view.spec.node_count) : 0U)) {
            fault("run '" + view.spec.id.str() + "' has " + std::to_string(distinct.size()) + " nodes");
        }
        if (view.reason.empty()) {
            fault("run '" + view.spec.id.str() + "' does not say why it is " + std::string(to_wire(view.status)));
        }
    }
    if (queued != reactor_->queue_length()) {
        fault("the queue's length is wrong");
    }
    for (const SimulatedAgent& each : agents_) {
        check_desired(each);
    }
}

void Simulation::check_desired(const SimulatedAgent& agent) {
    for (const Desired& each : reactor_->desired(agent.spec.name)) {
        const StoredRun* run = ledger_.find(each.run);
        const bool current =
            run != nullptr && !is_terminal(run->status) && run->status != RunStatus::queued && run->fence == each.fence;
        if (!current && each.want != Want::stop) {
            fault("node '" + agent.spec.name.str() + "' is still told to go on with run '" + each.run.str() + "'");
        }
        if (current && run->nodes.at(static_cast<std::size_t>(each.node_index)) != agent.spec.name) {
            fault("node '" + agent.spec.name.str() + "' has the wrong place in run '" + each.run.str() + "'");
        }
    }
}

void Simulation::check_all_free() {
    for (const auto& [id, run] : ledger_.active()) {
        const auto view = reactor_->find_run(id, now_);
        fault("run '" + id.str() + "' does not come to an end: " + std::string(to_wire(run.status)) + ", " +
              (view ? view->reason : "not active"));
    }
    for (const NodeView& node : reactor_->nodes()) {
        if (!node.runs.empty()) {
            fault("node '" + node.spec.name.str() + "' keeps a slot for run '" + node.runs.front().str() + "'");
        }
        if (!reactor_->desired(node.spec.name).empty()) {
            fault("node '" + node.spec.name.str() + "' is told of a run that is over");
        }
    }
}

} // namespace linarite::core
