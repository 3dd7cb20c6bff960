// agent/shim/cgroup.hpp: one control group of a run, made only to end all processes in it at once.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace linarite::shim {

/// A group below our own in the unified hierarchy (cgroup.kill) or in version 1's freezer. Every step that the kernel
/// refuses leaves it unusable, and another means is taken.
class Cgroup {
public:
    /// Makes it. Unusable (`!`) if there is no such hierarchy, or we may not write there.
    static Cgroup make_unified(const std::string& name);
    static Cgroup make_freezer(const std::string& name);
    /// One that another process made.
    static Cgroup at(const std::string& path, bool freezer);

    [[nodiscard]] bool usable() const { return !path_.empty(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool is_freezer() const { return freezer_; }
    /// fork(2) straight into the group where the kernel can (clone3); else a fork whose child moves itself. The move
    /// waits for a grace period of the kernel, some ms. -1 with errno if it fails.
    [[nodiscard]] pid_t fork_into() const;
    /// Kills everything in it.
    void kill() const;
    [[nodiscard]] bool empty() const;
    /// Removes it, with groups that the run made below.
    void remove() const;

private:
    Cgroup() = default;
    std::string path_;
    bool freezer_ = false;
};

} // namespace linarite::shim
