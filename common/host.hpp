// common/host.hpp: facts about the machine that this program runs on.
#pragma once

#include "common/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace linarite {

/// The kernel's boot id: changes with each boot.
std::string boot_id();
/// Equal for programs that share a kernel and its file systems: boot id and mount namespace.
std::string host_id();
std::string host_name();
int core_count();
std::uint64_t memory_bytes();
/// The running program's own file.
std::filesystem::path own_executable();

/// An exclusive lock on a file for the life of this process (flock). conflict if another process holds it; `holder` is
/// what that one wrote into it (its pid).
class FileLock {
public:
    static Result<FileLock> take(const std::filesystem::path& path);
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    ~FileLock();

private:
    explicit FileLock(int fd) : fd_(fd) {}
    int fd_ = -1;
};

} // namespace linarite
