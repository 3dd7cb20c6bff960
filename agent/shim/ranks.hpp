// agent/shim/ranks.hpp: the processes of one node of a run that no mpirun starts.
#pragma once

namespace linarite::shim {

/// Starts the processes of the file that LINARITE_RANK_FILE names, each with its own log, and stays until all have
/// ended. One that fails ends the others: TERM, then KILL. TERM to us is passed on. Services are ended (TERM, a second
/// later KILL) once all others have ended well, or, if they linger for the sake of other nodes, when we get TERM.
/// Leaves rank-<n>.json for each, with `told` if it ended after it was asked to. Gives the exit code of the one that
/// failed first.
int ranks();

} // namespace linarite::shim
