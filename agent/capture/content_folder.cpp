#include "agent/capture/content_folder.hpp"

#include "common/ids.hpp"

#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace linarite::agent {

namespace {

constexpr mode_t kept_mode = 0444;
constexpr time_t kept_date = 946'684'800; // 2000-01-01, UTC

bool is_unspoilt(const struct stat& info, std::uint64_t size) {
    return S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) == size &&
           info.st_mtim.tv_sec == kept_date && info.st_mtim.tv_nsec == 0;
}

Result<void> set_times(int fd, timespec modified) {
    std::array<timespec, 2> times{};
    ::clock_gettime(CLOCK_REALTIME, times.data());
    times[1] = modified;
    return ::futimens(fd, times.data()) == 0 ? Result<void>() : errno_error("date a kept file", errno);
}

struct KeptFile {
    fs::path path;
    std::uint64_t size = 0;
    std::int64_t used_ns = 0;
};

template <class Visit>
void each_kept(const fs::path& folder, Visit visit) {
    std::error_code ec;
    for (const auto& part : fs::directory_iterator(folder / "sha256", ec)) {
        std::error_code inner;
        for (const auto& entry : fs::directory_iterator(part.path(), inner)) {
            struct stat info {};
            if (::lstat(entry.path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
                visit(KeptFile{entry.path(), static_cast<std::uint64_t>(info.st_size),
                               std::int64_t{info.st_atim.tv_sec} * 1'000'000'000 + info.st_atim.tv_nsec});
            }
        }
    }
}

// Another name for the open file.
int link_open_file(int fd, const fs::path& to) {
    const std::string from = "/proc/self/fd/" + std::to_string(fd);
    return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW);
}

} // namespace

// ---- receiving ------------------------------------------------------------------------------------------------------

ContentFolder::Incoming::~Incoming() {
    if (!published_) {
        ::unlink(path_.c_str());
    }
}

Result<void> ContentFolder::Incoming::append(std::string_view bytes) {
    if (auto written = write_all(fd_.get(), bytes); !written) {
        return written;
    }
    hash_.update(bytes);
    size_ += bytes.size();
    return {};
}

Result<void> ContentFolder::Incoming::clear() {
    if (::ftruncate(fd_.get(), 0) != 0 || ::lseek(fd_.get(), 0, SEEK_SET) != 0) {
        return errno_error("empty '" + path_.string() + "'", errno);
    }
    hash_ = Sha256();
    size_ = 0;
    return {};
}

ContentFolder::ContentFolder(fs::path folder) : folder_(std::move(folder)) {}

fs::path ContentFolder::place_of(const std::string& sha256) const {
    return folder_ / "sha256" / sha256.substr(0, 2) / sha256;
}

Result<UniqueFd> ContentFolder::lock(Lock kind) const {
    if (auto made = make_folders(folder_, 0700); !made) {
        return made.error();
    }
    const fs::path path = folder_ / "lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    while (::flock(fd.get(), kind == Lock::shared ? LOCK_SH : LOCK_EX) != 0) {
        if (errno != EINTR) {
            return errno_error("lock '" + path.string() + "'", errno);
        }
    }
    return fd;
}

Result<std::unique_ptr<ContentFolder::Incoming>> ContentFolder::receive() {
    const fs::path path = folder_ / "incoming" / random_hex(12);
    if (auto made = make_folders(path.parent_path(), 0700); !made) {
        return made.error();
    }
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    // the lock tells a sweep that somebody lives who writes it
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return errno_error("create '" + path.string() + "'", errno);
    }
    return std::unique_ptr<Incoming>(new Incoming(path, std::move(fd)));
}

Result<void> ContentFolder::publish(Incoming& incoming, const Content& content) {
    const fs::path place = place_of(content.sha256);
    if (auto made = make_folders(place.parent_path(), 0700); !made) {
        return made;
    }
    if (::rename(incoming.path_.c_str(), place.c_str()) != 0) {
        return errno_error("rename to '" + place.string() + "'", errno);
    }
    incoming.published_ = true;
    return sync_folder(place.parent_path());
}

