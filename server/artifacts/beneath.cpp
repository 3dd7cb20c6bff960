#include "server/artifacts/beneath.hpp"

#include "common/ids.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::artifacts {

bool is_temporary(std::string_view name) {
    return name.size() == temporary_prefix.size() + 16 && name.starts_with(temporary_prefix);
}

std::string make_temporary_name() {
    return std::string(temporary_prefix) + random_hex(8);
}

Result<UniqueFd> open_root(const fs::path& root) {
    UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) {
        return errno_error("open folder '" + root.string() + "'", errno);
    }
    return fd;
}

Result<UniqueFd> make_root(const fs::path& root) {
    auto fd = open_root(root);
    if (fd || fd.error().code() != Errc::not_found) {
        return fd;
    }
    if (auto made = make_folders(root); !made) {
        return made.error();
    }
    const auto above = open_root(root.has_parent_path() ? root.parent_path() : fs::path("."));
    if (!above) {
        return above.error();
    }
    must_sync(above->get(), root.parent_path().string());
    return open_root(root);
}

std::string_view parent_of(std::string_view name) {
    const std::size_t slash = name.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

std::string_view leaf_of(std::string_view name) {
    const std::size_t slash = name.rfind('/');
    return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

namespace {

Result<UniqueFd> step_into(int folder, const std::string& part, const std::string& path) {
    if (::mkdirat(folder, part.c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error("make folder '" + path + "'", errno);
    }
    UniqueFd next(::openat(folder, part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && (errno == ENOTDIR || errno == ELOOP)) {
        return Error(Errc::conflict, "'" + path + "' is not a folder");
    }
    if (!next) {
        return errno_error("open folder '" + path + "'", errno);
    }
    return next;
}

} // namespace

Result<UniqueFd> make_parents(int root, const std::string& name) {
    const std::string parent(parent_of(name));
    UniqueFd folder(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) {
        return errno_error("open folder", errno);
    }
    for (std::size_t at = 0; at < parent.size();) {
        const std::size_t end = std::min(parent.find('/', at), parent.size());
        auto next = step_into(folder.get(), parent.substr(at, end - at), parent.substr(0, end));
        if (!next) {
            return next.error();
        }
        folder = std::move(*next);
        at = end + 1;
    }
    return folder;
}

Result<void> sync_parents(int root, const std::string& name) {
    for (std::string parent(parent_of(name)); !parent.empty(); parent.resize(parent_of(parent).size())) {
        const auto folder = open_beneath(root, parent, O_RDONLY | O_DIRECTORY);
        if (!folder) {
            return folder.error();
        }
        must_sync(folder->get(), parent);
    }
    must_sync(root, ".");
    return {};
}

Result<OpenFile> open_regular(int root, const std::string& name, int flags) {
    auto fd = open_beneath(root, name, flags);
    if (!fd) {
        return fd.error();
    }
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) {
        return errno_error("look at '" + name + "'", errno);
    }
    if (!S_ISREG(info.st_mode)) {
        return Error(Errc::not_found, "'" + name + "' is a folder");
    }
    return OpenFile{std::move(*fd), static_cast<std::uint64_t>(info.st_size)};
}

void must_sync(int fd, const std::string& name) {
    // some network file systems know no fsync of folders and say so by EINVAL
    if (::fsync(fd) == 0 || errno == EINVAL) {
        return;
    }
    spdlog::critical("fsync failed, ending the process: file=\"{}\" errno={}", name, errno);
    spdlog::shutdown();
    std::abort();
}

Result<void> write_at(int fd, std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error("write", errno);
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
    }
    return {};
}

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t count) {
    std::string out(count, '\0');
    std::size_t filled = 0;
    while (filled < count) {
        const ssize_t n = ::pread(fd, out.data() + filled, count - filled, static_cast<off_t>(offset + filled));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error("read", errno);
        }
        if (n == 0) {
            break;
        }
        filled += static_cast<std::size_t>(n);
    }
    out.resize(filled);
    return out;
}

} // namespace linarite::artifacts
