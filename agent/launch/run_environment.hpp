// agent/launch/run_environment.hpp: the environment variables of a run's processes. Room-internal.
#pragma once

#include "agent/launch/plan.hpp"

namespace linarite::agent {

/// How the run's nodes reach one another: loopback if all are on one host, else the gang's addresses.
std::vector<std::string> node_addresses(const LaunchOrder& order);
bool on_one_host(const std::vector<proto::GangMember>& gang);

/// The first of the ports that a node keeps for the run; 0 if it is not known.
int port_of(const LaunchOrder& order, int node);
/// MASTER_PORT: kept on the lead node, or, for a process that has nobody to meet, one that is probably free.
int rendezvous_port(const LaunchOrder& order);

/// What every process of the run on this node gets, Open MPI's settings and what is its own apart. Later ones win: what
/// the service promises, the environment's, the user's, the coordinator's.
std::map<std::string, std::string> run_environment(const LaunchOrder& order, const LaunchPlan& plan);

/// Where the run's temporary files go on this node.
fs::path tmp_folder(const LaunchOrder& order);

} // namespace linarite::agent
