// The history as a store would have it: the fold of all actions, refusing whatever the state machine forbids.
#pragma once

#include "server/core/reactor.hpp"

#include <map>
#include <string>
#include <vector>

namespace linarite::core {

class Ledger {
public:
    /// A run enters as NotStarted with sequence 1.
    void insert(const RunSpec& spec, Time now);
    void apply(const Actions& actions);

    [[nodiscard]] const std::map<RunId, StoredRun>& active() const { return active_; }
    [[nodiscard]] const std::map<RunId, StoredRun>& ended() const { return ended_; }
    [[nodiscard]] const StoredRun* find(const RunId& id) const;
    [[nodiscard]] Fence highest_fence() const { return highest_fence_; }
    /// What was wrong, first fault first; empty: nothing.
    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
    /// Ended runs are of no more use to the caller.
    void forget_ended() { ended_.clear(); }

private:
    void apply_move(const MoveRun& move);
    void apply_assign(const AssignRun& assign);
    void fault(const RunId& run, const std::string& what) { faults_.push_back("run '" + run.str() + "': " + what); }

    std::map<RunId, StoredRun> active_;
    std::map<RunId, StoredRun> ended_;
    std::vector<std::string> faults_;
    Fence highest_fence_ = 0;
};

} // namespace linarite::core
