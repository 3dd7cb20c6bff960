#include "server/core/run_state.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace linarite::core {
namespace {

constexpr int count = 12;

/// The contract's table, in its own words.
const std::map<std::string, std::set<std::string>>& contract() {
    static const std::map<std::string, std::set<std::string>> table = {
        {"NotStarted", {"Queued", "Failed", "CancelRequested"}},
        {"Queued", {"Provisioning", "CancelRequested", "Failed"}},
        {"Provisioning", {"Preparing", "Queued", "CancelRequested", "Failed"}},
        {"Preparing", {"Starting", "Finalizing", "NotResponding", "CancelRequested"}},
        {"Starting", {"Running", "Finalizing", "NotResponding", "CancelRequested"}},
        {"Running", {"Finalizing", "NotResponding", "CancelRequested"}},
        {"NotResponding", {"Preparing", "Starting", "Running", "Queued", "Failed", "CancelRequested"}},
        {"CancelRequested", {"Canceled"}},
        {"Finalizing", {"Completed", "Failed"}},
        {"Completed", {}},
        {"Failed", {}},
        {"Canceled", {}},
    };
    return table;
}

TEST(RunState, EveryPairOfStatusesIsAllowedExactlyIfTheContractListsIt) {
    for (int from = 0; from < count; ++from) {
        for (int to = 0; to < count; ++to) {
            const auto a = static_cast<RunStatus>(from);
            const auto b = static_cast<RunStatus>(to);
            const bool listed = contract().at(std::string(to_wire(a))).contains(std::string(to_wire(b)));
            EXPECT_EQ(may_move(a, b), listed) << to_wire(a) << " to " << to_wire(b);
        }
    }
}

TEST(RunState, NothingLeavesATerminalStatus) {
    for (int from = 0; from < count; ++from) {
        const auto status = static_cast<RunStatus>(from);
        EXPECT_EQ(is_terminal(status), contract().at(std::string(to_wire(status))).empty()) << to_wire(status);
    }
}

TEST(RunState, WordsAreReadBack) {
    for (int i = 0; i < count; ++i) {
        const auto status = static_cast<RunStatus>(i);
        EXPECT_EQ(status_from_wire(to_wire(status)), status);
    }
}

TEST(RunState, OtherWordsAreNoStatus) {
    EXPECT_EQ(status_from_wire(""), std::nullopt);
    EXPECT_EQ(status_from_wire("running"), std::nullopt);
    EXPECT_EQ(status_from_wire("Paused"), std::nullopt);
}

TEST(RunState, StoredNumbersStayAsTheyAre) {
    EXPECT_EQ(static_cast<int>(RunStatus::not_started), 0);
    EXPECT_EQ(static_cast<int>(RunStatus::not_responding), 6);
    EXPECT_EQ(static_cast<int>(RunStatus::canceled), 11);
}

} // namespace
} // namespace linarite::core
