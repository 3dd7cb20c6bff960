// agent/environment/bytecode.hpp: what Python makes of a module at its first import, made ahead.
#pragma once

#include "agent/environment/provider.hpp"

namespace linarite::agent {

/// Runs see an environment read-only, or in a view of their own that goes with them: what a script's Python compiles is
/// lost at its end, and the next run would compile it again. So each environment is compiled once after it was built,
/// by the processor's idle time alone. True if that was not done yet.
bool lacks_bytecode(const fs::path& environment);

/// Compiles what is in it; `lock_fd` is kept open by what does it, so that nobody else does it meanwhile. Whatever goes
/// wrong is only logged: the environment does without.
asio::awaitable<void> compile_bytecode(Node& node, fs::path environment, int lock_fd, CancelToken cancel);

} // namespace linarite::agent
