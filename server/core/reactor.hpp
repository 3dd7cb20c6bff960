// server/core/reactor.hpp: all decisions about runs and nodes. Pure: state and an event and `now` in, actions out. It
// has no clock, no I/O and no randomness, so the simulator drives the very code that production runs.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"
#include "server/core/run_state.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace linarite::core {

/// What the scheduler needs to know of a run.
struct RunSpec {
    RunId id;
    std::string target; // compute target: a pool of nodes
    int node_count = 1;
    int priority = 0; // higher goes first
    Time submitted{};
    std::optional<Millis> max_duration; // of the launched script; makes backfill past a reservation possible
    int max_attempts = 1;
    /// The nodes, by index, whose parts must end well for the run to have: what the others do ends with them. One
    /// launcher on the lead node stands for all; without one, each node that does some of the work counts.
    std::set<int> deciders{0};
};

struct NodeSpec {
    NodeName name;
    std::set<std::string> targets; // the pools it belongs to
    int slots = 1;                 // runs that it may have at the same time; a run takes one slot per node
    std::uint64_t incarnation = 0;
    std::string boot_id;
};

/// How far one node is with its part of a run. Mirrors the agent protocol's phases, in order.
enum class NodePhase { assigned, preparing, ready, launched, exited, done };

/// How one node's part, or the whole run, ended.
struct Outcome {
    bool started = false;
    int exit_code = 0;
    int signal = 0;
    bool out_of_memory = false;
    bool timed_out = false;
    bool stopped = false; // ended on our order
    int rank = -1;
    std::int64_t rank_ended_us = 0; // by the clock of its node; 0 if that is not known
    NodeName node;
    std::string code; // "UserError", "ServiceError", "" if it ended well
    std::string message;
    bool operator==(const Outcome&) const = default;
    [[nodiscard]] bool ok() const { return started && exit_code == 0 && signal == 0 && code.empty(); }
};

/// One agent's word about its part of a run.
struct NodeReport {
    RunId run;
    Fence fence = 0;
    NodePhase phase = NodePhase::assigned;
    std::string detail;
    std::optional<Outcome> outcome; // from `exited` on
    /// Its share of the work has ended well, though something of it still runs for the sake of the others.
    bool work_done = false;
};

enum class Want { prepare, launch, stop };

/// What is wanted of a node for one run right now.
struct Desired {
    RunId run;
    Fence fence = 0;
    int attempt = 1;
    Want want = Want::prepare;
    int node_index = 0;
    std::vector<NodeName> gang; // by node index
    std::string stop_reason;
    bool last_attempt = true; // none is made after this one
};

// ---- actions: what the shell must do, in this order; all of one call go into one store transaction -----------------

/// The run's status moves. `sequence` counts the run's events from 1 (the submit's own NotStarted is 1). `attempt` and
/// `fence` are those after the move; on a move to Queued the fence is the former placement's, which may write no more.
struct MoveRun {
    RunId run;
    RunStatus from{};
    RunStatus to{};
    std::int64_t sequence = 0;
    int attempt = 0;
    Fence fence = 0;
    Time at{};
    std::string reason; // in words, for the event table and for explain
    /// Latched on entering Finalizing, a terminal status, or CancelRequested for a time limit. Whether it is good or
    /// bad stays, but the terminal move may name the culprit better.
    std::optional<Outcome> outcome;
};
/// A gang was placed: fence and nodes are to be stored before any of them hears of it.
struct AssignRun {
    RunId run;
    Fence fence = 0;
    int attempt = 1;
    std::vector<NodeName> nodes;
};
/// What is wanted of this node changed: answer its long poll (after the transaction is committed).
struct NodeChanged {
    NodeName node;
};
/// The reason why a waiting run waits changed (not stored; followers are told).
struct WaitChanged {
    RunId run;
};
using Action = std::variant<MoveRun, AssignRun, NodeChanged, WaitChanged>;
using Actions = std::vector<Action>;

