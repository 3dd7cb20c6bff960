// tests/component/agent_environment/environment_programs.hpp: programs of environments that a test has built.
#pragma once

#include "agent/environment/cache.hpp"
#include "agent/environment/process.hpp"
#include "support/coroutines.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace linarite::agent {

/// What it prints; it must end well.
inline std::vector<std::string> run_in(asio::io_context& io, const PreparedEnvironment& environment,
                                       std::vector<std::string> arguments) {
    ProcessOrder order;
    order.arguments = std::move(arguments);
    order.variables = environment.variables;
    std::vector<std::string> out;
    const auto end =
        test::run(io, run_process(
                          std::move(order), [&](std::string_view line) { out.emplace_back(line); }, CancelToken()));
    EXPECT_TRUE(end && end->ok()) << testing::PrintToString(out);
    return out;
}

} // namespace linarite::agent
