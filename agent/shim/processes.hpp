// agent/shim/processes.hpp: what runs on this machine, and how to end a tree of it that nothing else holds together.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace linarite::shim {

struct Process {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t session = 0;
    char state = '?'; // as in /proc/PID/stat; 'Z' is a zombie
};

/// All processes that /proc shows.
std::vector<Process> all_processes();

/// The descendants of `root` among `all`, zombies left out.
std::vector<pid_t> descendants(const std::vector<Process>& all, const std::vector<pid_t>& roots);

/// Our `linarite-shim WORD` processes among the descendants of `root`.
std::vector<pid_t> shims(pid_t root, const std::string& word);

/// One pass over all descendants of `root`, at any depth: stops them until no new one turns up, so that a fork loop
/// cannot outrun it, then kills them. Gives how many there were. The caller is their subreaper, reaps, and repeats
/// until none is left.
std::size_t kill_descendants(pid_t root);

/// The variable that marks the processes of one run, so that they can be found when their supervisor was killed.
inline constexpr const char* tag_variable = "LINARITE_RUN_TAG";

/// Kills whatever carries the tag or is of that session, with all descendants, and waits until nothing is left. False
/// if something still lives after `patience_ms`.
bool kill_marked(const std::string& tag, pid_t session, std::int64_t patience_ms);

} // namespace linarite::shim
