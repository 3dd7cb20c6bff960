// agent/shim/mounts.hpp: folders that a run sees otherwise than the rest of the machine does.
#pragma once

#include "agent/shim/job.hpp"

namespace linarite::shim {

/// A mount namespace of our own, whose mounts nobody else sees. False if the kernel refuses.
bool enter_mount_namespace();

/// Makes this process, and those that it starts, see what the job says. A folder with changes of the run's own that
/// can't be mounted so becomes read-only, and one that can't be made read-only stays as it is: permissions protect it
/// then. To be called by the child that becomes the program; `has_namespace` says that enter_mount_namespace() was
/// called before.
///
/// Who is not root may mount in a user namespace alone, which can't be left any more, and in which other users'
/// files seem to be nobody's and sudo does not work. So it is entered if the job allows it and a try in a process of
/// its own has shown that everything can be mounted there; otherwise all stays as it is.
void see_otherwise(const Job& job, bool has_namespace);

} // namespace linarite::shim
