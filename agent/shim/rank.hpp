// agent/shim/rank.hpp: one rank of an MPI run, between mpirun's daemon and the user's program.
#pragma once

namespace linarite::shim {

/// `linarite-shim rank`: reads what is local to the node from the file in LINARITE_RANK_FILE, starts the program with
/// its output in the rank's own log, leaves rank-<n>.json with how it ended, and ends in the same way.
int rank();

} // namespace linarite::shim
