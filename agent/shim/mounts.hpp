// agent/shim/mounts.hpp: folders that a run sees otherwise than the rest of the machine does.
#pragma once

#include "agent/shim/job.hpp"

namespace linarite::shim {

/// Whether the run is to see anything otherwise.
bool wants_mounts(const Job& job);

/// A mount namespace of our own, whose mounts nobody else sees. False if the kernel refuses.
bool enter_mount_namespace();

/// To be called in such a namespace: mounts what the job says. A folder with changes of the run's own that can't be
/// mounted so becomes read-only, and one that can't be made read-only stays as it is: permissions protect it then.
void mount_all(const Job& job);

} // namespace linarite::shim
