// Drives a reactor with random events under a virtual clock and checks what must hold at each of them.
#pragma once

#include "unit/server_core/ledger.hpp"
#include "unit/server_core/simulated_agent.hpp"

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace linarite::core {

class Simulation {
public:
    explicit Simulation(std::uint64_t seed);

    /// So many random events; then everything heals, and all must come to an end. False at the first fault.
    bool run(std::size_t events);

    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
    /// The moves that were seen.
    [[nodiscard]] const std::set<std::pair<RunStatus, RunStatus>>& moves_seen() const { return moves_seen_; }
    [[nodiscard]] std::size_t submitted() const { return submitted_; }
    [[nodiscard]] std::size_t events() const { return events_; }

private:
    void event();
    void rare_event();
    void submit();
    void cancel();
    void sync(SimulatedAgent& agent, bool smooth);
    void late_report(SimulatedAgent& agent);
    void stale_report(SimulatedAgent& agent);
    void let_time_pass();
    void restart_coordinator();
    void reconnect_or_cut(SimulatedAgent& agent);
    void join_or_leave(SimulatedAgent& agent);
    void heal();
    void wind_down();

    void apply(const Actions& actions);
    void check_order(const Actions& actions);
    void check_placement(const AssignRun& placed, const std::map<NodeName, NodeView>& after);
    void check_end(const MoveRun& move);
    void check_everything();
    void check_desired(const SimulatedAgent& agent);
    void check_all_free();
    void fault(const std::string& what) { faults_.push_back(what); }

    [[nodiscard]] SimulatedAgent& any_agent() { return agents_[chance_.below(agents_.size())]; }
    [[nodiscard]] const SimulatedAgent* agent(const NodeName& name) const;
    [[nodiscard]] const RunSpec* head_of(const std::string& target) const;
    [[nodiscard]] int usable_nodes(const std::string& target) const;

    Chance chance_;
    Limits limits_;
    Time now_ = from_ms(1'795'435'200'000);
    std::unique_ptr<Reactor> reactor_;
    Ledger ledger_;
    std::vector<SimulatedAgent> agents_;
    std::size_t events_ = 0;
    std::size_t submitted_ = 0;
    std::size_t busyness_ = 40; // so many runs at most
    std::set<std::pair<RunStatus, RunStatus>> moves_seen_;
    std::vector<std::string> faults_;
};

} // namespace linarite::core
