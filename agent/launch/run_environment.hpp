// agent/launch/run_environment.hpp: the environment variables of a run's processes. Room-internal.
#pragma once

#include "agent/launch/plan.hpp"

namespace linarite::agent {

/// How the run's nodes reach one another: loopback if all are on one host, else the gang's addresses.
std::vector<std::string> node_addresses(const LaunchOrder& order);
bool on_one_host(const std::vector<proto::GangMember>& gang);

/// What every process of the run on this node gets, Open MPI's settings apart. Later ones win: what the service
/// promises, the environment's, the user's, the coordinator's.
std::map<std::string, std::string> run_environment(const LaunchOrder& order, const LaunchPlan& plan);

/// Where the run's temporary files go on this node.
fs::path tmp_folder(const LaunchOrder& order);

} // namespace linarite::agent
