// A reactor with a clock that is moved by hand and a ledger of all that it decided: for scenarios.
#pragma once

#include "server/core/reactor.hpp"
#include "unit/server_core/ledger.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::core {

using namespace std::chrono_literals;

/// 2026-11-23 12:00 UTC.
inline const Time noon = from_ms(1'795'435'200'000);

struct RunOptions {
    int nodes = 1;
    int priority = 0;
    std::optional<Millis> max_duration;
    int max_attempts = 1;
    std::set<int> deciders{0};
    std::string target = "cpu-cluster";
};

class Cluster : public ::testing::Test {
protected:
    explicit Cluster(Limits limits = {}) : limits_(limits), reactor_(std::make_unique<Reactor>(limits, 1)) {}
    void TearDown() override;

    void add_node(const std::string& name, int slots = 1, std::set<std::string> targets = {"cpu-cluster"});
    Actions submit(const std::string& id, const RunOptions& options = {});
    Actions cancel(const std::string& id);
    /// The node tells of one run, under the fence that it has there.
    Actions report(const std::string& node, const std::string& run, NodePhase phase,
                   std::optional<Outcome> outcome = std::nullopt, const std::string& detail = "");
    Actions report_all(const std::string& node, const std::vector<NodeReport>& reports);
    void heartbeat(const std::string& node);
    void reboot(const std::string& node);
    void drain(const std::string& node, bool drained = true);
    /// Lets time pass; deadlines act when they are due.
    void pass(Millis span);
    /// The same while these nodes keep talking.
    void pass(Millis span, const std::vector<std::string>& talking);
    /// A new reactor from what the ledger has, as after a crash.
    void restart();
    void run_to_end(const std::string& node, const std::string& run);

    [[nodiscard]] RunStatus status(const std::string& run) const;
    /// All statuses that the run had, in Azure's words, joined by blanks.
    [[nodiscard]] std::string history(const std::string& run) const;
    [[nodiscard]] std::string reason(const std::string& run) const;
    [[nodiscard]] std::string last_move_reason(const std::string& run) const;
    [[nodiscard]] std::optional<Outcome> outcome(const std::string& run) const;
    [[nodiscard]] std::vector<std::string> nodes_of(const std::string& run) const;
    [[nodiscard]] std::optional<Desired> desired(const std::string& node, const std::string& run) const;
    [[nodiscard]] std::optional<Want> want(const std::string& node, const std::string& run) const;
    [[nodiscard]] NodeView node(const std::string& name) const;

    const Actions& apply(const Actions& actions);

    Limits limits_;
    std::unique_ptr<Reactor> reactor_;
    Ledger ledger_;
    Time now_ = noon;
    std::map<std::string, NodeSpec> specs_;
    std::map<RunId, std::vector<MoveRun>> moves_;
};

Outcome ended_well();
Outcome failed_with(int exit_code, const std::string& code = "UserError", int rank = -1);
Outcome stopped_outcome();

} // namespace linarite::core
