// agent/launch/group_plan.hpp: what one node starts for a run whose processes find each other without mpirun: a process
// group, or workers with parameter servers. Room-internal.
#pragma once

#include "agent/launch/plan.hpp"

namespace linarite::agent {

/// Fills in `linarite-shim ranks` and what each process of this node gets. `env` is run_environment()'s, `argv` the
/// user's program.
void plan_group(const LaunchOrder& order, std::map<std::string, std::string> env, std::vector<std::string> argv,
                LaunchPlan& plan);

} // namespace linarite::agent
