// agent/shim/supervise.hpp: the supervisor of one run on one node.
#pragma once

namespace linarite::shim {

/// Runs what the job file says and stays until nothing of it lives. Leaves in the facts folder:
///   lock             held (flock) for as long as we live, with our pid; a file `void` beside it forbids the start
///   supervisor.json  who we are and what holds the tree together; written before the start
///   started.json     the main process
///   exit.json        how it ended; written durably, last, and only once nothing lives any more
///   control          a datagram socket that takes "stop <grace in ms>"; a file `stop` with that text is obeyed at the
///   start
/// Gives 0 if exit.json was written.
int supervise(const char* job_file);

/// Ends what a supervisor that was killed left behind, as its facts folder describes it. 0 once nothing is left.
int sweep(const char* facts_dir);

} // namespace linarite::shim
