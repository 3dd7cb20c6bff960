// agent/gang_barrier.hpp: what must be true before mpirun is started over several hosts: each node reaches each other
// one, and all have the same Open MPI. mpirun itself would hang, or fail with a page of text.
#pragma once

#include "agent/launch/interfaces.hpp"
#include "agent/launch/network_probe.hpp"
#include "common/ids.hpp"
#include "proto/agent_protocol.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

/// Whose part of which run it is.
struct BarrierPlace {
    RunId run;
    Fence fence = 0;
    NodeName node;
    std::string host_id;
    int node_index = 0;
};

/// One node's side of it. Lives on the agent's event loop.
class GangBarrier : public std::enable_shared_from_this<GangBarrier> {
public:
    /// Opens the port by which the others see whether they reach this node. `on_news`: report() has changed, or
    /// failure() has come.
    static Result<std::shared_ptr<GangBarrier>> open(asio::any_io_executor executor, BarrierPlace place,
                                                     const Interface& interface, std::string mpi_version,
                                                     std::function<void()> on_news);

    /// What the others say. Probes them as soon as all that are on other hosts have said where, once.
    void see(const std::vector<proto::GangMember>& gang);
    /// Nothing can come of the run: a line for each node that was not reached from here (unavailable).
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
    [[nodiscard]] const proto::NodeNetwork& report() const { return own_; }

private:
    GangBarrier(asio::any_io_executor executor, BarrierPlace place, std::function<void()> on_news);
    [[nodiscard]] std::vector<ProbeTarget> targets(const std::vector<proto::GangMember>& gang) const;
    void take(const std::vector<std::string>& unreached);

    asio::any_io_executor executor_;
    BarrierPlace place_;
    std::function<void()> on_news_;
    proto::NodeNetwork own_;
    std::unique_ptr<ProbeListener> listener_;
    bool probing_ = false;
    std::optional<Error> failure_;
};

/// The nodes that have not said yet that they reach all others; by name.
std::vector<std::string> unproven_nodes(const std::vector<proto::GangMember>& gang);

/// invalid_argument if the nodes' versions of Open MPI differ; those that are not known count as equal.
Result<void> check_versions(const std::vector<proto::GangMember>& gang);

} // namespace linarite::agent
