// agent/shim/start.hpp: starts the main process of a run inside what holds its tree together.
#pragma once

#include "agent/shim/cgroup.hpp"
#include "agent/shim/job.hpp"

#include <string>
#include <sys/types.h>

namespace linarite::shim {

/// The process tree of a run, as its supervisor holds it.
struct Tree {
    Containment kind = Containment::sweep;
    Cgroup group = Cgroup::at("", false); // for the kinds `cgroup` and `freezer`
    pid_t init = -1;                      // first process of the PID namespace
    int init_pipe = -1;                   // ends that process if closed, sends it home once it is alone if written to
    int outer_namespace = -1;             // the PID namespace that we came from
    pid_t main = -1;                      // leader of its own session and process group; -1 if it could not be started
    int exit_code = 0;                    // as a shell would give it, if it could not
    std::string error;                    // why, in words
    bool no_proc = false;                 // it was that the namespace may not have its own /proc
};

/// Makes what `job.containment` asks for (the first that the kernel grants, if automatic). Nothing of the run is
/// started yet.
Tree prepare_tree(const Job& job, bool namespace_allowed = true);

/// Starts the program with its output on the two descriptors. All signals are as a new process expects them.
void start_main(const Job& job, int out, int err, Tree& tree);

/// Ends an empty PID namespace and goes back to the one before, for a start by other means.
void leave_namespace(Tree& tree);

/// Ends every process of the tree, as far as one attempt can.
void kill_tree(const Tree& tree);

} // namespace linarite::shim
