// agent/environment/process.hpp: a tool that is run to its end, its output coming line by line.
#pragma once

#include "async/async.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// What to run. Nothing is inherited but what is named here: no shell, no environment, no descriptor.
struct ProcessOrder {
    std::vector<std::string> arguments; // the first one is the executable's path
    std::map<std::string, std::string> variables;
    std::filesystem::path folder; // "" is ours
    std::chrono::milliseconds limit = std::chrono::minutes(1);
    std::string place; // what it works on: no two at a time are given the same
    int keep_fd = -1;  // stays open in the process, as descriptor 3: a lock that must not end before the process does
};

/// How it ended.
struct ProcessEnd {
    int exit_code = 0; // meaningful if signal == 0
    int signal = 0;
    bool timed_out = false; // over its limit, and killed
    bool cancelled = false; // killed on order
    [[nodiscard]] bool ok() const { return exit_code == 0 && signal == 0; }
};

/// One line of output (stdout and stderr in the order of writing), without its end, at most 64 KiB at once.
using LineSink = std::function<void(std::string_view line)>;

/// Runs it as leader of a process group of its own and returns when it has ended and all its output was given to
/// `on_line`. Cancelling or passing the limit kills the whole group, and so does the end of its leader. An error means
/// that it was not started.
asio::awaitable<Result<ProcessEnd>> run_process(ProcessOrder order, LineSink on_line, CancelToken cancel);

/// This process's environment.
std::map<std::string, std::string> own_variables();

} // namespace linarite::agent
