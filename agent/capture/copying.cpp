#include "agent/capture/copying.hpp"

#include "common/ids.hpp"

#include <linux/fs.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

Result<void> copy_by_hand(int from, int to, const std::string& name) {
    std::array<char, 65536> piece{};
    for (;;) {
        const ssize_t got = ::read(from, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno_error("read '" + name + "'", errno);
        }
        if (got == 0) {
            return {};
        }
        if (auto written = write_all(to, {piece.data(), static_cast<std::size_t>(got)}); !written) {
            return written;
        }
    }
}

Result<void> copy_bytes(int from, int to, const std::string& name) {
    if (::ioctl(to, FICLONE, from) == 0) {
        return {};
    }
    constexpr std::size_t much = std::size_t{1} << 30U;
    for (bool first = true;; first = false) {
        const ssize_t got = ::copy_file_range(from, nullptr, to, nullptr, much, 0);
        if (got == 0 && !first) {
            return {};
        }
        if (got > 0 || (got < 0 && errno == EINTR)) {
            continue;
        }
        if (!first) {
            return errno_error("copy '" + name + "'", errno);
        }
        // not between these file systems, or a file of a kind (/proc) that says nothing of its size
        return copy_by_hand(from, to, name);
    }
}

} // namespace

Result<void> move_into_place(const fs::path& from, const fs::path& to, Existing existing) {
    const unsigned flags = existing == Existing::replaced ? 0 : RENAME_NOREPLACE;
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) {
        return {};
    }
    const int error = errno;
    ::unlink(from.c_str());
    return error == EEXIST && existing == Existing::kept ? Result<void>()
                                                         : errno_error("rename to '" + to.string() + "'", error);
}

Result<void> copy_file(const fs::path& from, const fs::path& to, Existing existing) {
    const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    return source ? copy_open_file(source.get(), from.string(), to, existing)
                  : errno_error("open '" + from.string() + "'", errno);
}

Result<void> copy_open_file(int from, const std::string& name, const fs::path& to, Existing existing) {
    struct stat info {};
    if (::fstat(from, &info) != 0) {
        return errno_error("look at '" + name + "'", errno);
    }
    if (!S_ISREG(info.st_mode)) {
        return Error(Errc::invalid_argument, "'" + name + "' is not a regular file");
    }
    const bool direct = existing == Existing::impossible;
    const fs::path written = direct ? to : fs::path(to.string() + ".part-" + random_hex(6));
    const mode_t mode = (info.st_mode & 0777U) | S_IWUSR;
    const UniqueFd target(::open(written.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (!target) {
        return errno_error("create '" + written.string() + "'", errno);
    }
    auto copied = copy_bytes(from, target.get(), name);
    if (!copied) {
        ::unlink(written.c_str());
        return copied;
    }
    return direct ? copied : move_into_place(written, to, existing);
}

Result<void> copy_tree(const fs::path& from, const fs::path& to, Existing existing) {
    if (auto made = make_folders(to); !made) {
        return made;
    }
    std::error_code ec;
    for (auto at = fs::recursive_directory_iterator(from, ec); !ec && at != fs::recursive_directory_iterator();
         at.increment(ec)) {
        const fs::path target = to / at->path().lexically_relative(from);
        const auto kind = at->symlink_status(ec).type();
        Result<void> done;
        if (kind == fs::file_type::directory) {
            done = make_folders(target);
        } else if (kind != fs::file_type::regular) {
            done = Error(Errc::invalid_argument, "'" + at->path().string() + "' is neither a file nor a folder");
        } else if (existing != Existing::kept || !fs::exists(target, ec)) {
            done = copy_file(at->path(), target, existing);
        }
        if (!done) {
            return done;
        }
    }
    if (ec) {
        return Error(Errc::internal, "copy '" + from.string() + "': " + ec.message());
    }
    return {};
}

} // namespace linarite::agent
