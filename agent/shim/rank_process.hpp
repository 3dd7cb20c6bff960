// agent/shim/rank_process.hpp: what is the same for a rank whether mpirun started it or we did.
#pragma once

#include "agent/shim/job.hpp"

#include <string>
#include <sys/types.h>

namespace linarite::shim {

/// The driver log of the process that is called so; "" is the only one of its run.
std::string rank_log(const RankJob& job, const std::string& word);

/// In the child: becomes the program, with its output in `log`. It dies with `parent`. What keeps it from starting is
/// said in the log, and it ends with 126 or 127 as a shell would.
[[noreturn]] void become_rank(const RankJob& job, int log, pid_t parent);

/// rank-<n>.json: `fact` with the rank and the time of now.
void write_rank_fact(const RankJob& job, int rank, Json fact);

} // namespace linarite::shim
