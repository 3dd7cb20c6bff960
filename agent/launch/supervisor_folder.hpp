// agent/launch/supervisor_folder.hpp: what the facts folder of a supervisor says about it, wherever its process is.
#pragma once

#include "common/clock.hpp"
#include "common/files.hpp"

namespace linarite::agent {

enum class SupervisorState {
    lives,
    ended,      // or was lost; it did launch something
    called_off, // it never launched anything, and never will
};

/// Looks, and calls off a start that has not come to launch anything.
Result<SupervisorState> examine_supervisor(const fs::path& facts_dir);

/// Whether the lock of a supervisor is free. While `lock` lives, nobody else can take it.
Result<bool> lock_is_free(const fs::path& facts_dir, UniqueFd& lock);

/// TERM now, KILL of everything after `grace`; a shorter grace than one given before counts. Harmless if it has ended.
Result<void> tell_to_stop(const fs::path& facts_dir, Millis grace);

/// Removes all facts of an earlier attempt, so that the folder can be used for another. conflict while a supervisor
/// lives there.
Result<void> clear_facts(const fs::path& facts_dir);

} // namespace linarite::agent
