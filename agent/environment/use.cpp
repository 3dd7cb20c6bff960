#include "agent/environment/use.hpp"

#include "common/files.hpp"
#include "environments/use_marks.hpp"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>

namespace linarite::agent {

namespace {

// A cache that belongs to another user may be good for reading alone. Then its owner may remove what we use, and there
// is nothing that we could do about it.
bool may_only_read(const fs::path& cache) {
    return ::access(cache.c_str(), R_OK | X_OK) == 0 && ::access(cache.c_str(), W_OK) != 0;
}

Result<void> mark(const fs::path& cache, const std::string& key, const fs::path& user) {
    auto marked = environments::mark_use(cache, key, user);
    if (!marked && may_only_read(cache)) {
        spdlog::warn("an environment is used that its owner does not know to be in use: key={} cause=\"{}\"", key,
                     marked.error().detail());
        return {};
    }
    return marked;
}

} // namespace

// First the mark, then the look: who removes looks the other way round, under the exclusive lock.
Result<std::optional<environments::Stored>> take_into_use(const fs::path& cache, const std::string& key,
                                                          const fs::path& user) {
    using Found = std::optional<environments::Stored>;
    if (!user.empty()) {
        if (auto marked = mark(cache, key, user); !marked) {
            return marked.error();
        }
    }
    const fs::path path = environments::lock_of(cache, key);
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CLOEXEC)); // so that closing it wakes who waits for the lock
    if (!lock) {
        lock.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    }
    if (lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0) {
        return Found(); // it is being built, or removed
    }
    if (!lock && errno == ENOENT) {
        return Found(); // nobody has built it ever
    }
    auto stored = environments::read_stored(cache / key);
    if (!stored) {
        return Found();
    }
    environments::touch_marker(cache / key);
    return Found(std::move(*stored));
}

} // namespace linarite::agent
