// agent/shim/facts.hpp: what the shim leaves behind for the agent, and the lines of ours in a log.
#pragma once

#include "agent/shim/job.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace linarite::shim {

std::int64_t wall_us();
std::int64_t steady_ms();

/// Writes `fact` to `folder`/`name` by a temporary file and rename. Durable ones are fsynced, and so is the folder.
/// False with errno set if that failed.
bool write_fact(const std::string& folder, const std::string& name, const Json& fact, bool durable);

/// Opens (and makes) a file to append to; -1 with errno.
int open_log(const std::string& path);
/// Our lines before the process's own output.
void write_before(int log, const LogLines& lines);
/// One line of ours, on a line of its own whatever the process left behind.
void write_line(int log, std::string line);
/// The line for success, or that for failure with the code in it. Nothing if there is none.
void write_after(int log, const LogLines& lines, int exit_code, int signal);

/// How often the kernel has killed for want of memory since it booted.
std::int64_t oom_kills();

/// The kernel's boot id, and when a process started (clock ticks since boot; 0 if there is no such process).
std::string boot_id();
std::uint64_t start_time(int pid);

} // namespace linarite::shim
