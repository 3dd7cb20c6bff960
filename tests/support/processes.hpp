// tests/support/processes.hpp: what runs on this machine, for tests that nothing is left over.
#pragma once

#include "common/files.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace linarite::test {

/// Living processes whose command line or environment holds `text`, this one left out.
inline std::vector<pid_t> processes_with(const std::string& text) {
    std::vector<pid_t> out;
    std::error_code ec;
    for (std::filesystem::directory_iterator at("/proc", ec), end; !ec && at != end; at.increment(ec)) {
        const std::string name = at->path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos || name == std::to_string(::getpid())) {
            continue;
        }
        const auto line = read_file(at->path() / "cmdline"); // empty for a zombie, as is its environment
        const auto environment = read_file(at->path() / "environ");
        if ((line && line->find(text) != std::string::npos) ||
            (environment && environment->find(text) != std::string::npos)) {
            out.push_back(static_cast<pid_t>(std::stol(name)));
        }
    }
    return out;
}

/// Polls until `condition` holds; false if it does not within ten seconds.
template <class Condition>
bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

} // namespace linarite::test
