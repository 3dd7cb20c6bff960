#include "server/core/board.hpp"

#include <algorithm>
#include <tuple>

namespace linarite::core {

bool Run::all_parts_at_least(NodePhase phase) const {
    return std::all_of(parts.begin(), parts.end(), [phase](const auto& part) { return part->phase >= phase; });
}

bool QueueOrder::operator()(const Run* a, const Run* b) const {
    return std::tie(b->spec.priority, a->spec.submitted, a->spec.id) <
           std::tie(a->spec.priority, b->spec.submitted, b->spec.id);
}

bool FreeKey::operator<(const FreeKey& other) const {
    return std::tie(used, node->spec.name) < std::tie(other.used, other.node->spec.name);
}

bool Node::has_part_of(const RunId& run) const {
    return std::any_of(parts.begin(), parts.end(), [&](const auto& part) { return part->run == run; });
}

std::shared_ptr<Part> Node::find_part(const RunId& run, Fence fence) const {
    const auto found = std::find_if(parts.begin(), parts.end(),
                                    [&](const auto& part) { return part->fence == fence && part->run == run; });
    return found == parts.end() ? nullptr : *found;
}

Run* Board::find_run(const RunId& id) {
    const auto found = runs.find(id);
    return found == runs.end() ? nullptr : &found->second;
}

const Run* Board::find_run(const RunId& id) const {
    const auto found = runs.find(id);
    return found == runs.end() ? nullptr : &found->second;
}

Node* Board::find_node(const NodeName& name) {
    const auto found = nodes.find(name);
    return found == nodes.end() ? nullptr : &found->second;
}

const Pool* Board::find_pool(const std::string& name) const {
    const auto found = pools.find(name);
    return found == pools.end() ? nullptr : &found->second;
}

void Board::drop_if_unused(const std::string& pool) {
    const auto found = pools.find(pool);
    if (found != pools.end() && found->second.members.empty() && found->second.queue.empty()) {
        pools.erase(found);
    }
}

void Board::set_targets(Node& node, std::set<std::string> targets) {
    const std::set<std::string> old = node.spec.targets;
    for (const std::string& name : old) {
        Pool& pool = pools[name];
        if (node.listed_free) {
            pool.free.erase(FreeKey{node.listed_used, &node});
        }
        pool.usable -= node.usable ? 1 : 0;
        pool.members.erase(node.spec.name);
    }
    node.listed_free = false;
    node.usable = false;
    node.spec.targets = std::move(targets);
    for (const std::string& name : node.spec.targets) {
        Pool& pool = pools[name];
        pool.name = name;
        pool.members[node.spec.name] = &node;
    }
    for (const std::string& name : old) {
        drop_if_unused(name);
    }
    refresh(node);
}

void Board::refresh(Node& node) {
    node.used = static_cast<int>(std::count_if(node.parts.begin(), node.parts.end(),
                                               [](const auto& part) { return part->phase != NodePhase::done; }));
    const bool usable = node.up && !node.drained && !node.awaiting_report && node.spec.slots > 0;
    const bool free = usable && node.free_slots() > 0;
    if (usable == node.usable && free == node.listed_free && (!free || node.used == node.listed_used)) {
        return;
    }
    for (const std::string& name : node.spec.targets) {
        Pool& pool = pools[name];
        pool.usable += static_cast<int>(usable) - static_cast<int>(node.usable);
        if (node.listed_free) {
            pool.free.erase(FreeKey{node.listed_used, &node});
        }
        if (free) {
            pool.free.insert(FreeKey{node.used, &node});
        }
    }
    node.usable = usable;
    node.listed_free = free;
    node.listed_used = node.used;
}

void Board::enqueue(Run& run) {
    Pool& pool = pools[run.spec.target];
    pool.name = run.spec.target;
    pool.queue.insert(&run);
    pool.by_size[run.spec.node_count].insert(&run);
    pool.bounded += run.spec.max_duration ? 1 : 0;
    ++queued;
}

void Board::dequeue(Run& run) {
    const auto found = pools.find(run.spec.target);
    if (found == pools.end() || found->second.queue.erase(&run) == 0) {
        return;
    }
    Pool& pool = found->second;
    pool.by_size[run.spec.node_count].erase(&run); // an empty one stays: a pass may hold its end
    pool.bounded -= run.spec.max_duration ? 1 : 0;
    --queued;
    drop_if_unused(run.spec.target);
}

void Board::arm(Run& run, std::optional<Time> at) {
    if (run.deadline == at) {
        return;
    }
    if (run.deadline) {
        run_deadlines.erase({*run.deadline, run.spec.id});
    }
    run.deadline = at;
    if (at) {
        run_deadlines.emplace(*at, run.spec.id);
    }
}

void Board::arm(Node& node, std::optional<Time> at) {
    if (node.deadline == at) {
        return;
    }
    if (node.deadline) {
        node_deadlines.erase({*node.deadline, node.spec.name});
    }
    node.deadline = at;
    if (at) {
        node_deadlines.emplace(*at, node.spec.name);
    }
}

void Board::erase_part(const std::shared_ptr<Part>& part) {
    Node& node = *part->node;
    std::erase(node.parts, part);
    refresh(node);
}

Want wanted(const Part& part) {
    const Run& run = *part.owner;
    if (part.phase >= NodePhase::exited) {
        return Want::stop; // never "launch": an agent that forgot about it would start the script once more
    }
    switch (run.effective()) {
    case RunStatus::cancel_requested:
    case RunStatus::finalizing: return Want::stop;
    case RunStatus::starting:
    case RunStatus::running: return Want::launch;
    case RunStatus::not_started:
    case RunStatus::queued:
    case RunStatus::provisioning:
    case RunStatus::preparing:
    case RunStatus::not_responding:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: break;
    }
    // a single node has nobody to wait for
    return run.spec.node_count == 1 ? Want::launch : Want::prepare;
}

} // namespace linarite::core