/// The deadlines of reliability, all in monotonic spans of `now`.
struct Limits {
    Millis lease{30'000};              // after the last heartbeat a node is down and its runs are NotResponding
    Millis lost_after{600'000};        // after which the attempt is lost
    Millis prepare_barrier{3'600'000}; // from Provisioning until every node is ready
    Millis finalize{3'600'000};        // from Finalizing until every node is done
    Millis stop{120'000};              // from CancelRequested until every node is done
    int backfill_depth = 128;          // how many waiting runs get a reservation each pass
    std::size_t queue_length = 100'000;
};

/// A run as it was stored, to go on with after a restart.
struct StoredRun {
    RunSpec spec;
    RunStatus status{};
    RunStatus before_not_responding{}; // valid if status is not_responding
    std::int64_t sequence = 0;
    int attempt = 0;
    Fence fence = 0;
    std::vector<NodeName> nodes; // by node index; empty before the first placement
    std::optional<Outcome> outcome;
    Time changed{}; // of the last status move
    std::optional<Time> running_since;
};

/// One waiting or active run for people.
struct RunView {
    RunSpec spec;
    RunStatus status{};
    int attempt = 0;
    Fence fence = 0;
    std::vector<NodeName> nodes;
    std::vector<NodePhase> phases; // by node index
    Time changed{};
    /// Why it is where it is: "waiting for 2 nodes of compute target 'gpu': 1 is busy with run 'x' (4 min), 1 is down".
    std::string reason;
};

struct NodeView {
    NodeSpec spec;
    bool up = false;
    bool drained = false;
    Time last_seen{};
    std::optional<Time> down_since;
    std::vector<RunId> runs;
};

class Reactor {
public:
    /// `next_fence` is higher than any fence ever issued.
    Reactor(Limits limits, Fence next_fence);
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    /// Takes back what was stored, before any other call, nodes first; then call tick once. Queued runs are queued
    /// again; runs on nodes keep their slots and wait for their agents, which have one lease from `now` to speak up.
    /// Nothing is placed on a node before its first report(): it may have something left of a run that was given up.
    void restore_node(NodeSpec spec, bool drained, Time now);
    void restore_run(StoredRun stored, Time now);

    /// A committed NotStarted run enters: NotStarted -> Queued, and onto nodes at once if there is room.
    /// invalid_argument with faults for "/target" and "/nodeCount" if the pool can never hold it, resource_exhausted if
    /// the queue is full. check_submit says the same beforehand without changing anything; submit makes it a Failed
    /// run.
    [[nodiscard]] Result<void> check_submit(const RunSpec& spec) const;
    Actions submit(RunSpec spec, Time now);
    /// In Finalizing or a terminal status it changes nothing. Unknown ids change nothing.
    Actions cancel(const RunId& id, const std::string& who, Time now);

    /// A node registers, comes back, or changes what it offers; cheap if nothing is new, so it may precede every
    /// report. A higher incarnation replaces a lower one, a lower one is `gone`. A changed boot id means that its
    /// former parts are lost. A node that was not known gets its first run after its first report().
    Result<Actions> node_up(NodeSpec spec, Time now);
    /// Any word from the node.
    Actions heartbeat(const NodeName& name, Time now);
    /// All that one agent has, every time, in the order in which it said so. Facts under a stale fence move nothing,
    /// but what still runs there keeps its slot until the agent does not mention it any more. What an agent was told to
    /// stop and does not mention twice in a row, it does not have. A run that the agent should have but does not
    /// mention after it restarted is handled by the agent, which always re-creates it.
    Actions report(const NodeName& name, const std::vector<NodeReport>& reports, Time now);
    Actions set_drained(const NodeName& name, bool drained, Time now);
    /// conflict while it has runs.
    Result<Actions> remove_node(const NodeName& name, Time now);
    /// Deadlines that passed.
    Actions tick(Time now);
    /// When tick should be called next; nothing: never, until another call.
    [[nodiscard]] std::optional<Time> next_deadline() const;

    /// A part is wanted until its run is terminal; what is left of an attempt that was given up is told to stop until
    /// it is done. From `exited` on it is always `stop`, so that an agent that forgot does not start the script once
    /// more.
    [[nodiscard]] std::vector<Desired> desired(const NodeName& name) const;
    /// Nothing once it is terminal.
    [[nodiscard]] std::optional<RunView> find_run(const RunId& id, Time now) const;
    [[nodiscard]] std::vector<RunView> active_runs(Time now) const; // queued ones in the order of the queue
    [[nodiscard]] std::vector<NodeView> nodes() const;
    [[nodiscard]] std::set<std::string> targets() const;
    [[nodiscard]] std::size_t queue_length() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace linarite::core
