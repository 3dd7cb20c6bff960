// proto/agent_protocol.hpp: what an agent and the coordinator say to each other. Level-triggered: each message is the
// full picture, may be repeated or lost without harm, and an unknown member or version is refused.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"
#include "proto/registry.hpp"
#include "proto/run_definition.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::proto {

inline constexpr int agent_protocol_version = 1;

/// What a node offers.
struct NodeResources {
    int cores = 0;
    std::uint64_t memory_bytes = 0;
    int gpus = 0;
    int slots = 1;
    std::vector<std::string> labels;
    bool operator==(const NodeResources&) const = default;
};

/// Where a node's part of a run stands, in this order; it never goes back within one fence.
enum class Phase {
    preparing, // snapshot, data and environment are being fetched
    ready,     // waits for the order to launch
    launched,  // the launcher is up
    exited,    // nothing of it runs any more; its last bytes are being sent
    done,      // every log and output is stored by the coordinator
};

/// How a node's part ended, and why. Sent from `exited` on.
struct Ending {
    bool started = false; // false: it never came to a launch (prepare failed, or it was stopped before)
    int exit_code = 0;    // meaningful if signal == 0
    int signal = 0;
    bool out_of_memory = false;
    bool timed_out = false;         // the run's time limit passed
    bool stopped = false;           // we ended it on order
    int rank = -1;                  // the rank that failed first, if known
    std::int64_t rank_ended_us = 0; // when it did, by the node's clock; 0 if that is not known
    std::string code;               // "UserError" or "ServiceError"; "" if it ended well
    std::string message;            // for people: what happened, with the last lines of output
    bool operator==(const Ending&) const = default;
    [[nodiscard]] bool ok() const { return started && exit_code == 0 && signal == 0 && code.empty(); }
};

/// One daemon that mpirun on the lead node wants started on another node, with the launcher's command line.
struct DaemonRequest {
    int node_index = 0;
    std::string command; // for `sh -c`, exactly as Open MPI gave it to its launch agent
    bool operator==(const DaemonRequest&) const = default;
};

/// One process of a run that has ended, for whatever reason.
struct RankEnd {
    int rank = 0; // as in process_layout()
    int exit_code = 0;
    int signal = 0;
    bool told = false; // after it had been asked to
    bool operator==(const RankEnd&) const = default;
    [[nodiscard]] bool ok() const { return exit_code == 0 && signal == 0; }
};

/// How a node takes part in the network of a run over several hosts.
struct NodeNetwork {
    std::string interface;    // that MPI uses there
    std::string address;      // of it
    int port = 0;             // open for the other nodes of the run to see whether they reach this one; 0: not open
    std::string mpi_version;  // of the mpirun that the run finds there
    bool reaches_all = false; // has reached all other nodes of the run
    bool operator==(const NodeNetwork&) const = default;
};

/// What a run's Python is, or was: the same key is the same content.
struct RunEnvironment {
    std::string key;          // SHA-256 in hex; "" if an interpreter is used as it was found
    std::string provider;     // which way it was made: "pip", "conda"...; "plain" or "user_managed" if nothing was
    std::string python;       // version; "" if it was not asked
    std::string interpreter;  // path
    std::string image;        // name of the image that it stands on; "" is the node itself
    std::string image_digest; // of that
    bool operator==(const RunEnvironment&) const = default;
};

/// The agent's picture of its part of one run.
struct RunReport {
    RunId run;
    Fence fence = 0;
    Phase phase = Phase::preparing;
    std::string detail;                      // what is being done now, in words ("building the environment: 12 s")
    std::optional<Ending> ending;            // from `exited` on
    std::vector<DaemonRequest> daemons;      // lead node only
    std::string work_dir;                    // from `ready` on: the run's working directory on this node
    int port = 0;                            // from `ready` on: the first of the ports that are kept for the run
    std::vector<RankEnd> ended;              // of a run with several processes: those of this node
    bool work_done = false;                  // all workers of this node have ended well; its parameter servers go on
    std::optional<NodeNetwork> network = {}; // MPI over several hosts, from `ready` on
    /// Once it is prepared, by the agent process that did it. Nothing: what was said before counts.
    std::optional<RunEnvironment> environment = {};
    bool operator==(const RunReport&) const = default;
};

struct SyncRequest {
    int protocol = agent_protocol_version;
    NodeName node;
    std::uint64_t incarnation = 0; // rises with each start of the agent; an older one is refused (gone)
    std::string boot_id;           // the kernel's; a changed one means that nothing of before runs
    std::string host_id;           // equal for agents that share a kernel and a file system
    std::string shared_dir;        // equal for agents with the same --shared-dir, wherever it is mounted; "" is none
    std::string address;           // where other nodes reach this one for MPI
    std::string version;           // of the program
    NodeResources resources;
    std::vector<RunReport> runs;
    std::uint64_t seen = 0; // version of the last answer that was acted on
    Millis wait{0};         // how long the answer may be held back if nothing is newer than `seen`
    bool operator==(const SyncRequest&) const = default;
};

