// server/service/run_rows.hpp: the same facts as the store, the core and the agents' wire see them, turned into each
// other.
#pragma once

#include "proto/agent_protocol.hpp"
#include "server/core/reactor.hpp"
#include "server/store/tables.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace linarite::service {

core::NodeSpec node_spec(const store::NodeRow& row);
core::RunSpec run_spec(const store::RunRow& row);
core::StoredRun stored_run(const store::RunRow& row);
core::NodeReport node_report(const NodeName& node, const proto::RunReport& report);
core::Outcome outcome_of(const NodeName& node, const proto::Ending& ending);
store::RunEnvironmentRow environment_row(const proto::RunEnvironment& environment);
void update_node_row(store::NodeRow& row, const proto::SyncRequest& request, Time now);

/// The compute targets that a node belongs to: "cpu-cluster" and "local" always, "gpu-cluster" if it has GPUs, and NAME
/// for each label "target=NAME".
std::set<std::string> targets_of(const std::vector<std::string>& labels, int gpus);

/// What agents need to reach what a run has on datastores. Datastores that are gone are left out.
proto::DesiredRunData desired_data(const proto::RunDefinition& definition,
                                   const std::map<std::string, store::DatastoreRow>& datastores);
proto::DesiredRunData desired_data(const store::RunRow& row,
                                   const std::map<std::string, store::DatastoreRow>& datastores);

/// The environment variables of a run that the coordinator decides (Azure ML's names).
std::map<std::string, std::string> run_variables(const store::RunRow& row, const store::WorkspaceRow& workspace);

} // namespace linarite::service
