// agent/shim/rsh.hpp: Open MPI's launch agent in place of ssh.
#pragma once

namespace linarite::shim {

/// `linarite-shim rsh HOST WORD...`: asks the node's agent (the socket in LINARITE_LAUNCH_SOCKET) to have the words,
/// joined by spaces, run on the node that HOST stands for, and ends as that command ends. Asks again, for the same
/// thing, while the agent is restarted; gives up with 1 if it hears nothing for a minute (LINARITE_LAUNCH_TIMEOUT_MS).
int rsh(int count, char** words);

} // namespace linarite::shim