/// What is wanted of a node for one run.
enum class Want { prepare, launch, stop };

/// One node of a gang, as the others need to know it.
struct GangMember {
    NodeName node;
    std::string host_id;
    std::string address;
    std::string work_dir; // "" until that node is ready
    int port = 0;         // the first of those that it keeps for the run; 0 until it is ready
    std::string shared_dir;
    std::optional<NodeNetwork> network = {};
    bool operator==(const GangMember&) const = default;
};

/// The node in whose working directory this one works: itself, unless one before it is on the same host or has the same
/// shared directory.
int keeper_of(const std::vector<GangMember>& gang, int node_index);
/// Whether the gang has more than one working directory, so that files must be brought from one to the other.
bool has_several_directories(const std::vector<GangMember>& gang);

/// A data reference with what the node needs to reach it.
struct DesiredData {
    DataReference reference;
    std::string datastore_path; // directory on the coordinator's host, or on every node if `shared`
    bool shared = false;
    bool operator==(const DesiredData&) const = default;
};

/// All that a run has on datastores.
struct DesiredRunData {
    std::vector<DesiredData> references;
    std::optional<DesiredData> build_context; // what its image is built from; of mode mount
    bool operator==(const DesiredRunData&) const = default;
};

struct DesiredRun {
    RunId run;
    Fence fence = 0;
    /// The agent named the run with this fence when it asked: what never changes within a placement is left out
    /// (experiment, snapshot, definition, data, host_id, variables, registry).
    bool brief = false;
    int attempt = 1;
    Want want = Want::prepare;
    Millis grace{30'000}; // for `stop`: between TERM and KILL
    std::string stop_reason;
    /// After so long without the coordinator's answer the agent ends its part by itself, since another attempt may be
    /// begun soon; 0 is never.
    Millis give_up_after{0};
    std::string experiment;
    SnapshotId snapshot;
    Json definition; // print_run_definition's form
    int node_index = 0;
    std::vector<GangMember> gang; // by node index; size = node_count
    DesiredRunData data;
    std::string host_id; // the coordinator's own, to see whether datastore paths are the same files
    std::map<std::string, std::string> variables; // AZUREML_* and others that the coordinator decides
    RegistryLogin registry;                       // that the run's image comes with; the only place that has it
    std::string daemon_command;        // not lead: what to run once `want` is launch; "" until the lead asked
    std::map<int, Ending> daemon_ends; // how the parts on other nodes ended (the daemons, to mpirun), by node index
    /// Gangs with several working directories: rises when a node closed a file that the others are to have.
    std::uint64_t files_version = 0;
    bool operator==(const DesiredRun&) const = default;
};

struct SyncAnswer {
    int protocol = agent_protocol_version;
    std::uint64_t version = 0;
    Millis lease{30'000};         // how long the coordinator waits for the next word
    bool unchanged = false;       // nothing is newer than what the request has seen, and nothing is said of runs
    std::vector<DesiredRun> runs; // a run that is not here is over: its local files may go
    bool operator==(const SyncAnswer&) const = default;
};

/// Makes an agent known. Answered with a secret that is its bearer token from then on.
struct JoinRequest {
    int protocol = agent_protocol_version;
    std::string node;  // wanted name
    std::string token; // single use
    bool operator==(const JoinRequest&) const = default;
};
struct JoinAnswer {
    std::string node;
    std::string secret;
    bool operator==(const JoinAnswer&) const = default;
};

Json print(const SyncRequest& message);
Json print(const SyncAnswer& message);
Json print(const JoinRequest& message);
Json print(const JoinAnswer& message);
Json print(const Ending& ending);
Json print(const NodeNetwork& network);
Json print(const RunEnvironment& environment);
Result<SyncRequest> parse_sync_request(const Json& document);
Result<SyncAnswer> parse_sync_answer(const Json& document);
Result<JoinRequest> parse_join_request(const Json& document);
Result<JoinAnswer> parse_join_answer(const Json& document);
Result<Ending> parse_ending(const Json& document);
std::string_view to_wire(Phase phase);
std::string_view to_wire(Want want);

/// What an operator copies from `linarite nodes join` to another machine: one word.
struct JoinString {
    std::string url;    // https://host:port
    std::string token;  // single use
    std::string ca_pem; // the coordinator's CA; "" for plain http
    bool operator==(const JoinString&) const = default;
};
std::string print(const JoinString& join);
Result<JoinString> parse_join_string(const std::string& text);

/// endpoint.json in the data directory: how local programs find the coordinator.
struct Endpoint {
    int pid = 0;
    std::string https_url;
    std::string http_url;
    std::string ca_file;
    std::string version;
};
Json print(const Endpoint& endpoint);
Result<Endpoint> parse_endpoint(const Json& document);

} // namespace linarite::proto
