// agent/launch/mpi_plan.hpp: what one node starts for an MPI run.
#pragma once

#include "agent/launch/plan.hpp"

namespace linarite::agent {

/// Fills in the launcher (mpirun on the lead node, its daemon on the others) and what each rank gets. `env` is
/// run_environment()'s, `argv` the user's program.
Result<void> plan_mpi(const LaunchOrder& order, const std::map<std::string, std::string>& env,
                      std::vector<std::string> argv, LaunchPlan& plan);

/// The file of a program in the folders of a PATH; "" if it is in none.
std::string find_program(const std::string& path, const std::string& program);

/// A daemon's command line without what mpirun puts around it for users whose login shell is sh or ksh, to have their
/// profile read: what a run sees is ours to say.
std::string bare_daemon_command(const std::string& command);

/// A daemon's command line with the folder where Open MPI is on the lead node replaced by the one that `mpirun` of this
/// node is in: an Open MPI that knows its place (5, or one in an environment) names files by it.
std::string localized_daemon_command(const std::string& command, const std::string& mpirun);

/// For a node that a run finds no mpirun on.
Error no_mpirun(const std::string& node);

} // namespace linarite::agent
