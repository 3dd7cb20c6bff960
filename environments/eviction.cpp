#include "environments/eviction.hpp"

#include "common/file_tree.hpp"
#include "common/files.hpp"
#include "environments/usage.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace linarite::environments {

namespace {

const std::atomic<bool> never{false};
constexpr auto pause_between_tries = std::chrono::milliseconds(20); // on a thread that has nothing else to do

std::string in_words(std::uint64_t bytes) {
    constexpr double mebi = 1024.0 * 1024.0;
    const double mib = static_cast<double>(bytes) / mebi;
    return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

// A lock file that root makes in a user's cache must not lock out that user.
void give_to_owner_of(const fs::path& folder, int fd) {
    struct stat facts {};
    if (::geteuid() == 0 && ::stat(folder.c_str(), &facts) == 0 && facts.st_uid != 0) {
        (void)::fchown(fd, facts.st_uid, facts.st_gid);
    }
}

// The exclusive lock; conflict if somebody else has it.
Result<UniqueFd> try_lock(const fs::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    give_to_owner_of(path.parent_path(), fd.get());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? Error(Errc::conflict, "'" + path.string() + "' is locked")
                                    : errno_error("lock '" + path.string() + "'", errno);
    }
    return fd;
}

// Waits for it, but not beyond `stop`: whoever has it may be deleting for a long time.
Result<UniqueFd> await_lock(const fs::path& path, const std::atomic<bool>& stop) {
    for (;;) {
        auto lock = try_lock(path);
        if (lock || lock.error().code() != Errc::conflict || stop) {
            return lock;
        }
        std::this_thread::sleep_for(pause_between_tries);
    }
}

bool is_busy(const fs::path& cache, const std::string& key) {
    const UniqueFd fd(::open(lock_of(cache, key).c_str(), O_RDONLY | O_CLOEXEC));
    return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::vector<fs::path> package_folders(const fs::path& cache) {
    std::vector<fs::path> found;
    for (const std::string_view name : package_caches) {
        std::error_code ec;
        if (fs::is_directory(cache / name, ec)) {
            found.push_back(cache / name);
        }
    }
    return found;
}

// One call of make_room.
class Eviction {
public:
    Eviction(const fs::path& cache, const Wish& wish, const std::atomic<bool>& stop)
        : cache_(cache), wish_(wish), stop_(stop) {}

    EvictionReport run() {
        std::error_code ec;
        if (!fs::is_directory(cache_, ec)) {
            return {};
        }
        const auto lock = await_lock(eviction_lock(cache_), stop_);
        if (!lock) {
            report_.trouble = stop_ ? "" : lock.error().detail();
            return std::move(report_);
        }
        clear_leftovers();
        take_stock();
        for (const Stored& stored : stored_) {
            if (stop_) {
                break;
            }
            if (std::string reason = why(stored); !reason.empty()) {
                remove_environment(stored, std::move(reason));
            }
        }
        for (const fs::path& folder : package_folders(cache_)) {
            if (stop_) {
                break;
            }
            if (std::string reason = why_packages(); !reason.empty()) {
                remove_packages(folder, std::move(reason));
            }
        }
        return std::move(report_);
    }

private:
    // Of those who were killed while they deleted; and marks of what was never built, or is there no more.
    void clear_leftovers() {
        if (wish_.dry_run) {
            return;
        }
        std::error_code ec;
        std::vector<fs::path> leftovers;
        for (const auto& entry : fs::directory_iterator(cache_, ec)) {
            if (is_removed_name(entry.path().filename().string())) {
                leftovers.push_back(entry.path());
            }
        }
        for (const fs::path& leftover : leftovers) {
            (void)delete_tree(leftover, stop_); // the next call tries again
        }
        for (const auto& entry : fs::directory_iterator(marks_of(cache_, "").parent_path(), ec)) {
            const std::string key = entry.path().filename().string();
            std::error_code failed;
            if (!fs::exists(cache_ / key, failed) && users_of(cache_, key).empty()) {
                fs::remove(entry.path(), failed); // who makes a mark there just now makes the folder anew
            }
        }
    }

    void take_stock() {
        stored_ = list_stored(cache_);
        // what is of no use to anybody goes first, then what was not used for the longest time
        std::ranges::stable_sort(stored_, [](const Stored& a, const Stored& b) {
            return std::pair(a.whole, a.last_used) < std::pair(b.whole, b.last_used);
        });
        if (!needs_measures()) {
            return;
        }
        for (const Stored& stored : stored_) {
            usage_.measure(stored.folder, stop_);
        }
        for (const fs::path& folder : package_folders(cache_)) {
            usage_.measure(folder, stop_);
        }
        measured_ = true;
    }

    // A walk through all files takes seconds: not where the file system itself shows that no limit is passed.
    [[nodiscard]] bool needs_measures() const {
        if (wish_.dry_run || wish_.all_environments || wish_.packages == Wish::Packages::all) {
            return true;
        }
        const auto space = space_of(cache_);
        return !space || space->free < wish_.limits.least_free ||
               (wish_.limits.most_bytes > 0 && space->size - space->free > wish_.limits.most_bytes);
    }

    // Of the limits the first that does not hold; "" if all do.
    [[nodiscard]] std::string broken_limit() const {
        if (!measured_) {
            return "";
        }
        if (wish_.limits.most_bytes > 0 && usage_.total() > wish_.limits.most_bytes) {
            return "the cache takes " + in_words(usage_.total()) + ", and may take " +
                   in_words(wish_.limits.most_bytes);
        }
        const auto space = space_of(cache_);
        const std::uint64_t free = space ? space->free + (wish_.dry_run ? report_.freed : 0) : 0;
        if (space && free < wish_.limits.least_free) {
            return "the file system has " + in_words(free) + " free, and should have " +
                   in_words(wish_.limits.least_free);
        }
        return "";
    }

    [[nodiscard]] std::string why(const Stored& stored) const {
        if (!stored.whole) {
            return "it was left half-built";
        }
        if (wish_.all_environments) {
            return "all idle environments go";
        }
        if (wish_.unused_since && stored.last_used < *wish_.unused_since) {
            return "not used since " + format_time(stored.last_used);
        }
        return broken_limit();
    }

    [[nodiscard]] std::string why_packages() const {
        switch (wish_.packages) {
        case Wish::Packages::keep: return "";
        case Wish::Packages::if_needed: return broken_limit();
        case Wish::Packages::all: return "package caches go, too";
        }
        return "";
    }

    void remove_environment(const Stored& stored, std::string reason) {
        Removal removal;
        removal.name = stored.key;
        removal.provider = stored.provider;
        removal.bytes = measured_      ? usage_.of(stored.folder)
                        : stored.bytes ? *stored.bytes
                                       : bytes_on_disk(stored.folder);
        removal.last_used = stored.last_used;
        removal.reason = std::move(reason);
        auto lock = try_lock(lock_of(cache_, stored.key));
        if (!lock) {
            refuse(std::move(removal), lock.error());
            return;
        }
        std::error_code gone;
        if (fs::exists(marker_of(stored.folder), gone) != stored.whole) {
            return; // another one has built or removed it meanwhile
        }
        if (stored.whole) { // who has marked half a one builds it anew
            removal.users = users_of(cache_, stored.key);
        }
        if (!removal.users.empty()) {
            removal.fate = Removal::Fate::in_use;
            report_.removals.push_back(std::move(removal));
            return;
        }
        take_away(stored.folder, std::move(*lock), std::move(removal));
        if (!wish_.dry_run) {
            std::error_code ec;
            fs::remove(marks_of(cache_, stored.key), ec); // if it is empty
        }
    }

    void remove_packages(const fs::path& folder, std::string reason) {
        Removal removal;
        removal.name = folder.filename().string();
        removal.bytes = usage_.of(folder);
        removal.reason = std::move(reason);
        auto lock = try_lock(packages_lock(cache_));
        if (!lock) {
            refuse(std::move(removal), lock.error());
            return;
        }
        take_away(folder, std::move(*lock), std::move(removal));
    }

    void refuse(Removal removal, const Error& error) {
        removal.fate = error.code() == Errc::conflict ? Removal::Fate::busy : Removal::Fate::failed;
        removal.error = error.detail();
        report_.removals.push_back(std::move(removal));
    }

    // Out of its place in one step, marker and all; deleting it takes long, and nobody has to wait for that.
    void take_away(const fs::path& folder, UniqueFd lock, Removal removal) {
        if (!wish_.dry_run) {
            const fs::path away = new_removed_name(cache_);
            if (::rename(folder.c_str(), away.c_str()) != 0) {
                refuse(std::move(removal), errno_error("rename '" + folder.string() + "'", errno));
                return;
            }
            lock.reset();
            if (const auto deleted = delete_tree(away, stop_); !deleted) {
                removal.error = deleted.error().detail(); // it is out of the way all the same
            }
        }
        report_.freed += measured_ ? usage_.remove(folder) : removal.bytes;
        report_.removals.push_back(std::move(removal));
    }

    const fs::path& cache_;
    const Wish& wish_;
    const std::atomic<bool>& stop_;
    std::vector<Stored> stored_;
    Usage usage_;
    bool measured_ = false;
    EvictionReport report_;
};

} // namespace

EvictionReport make_room(const fs::path& cache, const Wish& wish, const std::atomic<bool>& stop) {
    return Eviction(cache, wish, stop).run();
}

Picture look_at(const fs::path& cache) {
    Picture picture;
    Usage usage;
    for (Stored& stored : list_stored(cache)) {
        usage.measure(stored.folder, never);
        stored.bytes = usage.of(stored.folder);
        std::vector<User> users = users_of(cache, stored.key);
        const bool busy = is_busy(cache, stored.key);
        picture.environments.push_back({std::move(stored), std::move(users), busy});
    }
    std::ranges::sort(picture.environments,
                      [](const auto& a, const auto& b) { return a.stored.last_used > b.stored.last_used; });
    for (const fs::path& folder : package_folders(cache)) {
        usage.measure(folder, never);
        picture.packages.push_back({folder.filename().string(), usage.of(folder)});
    }
    picture.total = usage.total();
    return picture;
}

} // namespace linarite::environments
