// agent/launch/mpi_plan.hpp: what one node starts for an MPI run. Room-internal.
#pragma once

#include "agent/launch/plan.hpp"

namespace linarite::agent {

/// Fills in the launcher (mpirun on the lead node, its daemon on the others) and what each rank gets. `env` is
/// run_environment()'s, `argv` the user's program.
Result<void> plan_mpi(const LaunchOrder& order, const std::map<std::string, std::string>& env,
                      std::vector<std::string> argv, LaunchPlan& plan);

/// The name of this host's network interface that has the address; "" if none has.
std::string interface_of(const std::string& address);

} // namespace linarite::agent
