#include "agent/mpi_version.hpp"

#include "agent/environment/process.hpp"
#include "agent/launch/mpi_plan.hpp"

#include <chrono>
#include <filesystem>

namespace linarite::agent {

std::string mpi_version_in(const std::string& line) {
    // "mpirun (Open MPI) 4.1.4" and, of the package index, "mpirun (Open MPI) 5.0.11"
    constexpr std::string_view start = "mpirun (Open MPI) ";
    return line.starts_with(start) ? "Open MPI " + line.substr(start.size()) : line;
}

asio::awaitable<Result<std::string>> MpiVersions::find(std::map<std::string, std::string> variables,
                                                       CancelToken cancel) {
    const std::string file = find_program(variables["PATH"], "mpirun");
    if (file.empty()) {
        co_return std::string();
    }
    std::error_code ec;
    const auto changed = std::filesystem::last_write_time(file, ec).time_since_epoch().count();
    const std::string key = file + "@" + std::to_string(changed);
    if (const auto found = known_.find(key); found != known_.end()) {
        co_return found->second;
    }
    ProcessOrder order;
    order.arguments = {file, "--version"};
    order.variables = std::move(variables);
    order.limit = std::chrono::seconds(10);
    std::string first;
    const LineSink sink = [&first](std::string_view line) {
        if (first.empty()) {
            first = line;
        }
    };
    const auto ended = co_await run_process(order, sink, cancel);
    if (!ended) {
        co_return ended.error().within("ask '" + file + "' for its version");
    }
    if (!ended->ok()) {
        co_return Error(Errc::unavailable, "'" + file + " --version' failed: " + first);
    }
    known_[key] = mpi_version_in(first);
    co_return known_[key];
}

} // namespace linarite::agent
