#include "agent/environment/build_session.hpp"

#include "agent/environment/requirements.hpp"
#include "agent/environment/room.hpp"
#include "common/clock.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace linarite::agent {

namespace {

constexpr std::size_t most_kept_lines = 10'000;

} // namespace

BuildSession::BuildSession(Node& node, BuildOrder order) : node_(node), order_(std::move(order)) {}

void BuildSession::step(const std::string& what) const {
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - begun_;
    order_.log(fmt::format("[{:6.1f} s] {}", since.count(), what));
}

asio::awaitable<Result<std::vector<std::string>>> BuildSession::run(ToolCall call) {
    ProcessOrder order;
    order.arguments = call.arguments;
    order.variables = std::move(call.variables);
    order.folder = node_.settings().environments; // no project's pyproject.toml or uv.toml is found from there
    order.keep_fd = order_.lock_fd;
    order.limit = std::max(
        Millis(1), std::chrono::ceil<Millis>(begun_ + node_.settings().build_limit - std::chrono::steady_clock::now()));
    order.place = order_.folder.string();
    const ToolRunner runner = call.runner ? call.runner : ToolRunner(run_process);
    auto lines = std::make_shared<std::deque<std::string>>();
    const auto ended = co_await runner(
        std::move(order),
        [this, lines, quiet = call.quiet](std::string_view line) {
            lines->push_back(without_credentials(std::string(line)));
            if (lines->size() > most_kept_lines) {
                lines->pop_front();
            }
            if (!quiet) {
                order_.log(lines->back());
            }
        },
        order_.cancel);
    if (!ended) {
        co_return ended.error();
    }
    std::vector<std::string> output(lines->begin(), lines->end());
    if (!ended->ok()) {
        co_return failure(*ended, call, output);
    }
    co_return output;
}

Error BuildSession::failure(const ProcessEnd& ended, const ToolCall& call,
                            const std::vector<std::string>& output) const {
    if (ended.cancelled) {
        return {Errc::conflict, "building the environment was cancelled"};
    }
    if (ended.timed_out) {
        return {Errc::invalid_argument, "building the environment took longer than " +
                                            format_duration(Millis(node_.settings().build_limit)) +
                                            " and was ended; --env-build-limit sets how long it may take"};
    }
    if (std::ranges::any_of(output, says_no_space)) { // whatever the tool makes of it in the end
        return {Errc::no_space, call.explain(output, ended.exit_code).detail()};
    }
    if (ended.signal != 0) {
        return {Errc::invalid_argument, fmt::format("'{}' was ended by signal {} while it built the environment",
                                                    call.arguments.front(), ended.signal)};
    }
    return call.explain(output, ended.exit_code);
}

std::map<std::string, std::string> installer_variables() {
    auto variables = own_variables();
    for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONHOME", "PYTHONPATH",
                             "UV_PYTHON", "UV_TARGET", "UV_PROJECT", "PIP_TARGET", "PIP_PREFIX"}) {
        variables.erase(name);
    }
    variables["NO_COLOR"] = "1";
    return variables;
}

} // namespace linarite::agent
