// agent/environment/build_session.hpp: one environment being built: its tools, its log, its deadline.
#pragma once

#include "agent/environment/provider.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace linarite::agent {

/// One call of a tool.
struct ToolCall {
    std::vector<std::string> arguments; // the first one is the program's path
    std::map<std::string, std::string> variables;
    bool quiet = false; // what it prints is for us, not for the log
    ToolRunner runner;  // empty: on the node itself
    /// What its output means if it fails.
    std::function<Error(const std::vector<std::string>& output, int exit_code)> explain;
};

/// What the steps of one build share. What tools print goes into the log without credentials.
class BuildSession {
public:
    BuildSession(Node& node, BuildOrder order);

    [[nodiscard]] Node& node() const { return node_; }
    [[nodiscard]] const BuildOrder& order() const { return order_; }
    [[nodiscard]] const Plan& plan() const { return order_.plan; }
    [[nodiscard]] const fs::path& folder() const { return order_.folder; }

    /// Logs a step, with the seconds since the beginning in front of it.
    void step(const std::string& what) const;
    /// Runs a tool to its end and returns what it printed (the last 10,000 lines). invalid_argument: it failed, in its
    /// own words, or the environment's time is over; no_space: the disk is full; conflict: cancelled.
    asio::awaitable<Result<std::vector<std::string>>> run(ToolCall call);

private:
    [[nodiscard]] Error failure(const ProcessEnd& ended, const ToolCall& call,
                                const std::vector<std::string>& output) const;

    Node& node_;
    BuildOrder order_;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

/// The node's environment without what would lead an installer elsewhere than where it is told to work.
std::map<std::string, std::string> installer_variables();

} // namespace linarite::agent
