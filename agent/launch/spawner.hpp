// agent/launch/spawner.hpp: a warm linarite-shim that forks the supervisors of an agent.
#pragma once

#include "common/files.hpp"

namespace linarite::agent {

/// To execute a program takes a millisecond and more on a virtual processor, since the C library asks it about its
/// caches with instructions that trap there. A fork takes a fifth of it. The process is started with the first
/// supervisor, and again if it is gone; it ends with the agent, the supervisors do not. Blocking, but short.
class Spawner {
public:
    explicit Spawner(fs::path shim);
    ~Spawner();
    Spawner(const Spawner&) = delete;
    Spawner& operator=(const Spawner&) = delete;

    /// The pidfd of a new supervisor; it is no child of ours. unavailable: none was started, and none will be.
    /// internal: that is not known.
    Result<UniqueFd> start(const fs::path& job_file, const fs::path& facts_dir);

private:
    Result<void> warm_up();
    void cool_down();
    Result<UniqueFd> take_answer();
    fs::path shim_;
    UniqueFd socket_;
    UniqueFd process_;
};

} // namespace linarite::agent
