// agent/launch/port_lease.hpp: TCP ports that a node keeps free for a run until its processes listen there.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <cstdint>
#include <vector>

namespace linarite::agent {

/// Ports one after the other that nobody listened at when they were taken, below those that the kernel hands out by
/// itself. A port cannot be kept by binding it, since the run's process binds it: other agents of this network
/// namespace are kept away by a name in the space of Unix sockets that has the same bounds, and is free again whenever
/// we end.
class PortLease {
public:
    /// `hint` spreads runs over the range. resource_exhausted if there is no such row of ports.
    static Result<PortLease> take(int count, std::uint64_t hint);
    /// Those that an earlier agent process took: the run may listen there by now.
    static PortLease take_again(int first, int count);

    [[nodiscard]] int first() const { return first_; }

private:
    explicit PortLease(int first) : first_(first) {}
    int first_ = 0;
    std::vector<UniqueFd> names_;
};

} // namespace linarite::agent
