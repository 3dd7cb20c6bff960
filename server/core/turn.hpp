// server/core/turn.hpp: one call of the reactor: works one event out on the board and collects the actions. Internal.
#pragma once

#include "server/core/board.hpp"

#include <set>
#include <string>
#include <vector>

namespace linarite::core {

/// Whether the pool of the run exists and is large enough, and the queue has room.
Result<void> check_submit(const Board& board, const RunSpec& spec);

class Turn {
public:
    Turn(Board& board, Time now);

    // submission.cpp
    void submit(RunSpec spec);
    void cancel(const RunId& id, const std::string& who);

    // leases.cpp
    /// The incarnation was checked.
    void node_up(NodeSpec spec);
    /// The node lives.
    void word(Node& node);
    void set_drained(Node& node, bool drained);
    /// Whoever calls made sure that no run needs it.
    void remove(Node& node);
    void tick();

    // reports.cpp
    void report(Node& node, const std::vector<NodeReport>& reports);

    // lifecycle.cpp
    /// Puts a waiting run on nodes with free slots, lead first.
    void place(Run& run, const std::vector<Node*>& nodes);

    /// Hands free slots to waiting runs and gives everything that is to be done. Call last.
    Actions finish();

    [[nodiscard]] Time now() const { return now_; }

private:
    // lifecycle.cpp
    void move(Run& run, RunStatus to, std::string reason);
    /// Makes all the moves that the known facts allow. The run may be gone after it.
    void advance(Run& run);
    bool step(Run& run);
    bool prepared(Run& run);
    bool resume(Run& run);
    bool conclude(Run& run);
    bool conclude_cancel(Run& run);
    bool conclude_finalizing(Run& run);
    /// The run leaves its nodes; what is not done there becomes a leftover that is told to stop.
    void detach(Run& run, const std::string& stop_reason);
    void requeue(Run& run, int attempt, const std::string& reason);
    /// The attempt is lost: queued again or failed. The run may be gone after it.
    void give_up(Run& run, const NodeName& node, const std::string& why);
    /// Ends the run. It is gone after it.
    void end(Run& run, RunStatus terminal, std::string reason);
    void touch_gang(const Run& run);

    // leases.cpp
    void run_deadline(Run& run);
    void overdue_preparing(Run& run);
    void overdue_finalizing(Run& run);
    void overdue_stopping(Run& run);
    void node_deadline(Node& node);
    void go_silent(Node& node);
    void lose(Node& node);
    void lose_parts(Run& run, const Node& node);
    void reboot(Node& node);
    void reboot_part(const std::shared_ptr<Part>& part);
    void settle_restored();

    // reports.cpp
    void take(Node& node, const NodeReport& report);
    void take_leftover(const std::shared_ptr<Part>& part, NodePhase phase);
    void take_active(Part& part, const NodeReport& report);
    void notice_absences(Node& node, const std::vector<NodeReport>& reports);

    /// The node's slots or its usability changed: the pools are brought up to date and a scheduling pass follows.
    void refresh(Node& node);
    void touch(const Node& node) { changed_nodes_.insert(node.spec.name); }
    void drop_part(const std::shared_ptr<Part>& part);

    Board& board_;
    Time now_;
    Actions actions_;
    bool pass_ = false;
    std::set<NodeName> changed_nodes_;
    std::set<RunId> changed_waits_;
    std::set<std::string> dirty_pools_; // whose waiting runs may have another reason now
};

/// One scheduling pass: gives free slots to waiting runs in order, with reservations for those that do not fit yet.
void schedule(Turn& turn, Board& board);

/// When something must have happened with the run in the status that it has; nothing: it may take for ever.
std::optional<Time> deadline_of(const Run& run, const Limits& limits);
/// Whether a part ended by itself and badly.
bool has_failed(const Part& part);
/// How the run ended, as far as its parts tell; nothing while it goes on.
std::optional<Outcome> verdict(const Run& run);
/// Ended well, by itself and in time.
bool succeeded(const Outcome& outcome);
/// Replaces the outcome by the lead's if that names the culprit better.
void refine(Outcome& outcome, const Run& run);
/// In one line, for events: "exit code 3", "signal 9", "out of memory", or the first line of its message.
std::string describe(const Outcome& outcome);

} // namespace linarite::core
