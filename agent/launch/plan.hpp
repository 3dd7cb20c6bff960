// agent/launch/plan.hpp: from a run's definition to what is started on this node.
#pragma once

#include "agent/launch/shim_job.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/run_definition.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

/// Everything that decides what one node starts for a run.
struct LaunchOrder {
    RunId run;
    Fence fence = 0;
    std::string experiment;
    proto::RunDefinition definition;
    int node_index = 0;
    std::vector<proto::GangMember> gang;
    std::map<std::string, std::string> variables;   // the coordinator's (DesiredRun::variables)
    std::map<std::string, std::string> environment; // the environment's own (its PATH, VIRTUAL_ENV)
    std::map<std::string, std::string> inherited;   // of the agent: see inherited_variables()
    std::map<std::string, std::string> data_paths;  // by data reference name
    fs::path python;                                // interpreter of the environment
    fs::path environment_folder;                    // what was built for it, shared with other runs; "" is nothing
    fs::path dropin;                                // last on PYTHONPATH; "" is none
    std::string interpreter;                        // what the log says of it; "" for nothing
    fs::path work_dir;                              // wd: the run's working directory, shared by nodes on one host
    fs::path run_dir;                               // this node's folder for the run: logs, tmp and facts go below
    fs::path facts_dir;
    fs::path shim;
    std::string launch_socket;  // DaemonSocket::path(); lead node of an MPI run over several nodes
    std::string launch_token;   // that DaemonSocket::expect() gave or was given
    std::string daemon_command; // other nodes of an MPI run: DesiredRun::daemon_command
    Millis grace{30'000};       // between TERM and KILL at the time limit
    int cores = 1;
    bool owns_cores = false; // no other run or node of ours is on this machine
    int own_port = 0;        // first of the ports that this node keeps for the run; 0 if it keeps none
    /// The GPUs of the run on this node, as CUDA_VISIBLE_DEVICES names them. Nothing: they are not managed here.
    std::optional<std::vector<std::string>> gpus;
    bool gpus_are_shared = false; // other runs of this node have others: the user's own choice does not count
    bool user_namespace = true;   // an agent that is not root may use one for what the run sees otherwise than others
    bool contained = false;       // in a container: programs are those of its image, and inherited its variables
    std::string mpirun;           // contained: of the image
};

/// What is to be written and started.
struct LaunchPlan {
    ShimJob job;
    std::optional<RankJob> ranks; // where there are several processes
    fs::path rank_file;
    std::string host_file; // text of the file that AZ_BATCHAI_MPI_HOST_FILE names
    fs::path host_file_path;
};

/// invalid_argument: it cannot be launched as it is asked for.
Result<LaunchPlan> plan_launch(const LaunchOrder& order);

/// How many ports, one after the other, a node keeps for its part of the run: one for the rendezvous, and one for each
/// task that others connect to.
int ports_of(const proto::RunDefinition& definition, int node_index);

/// How the run sees the environment that was built for it, which other runs have, too; nothing if none was.
std::optional<View> environment_view(const LaunchOrder& order);

/// Whether the run may only read what a data reference gives it: a mount that does not say `overwrite`, or whose files
/// are not the datastore's own.
bool is_read_only(const LaunchOrder& order, const proto::DataReference& reference);

/// Writes the rank file, the host file and `job_file`; makes the folders of logs and facts.
Result<void> write_plan(const LaunchPlan& plan, const fs::path& job_file);

/// What a run may see of the agent's own environment: HOME, USER, PATH, LD_LIBRARY_PATH and the like.
std::map<std::string, std::string> inherited_variables();

/// The node that an MPI host alias ("w3") stands for; -1 if it is none of ours.
int node_of_alias(const std::string& alias);
std::string alias_of_node(int node_index);

/// Replaces $AZUREML_DATAREFERENCE_<name> (also with braces) by the data's path. Unknown names stay.
std::string replace_data_references(const std::string& text, const std::map<std::string, std::string>& data_paths);

/// Checks that a command line that came from mpirun starts Open MPI's daemon and nothing else. invalid_argument if not.
Result<void> check_daemon_command(const std::string& command);

/// The sentences around a process's output that clients look for.
inline constexpr const char* success_line = "The activity completed successfully. Finalizing run...";
inline constexpr const char* failure_line = "The experiment failed with exit code: {code}. Finalizing run...";

} // namespace linarite::agent
