// agent/shim/spawner.hpp: a shim that stays, so that supervisors need not be executed anew.
#pragma once

#include <span>

namespace linarite::shim {

/// Forks supervisors for the agent at the other end of the socket that is our standard input, and ends with it. A
/// request is one datagram: job file, '\0', facts folder. The answer is an errno (0: started) and a pidfd. In `title`,
/// its part of our command line, each supervisor writes what it would have been executed with.
int spawner(std::span<char> title);

} // namespace linarite::shim
