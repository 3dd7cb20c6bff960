// cli/progress.hpp: one line on a terminal that says how far a transfer is.
#pragma once

#include "cli/terminal.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace linarite::cli {

/// Redraws its line at most ten times a second, and takes it away when it ends. Silent where stderr is no terminal.
class Progress {
public:
    Progress(const Terminal& terminal, std::string label, std::uint64_t total_bytes);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void add(std::uint64_t bytes);
    /// They will come again.
    void take_back(std::uint64_t bytes) { done_ -= bytes; }

private:
    bool enabled_;
    std::string label_;
    std::uint64_t total_;
    std::uint64_t done_ = 0;
    bool drawn_ = false;
    // from the start, so that what is quick draws nothing at all
    std::chrono::steady_clock::time_point drawn_at_ = std::chrono::steady_clock::now();
};

/// "sending 12.3 MiB of 40 MiB (30 %)".
std::string progress_line(const std::string& label, std::uint64_t done, std::uint64_t total);

} // namespace linarite::cli