Result<void> ContentFolder::keep(Incoming& incoming, const Content& content, const Place& place) {
    if (incoming.size_ != content.size || incoming.hash_.hex() != content.sha256) {
        return Error(Errc::conflict, "arrived with other bytes than its SHA-256 says");
    }
    const int fd = incoming.fd_.get();
    if (::fchmod(fd, kept_mode) != 0) {
        return errno_error("change the mode of a kept file", errno);
    }
    if (auto dated = set_times(fd, {kept_date, 0}); !dated) {
        return dated;
    }
    if (auto synced = sync_fd(fd, incoming.path_.string()); !synced) { // the name must not be on disk before the bytes
        return synced;
    }
    auto locked = lock(Lock::shared); // so that it is not trimmed before it is given
    if (!locked) {
        return locked.error();
    }
    if (auto published = publish(incoming, content); !published) {
        return published;
    }
    const auto given = give_locked(content, place, std::move(*locked));
    if (given && !*given) {
        return Error(Errc::unavailable, "'" + content.sha256 + "' vanished from the data cache");
    }
    return given ? Result<void>() : given.error();
}

// ---- giving ---------------------------------------------------------------------------------------------------------

// False: only a copy will do.
Result<bool> ContentFolder::share_read_only(int kept, const fs::path& to) {
    if (clones_) {
        const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kept_mode));
        if (!target) {
            return errno_error("create '" + to.string() + "'", errno);
        }
        if (::ioctl(target.get(), FICLONE, kept) == 0) {
            return true;
        }
        clones_ = false;
        ::unlink(to.c_str());
    }
    if (link_open_file(kept, to) == 0) {
        return true;
    }
    const int error = errno;
    const bool cannot = error == EMLINK || error == EXDEV || error == EPERM;
    return cannot ? Result<bool>(false) : errno_error("link '" + to.string() + "'", error);
}

// The open file, if it is kept and unspoilt; else none.
Result<UniqueFd> ContentFolder::open_kept(const Content& content) const {
    const fs::path path = place_of(content.sha256);
    UniqueFd kept(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!kept) {
        return errno == ENOENT ? Result<UniqueFd>(UniqueFd()) : errno_error("open '" + path.string() + "'", errno);
    }
    struct stat info {};
    if (::fstat(kept.get(), &info) != 0) {
        return errno_error("look at '" + path.string() + "'", errno);
    }
    if (!is_unspoilt(info, content.size)) {
        ::unlink(path.c_str());
        return UniqueFd();
    }
    const auto used = set_times(kept.get(), {0, UTIME_OMIT});
    return used ? Result<UniqueFd>(std::move(kept)) : used.error();
}

// Copying needs the lock no more: what is open can't vanish.
Result<bool> ContentFolder::give_locked(const Content& content, const Place& place, UniqueFd lock) {
    const auto kept = open_kept(content);
    if (!kept || !*kept) {
        return kept ? Result<bool>(false) : kept.error();
    }
    if (auto made = make_folders(place.path.parent_path()); !made) {
        return made.error();
    }
    if (place.share == Share::read_only) {
        auto shared = share_read_only(kept->get(), place.path);
        if (!shared || *shared) {
            return shared;
        }
    }
    lock.reset();
    if (auto copied = copy_open_file(kept->get(), content.sha256, place.path, place.existing); !copied) {
        return copied.error();
    }
    if (place.share == Share::read_only && ::chmod(place.path.c_str(), kept_mode) != 0) {
        return errno_error("change '" + place.path.string() + "'", errno);
    }
    return true;
}

Result<bool> ContentFolder::give(const Content& content, const Place& place) {
    if (!is_sha256_hex(content.sha256)) {
        return Error(Errc::invalid_argument, "'" + content.sha256.substr(0, 100) + "' is not a SHA-256");
    }
    auto locked = lock(Lock::shared);
    return locked ? give_locked(content, place, std::move(*locked)) : locked.error();
}

// ---- removing -------------------------------------------------------------------------------------------------------

Result<std::uint64_t> ContentFolder::trim(std::uint64_t bytes, std::int64_t used_since) {
    const auto locked = lock(Lock::exclusive);
    if (!locked) {
        return locked.error();
    }
    std::uint64_t total = 0;
    std::vector<KeptFile> unused;
    each_kept(folder_, [&](KeptFile file) {
        total += file.size;
        if (file.used_ns < used_since) {
            unused.push_back(std::move(file));
        }
    });
    std::ranges::sort(unused, {}, &KeptFile::used_ns);
    for (const KeptFile& file : unused) {
        if (total <= bytes) {
            break;
        }
        if (::unlink(file.path.c_str()) == 0) {
            total -= file.size;
        }
    }
    return total;
}

void ContentFolder::drop(const Content& content) {
    ::unlink(place_of(content.sha256).c_str());
}

Result<std::uint64_t> ContentFolder::sweep() {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder_ / "incoming", ec)) {
        const UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) { // nobody lives who writes it
            ::unlink(entry.path().c_str());
        }
    }
    std::uint64_t total = 0;
    each_kept(folder_, [&](const KeptFile& file) { total += file.size; });
    return total;
}

} // namespace linarite::agent
