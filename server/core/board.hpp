// server/core/board.hpp: what the reactor knows: runs, nodes, their parts and pools, and the indexes over them.
// Internal.
#pragma once

#include "server/core/reactor.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace linarite::core {

struct Node;
struct Run;

/// One node's share of one placement. It takes a slot of its node until it is done.
struct Part {
    RunId run;
    Fence fence = 0;
    int attempt = 1;
    int index = 0;
    std::vector<NodeName> gang;
    Node* node = nullptr;
    /// The run whose current placement this belongs to. Null: a leftover, which must go before its slot is used again.
    Run* owner = nullptr;
    /// A leftover that only the agent knows of (from before a restart of ours): the agent ends it because it is not
    /// wanted.
    bool foreign = false;
    NodePhase phase = NodePhase::assigned;
    bool acted = false; // the node has said something about it, ever
    bool lost = false;  // its node was restarted (then it is done), or is given up, before it was done
    std::string detail;
    std::optional<Outcome> outcome;
    bool work_done = false;      // it did its share, whatever of it still runs
    std::uint64_t failed_at = 0; // order of failures over all parts; 0: it did not fail
    std::string stop_reason;     // of a leftover
    int absences = 0;            // reports in a row that should have mentioned it and did not
    Time since{};
};

struct Run {
    RunSpec spec;
    RunStatus status = RunStatus::not_started;
    RunStatus before{}; // valid in not_responding
    std::int64_t sequence = 1;
    int attempt = 1;
    Fence fence = 0;
    std::vector<std::shared_ptr<Part>> parts; // by node index; empty while it waits in the queue
    std::optional<Outcome> outcome;
    Time changed{};
    Time timer_from{}; // where its deadline is counted from: the last move, or the restart if that was later
    Time placed{};     // where the barrier of preparing is counted from
    std::optional<Time> running_since;
    std::string reason; // of the last move
    std::string stop_reason;
    std::optional<Time> deadline;

    /// The status it has, or will have again once its nodes respond.
    [[nodiscard]] RunStatus effective() const { return status == RunStatus::not_responding ? before : status; }
    [[nodiscard]] bool all_parts_at_least(NodePhase phase) const;
};

/// The order in which waiting runs are served.
struct QueueOrder {
    bool operator()(const Run* a, const Run* b) const;
};
using Queue = std::set<Run*, QueueOrder>;

/// The order in which nodes are picked: the emptiest first.
struct FreeKey {
    int used = 0;
    Node* node = nullptr;
    bool operator<(const FreeKey& other) const;
};

/// The nodes of one compute target, and the runs that wait for them.
struct Pool {
    std::string name;
    std::map<NodeName, Node*> members;
    int usable = 0; // members that could take runs if they had a free slot
    std::set<FreeKey> free;
    Queue queue;
    std::map<int, Queue> by_size; // the same runs by node_count: sizes that no pool member can serve now are skipped
    std::size_t bounded = 0;      // waiting runs with a known max_duration
};

struct Node {
    NodeSpec spec;
    bool drained = false;
    bool up = false; // gave a word within its lease, since our own start
    bool lost = false;
    /// After our restart it may hold leftovers that we forgot: nothing is placed on it until it has said what it has.
    bool awaiting_report = false;
    bool restored = false;
    Time last_seen{};
    std::optional<Time> down_since;
    std::vector<std::shared_ptr<Part>> parts;
    std::optional<Time> deadline; // armed; may be earlier than the lease really ends
    // as the pools have it
    int used = 0;
    bool usable = false;
    bool listed_free = false;
    int listed_used = 0;

    [[nodiscard]] int free_slots() const { return spec.slots - used; }
    [[nodiscard]] bool has_part_of(const RunId& run) const;
    [[nodiscard]] std::shared_ptr<Part> find_part(const RunId& run, Fence fence) const;
};

/// Why a free slot is kept free, as of the last scheduling pass.
using KeptFree = std::map<const Node*, RunId>;

struct Board {
    Limits limits;
    Fence next_fence = 1;
    std::uint64_t next_failure = 1;
    Time latest{};             // time never goes back here, whatever the caller's clock does
    std::map<RunId, Run> runs; // all that are not terminal
    std::map<NodeName, Node> nodes;
    std::map<std::string, Pool> pools;
    std::size_t queued = 0;
    std::set<std::pair<Time, RunId>> run_deadlines;
    std::set<std::pair<Time, NodeName>> node_deadlines;
    KeptFree kept_free;
    std::vector<RunId> restored; // to be looked at by the next tick

    [[nodiscard]] Run* find_run(const RunId& id);
    [[nodiscard]] const Run* find_run(const RunId& id) const;
    [[nodiscard]] Node* find_node(const NodeName& name);
    [[nodiscard]] const Pool* find_pool(const std::string& name) const;

    /// Joins and leaves pools as its targets say.
    void set_targets(Node& node, std::set<std::string> targets);
    /// Brings the pools up to date after anything about the node changed.
    void refresh(Node& node);
    void enqueue(Run& run);
    void dequeue(Run& run);
    void arm(Run& run, std::optional<Time> at);
    void arm(Node& node, std::optional<Time> at);
    void erase_part(const std::shared_ptr<Part>& part);

private:
    void drop_if_unused(const std::string& pool);
};

/// What is wanted of a part now. Its owner must not be null.
Want wanted(const Part& part);
/// "over its time limit of 60 s".
std::string over_time_limit(const RunSpec& spec);
/// "node 'n1'" or "nodes 'n1', 'n2' and 3 more".
std::string name_nodes(const std::vector<NodeName>& names);
/// "1 node", "2 nodes".
std::string count_of(std::size_t n, const std::string& noun);

/// The words for people about a run.
std::string explain(const Board& board, const Run& run, Time now);
/// For lists: what all waiting runs of one pool have in common is worked out once.
class QueueExplainer {
public:
    QueueExplainer(const Board& board, Time now) : board_(board), now_(now) {}
    /// `ahead`: how many runs of its pool go before it, at most `count_limit`; `first` is one of them.
    [[nodiscard]] std::string text(const Run& run, std::size_t ahead, const Run* first);
    static constexpr std::size_t count_limit = 100;

private:
    const Board& board_;
    Time now_;
    std::map<std::string, std::string> pools_;
};

} // namespace linarite::core
