// server/service/computes.hpp: use cases on compute targets: named pools of nodes.
#pragma once

#include "async/async.hpp"
#include "server/service/scheduler.hpp"
#include "server/store/store.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace linarite::service {

/// A pool as it is right now.
struct Compute {
    std::string name;
    std::string vm_size;
    bool built_in = true; // there by itself, or by a label of its nodes: nobody made it, nobody removes it
    std::string document; // as a client gave it; "" if nobody did
    Time created{};
    int idle = 0;
    int running = 0;
    int unusable = 0; // down
    int leaving = 0;  // drained
    [[nodiscard]] int up() const { return idle + running + leaving; }
    [[nodiscard]] int nodes() const { return up() + unusable; }
};

/// A kind of machine that there is, by the name that a pool may ask for.
struct VmSize {
    std::string name;
    int cores = 0;
    std::uint64_t memory_bytes = 0;
    int gpus = 0;
};

/// One node for a client that asks who is in a pool.
struct ComputeNode {
    NodeName name;
    std::string address;
    std::string state; // "idle", "running", "leaving", "unusable"
    std::vector<RunId> runs;
};

/// "cpu-cluster" and "local" have all nodes, "gpu-cluster" those with GPUs, NAME those with the label "target=NAME". A
/// pool that a client made has the nodes whose label "vm_size=X" says the size that it asked for, or all nodes if no
/// node has such a label: most owners of machines do not care what they were called elsewhere.
class Computes {
public:
    Computes(store::Store& store, Scheduler& scheduler, const Clock& clock);
    /// Reads pools and nodes; call once, before the scheduler's restore.
    asio::awaitable<Result<void>> restore();

    /// What the scheduler is to know of a node.
    [[nodiscard]] std::set<std::string> targets_of(const std::vector<std::string>& labels, int gpus) const;
    /// A node's labels, as it says them now. True if pools have other nodes than before.
    bool note_node(const NodeName& name, const std::vector<std::string>& labels);
    bool forget_node(const NodeName& name);

    /// By name.
    asio::awaitable<Result<std::vector<Compute>>> list();
    /// Whatever the case of its name.
    asio::awaitable<Result<Compute>> find(std::string name);
    asio::awaitable<Result<std::vector<VmSize>>> sizes();
    asio::awaitable<Result<std::vector<ComputeNode>>> nodes_of(std::string name);
    /// Makes it, or replaces what was asked of it; its nodes serve it at once. A built-in one stays what it is.
    asio::awaitable<Result<Compute>> put(store::ComputeTargetRow row);
    /// conflict while it has runs, invalid_argument for a built-in one.
    asio::awaitable<Result<void>> remove(std::string name);

private:
    [[nodiscard]] bool sized_nodes() const;
    [[nodiscard]] std::vector<Compute> survey(const std::vector<store::NodeRow>& rows) const;
    [[nodiscard]] Result<void> check_unused(const std::string& name) const;

    store::Store& store_;
    Scheduler& scheduler_;
    const Clock& clock_;
    std::map<std::string, store::ComputeTargetRow> made_; // by name
    std::map<NodeName, std::string> sizes_;               // in upper case; "" for nodes that do not say
};

} // namespace linarite::service
