#include "common/files.hpp"

#include <linux/openat2.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace linarite {

void UniqueFd::reset(int fd) noexcept {
    if (fd_ >= 0) {
        ::close(fd_);
    }
    fd_ = fd;
}

Result<std::string> read_file(const fs::path& path, std::size_t limit) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    std::string out;
    std::array<char, std::size_t{16} << 10U> piece; // NOLINT(*-member-init): written before it is read
    for (;;) {
        const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error("read '" + path.string() + "'", errno);
        }
        if (n == 0) {
            return out;
        }
        out.append(piece.data(), static_cast<std::size_t>(n));
        if (out.size() > limit) {
            return Error(Errc::too_large, "'" + path.string() + "' is over " + std::to_string(limit) + " bytes");
        }
    }
}

Result<void> write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error("write", errno);
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> sync_fd(int fd, const std::string& name) {
    if (::fsync(fd) != 0) {
        return errno_error("fsync '" + name + "'", errno);
    }
    return {};
}

Result<void> sync_folder(const fs::path& folder) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return errno_error("open '" + folder.string() + "'", errno);
    }
    return sync_fd(fd.get(), folder.string());
}

Result<void> make_folders(const fs::path& folder, mode_t mode) {
    std::error_code ec;
    if (fs::is_directory(folder, ec)) {
        return {};
    }
    if (folder.has_parent_path() && folder.parent_path() != folder) {
        if (auto made = make_folders(folder.parent_path(), mode); !made) {
            return made;
        }
    }
    if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST) {
        return errno_error("make folder '" + folder.string() + "'", errno);
    }
    return {};
}

namespace {

Result<void> write_and_rename(const fs::path& path, std::string_view bytes, mode_t mode, bool sync) {
    static std::atomic<unsigned> counter{0};
    const std::string temporary =
        path.string() + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(++counter);
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd) {
        return errno_error("create '" + temporary + "'", errno);
    }
    auto done = write_all(fd.get(), bytes);
    if (done && sync) {
        done = sync_fd(fd.get(), temporary);
    }
    if (done && ::rename(temporary.c_str(), path.c_str()) != 0) {
        done = errno_error("rename to '" + path.string() + "'", errno);
    }
    if (!done) {
        ::unlink(temporary.c_str());
        return done.error().within("write '" + path.string() + "'");
    }
    return {};
}

} // namespace

Result<void> write_file_durably(const fs::path& path, std::string_view bytes, mode_t mode) {
    if (auto written = write_and_rename(path, bytes, mode, true); !written) {
        return written;
    }
    return sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

Result<void> replace_file(const fs::path& path, std::string_view bytes, mode_t mode) {
    return write_and_rename(path, bytes, mode, false);
}

namespace {

// Length of the UTF-8 sequence that starts at text[0], 0 if it is none (also overlong forms and surrogates).
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0U) == 0x80U; };
    if (byte(0) < 0x80U) {
        return 1;
    }
    if (byte(0) >= 0xC2U && byte(0) <= 0xDFU) {
        return follows(1) ? 2 : 0;
    }
    if ((byte(0) & 0xF0U) == 0xE0U && follows(1) && follows(2)) {
        const bool overlong = byte(0) == 0xE0U && byte(1) < 0xA0U;
        const bool surrogate = byte(0) == 0xEDU && byte(1) >= 0xA0U;
        return overlong || surrogate ? 0 : 3;
    }
    if (byte(0) >= 0xF0U && byte(0) <= 0xF4U && follows(1) && follows(2) && follows(3)) {
        const bool outside = (byte(0) == 0xF0U && byte(1) < 0x90U) || (byte(0) == 0xF4U && byte(1) >= 0x90U);
        return outside ? 0 : 4;
    }
    return 0;
}

const char* fault_of_part(std::string_view part) {
    if (part.empty()) {
        return "has an empty part";
    }
    if (part == "." || part == "..") {
        return "has a '.' or '..' part";
    }
    if (part.size() > 255) {
        return "has a part over 255 bytes";
    }
    for (const char c : part) {
        if (static_cast<unsigned char>(c) < 0x20U || c == 0x7F || c == '\\') {
            return "has a control character or a backslash";
        }
    }
    return nullptr;
}

} // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

Result<std::string> parse_relative_path(std::string_view text, std::string_view what) {
    const auto refuse = [&](const char* why) {
        return Error(Errc::invalid_argument, std::string(what) + " '" + std::string(text.substr(0, 200)) + "' " + why);
    };
    if (text.empty()) {
        return refuse("is empty");
    }
    if (text.size() > 1024) {
        return refuse("is over 1024 bytes");
    }
    if (!is_utf8(text)) {
        return Error(Errc::invalid_argument, std::string(what) + " is not UTF-8");
    }
    std::size_t parts = 0;
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find('/', at), text.size());
        if (const char* fault = fault_of_part(text.substr(at, end - at))) {
            return refuse(fault);
        }
        ++parts;
        at = end + 1;
    }
    if (parts > 32) {
        return refuse("has over 32 parts");
    }
    return std::string(text);
}

Result<UniqueFd> open_beneath(int root, const std::string& relative, int flags, mode_t mode) {
    open_how how{};
    how.flags = static_cast<__u64>(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    how.mode = (flags & O_CREAT) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, relative.c_str(), &how, sizeof how)));
    if (!fd) {
        const int error = errno;
        if (error == ELOOP || error == EXDEV) {
            return Error(Errc::invalid_argument, "'" + relative + "' is or passes a link, which is not followed");
        }
        if (error == ENOTDIR) {
            return Error(Errc::not_found, "open '" + relative + "': a part of it is a file, not a folder");
        }
        return errno_error("open '" + relative + "'", error);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))) {
        return Error(Errc::invalid_argument, "'" + relative + "' is not a regular file");
    }
    return fd;
}

} // namespace linarite
