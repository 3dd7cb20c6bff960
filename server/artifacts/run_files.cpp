#include "server/artifacts/run_files.hpp"

#include "server/artifacts/beneath.hpp"
#include "server/artifacts/incoming_state.hpp"
#include "server/artifacts/listing.hpp"

#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::artifacts {
namespace {

constexpr std::size_t hash_piece = std::size_t{256} << 10U;

Result<void> check_name(const std::string& name) {
    if (auto parsed = parse_relative_path(name, "file name"); !parsed) {
        return parsed.error();
    }
    if (is_temporary(leaf_of(name))) {
        return Error(Errc::invalid_argument, "file name '" + name + "' is kept for temporary files");
    }
    return {};
}

Result<OpenFile> open_to_read(const fs::path& root, const std::string& name) {
    if (auto checked = check_name(name); !checked) {
        return checked.error();
    }
    const auto folder = open_root(root);
    if (!folder) {
        return folder.error().code() == Errc::not_found ? Error(Errc::not_found, "'" + name + "' not found")
                                                        : folder.error();
    }
    return open_regular(folder->get(), name, O_RDONLY);
}

/// The file that grows; made, with its folders, if it is not there.
Result<UniqueFd> open_to_grow(const fs::path& root, const std::string& name, bool make) {
    auto folder = make ? make_root(root) : open_root(root);
    if (!folder) {
        return folder.error();
    }
    auto fd = open_beneath(folder->get(), name, O_RDWR | (make ? O_CREAT : 0));
    if (!fd && fd.error().code() == Errc::internal && open_beneath(folder->get(), name, O_RDONLY | O_DIRECTORY)) {
        return Error(Errc::conflict, "'" + name + "' is a folder");
    }
    if (fd || fd.error().code() != Errc::not_found || !make) {
        return fd;
    }
    if (const auto parents = make_parents(folder->get(), name); !parents) {
        return parents.error();
    }
    return open_beneath(folder->get(), name, O_RDWR | O_CREAT);
}

Error length_conflict(const std::string& name, std::uint64_t length, std::uint64_t offset) {
    return Error(Errc::conflict,
                 "'" + name + "' has " + std::to_string(length) + " bytes, not " + std::to_string(offset));
}

/// Whether the file has just these bytes at `offset`.
Result<bool> has_bytes(int fd, std::uint64_t offset, std::string_view bytes) {
    const auto there = read_at(fd, offset, bytes.size());
    if (!there) {
        return there.error();
    }
    return *there == bytes;
}

Result<std::uint64_t> append_to(int fd, const std::string& name, std::uint64_t offset, std::string_view bytes) {
    struct stat info {};
    // two requests may bring the same bytes at once, when one was repeated
    if (::flock(fd, LOCK_EX) != 0 || ::fstat(fd, &info) != 0) {
        return errno_error("lock '" + name + "'", errno);
    }
    const auto length = static_cast<std::uint64_t>(info.st_size);
    if (offset > length) {
        return length_conflict(name, length, offset);
    }
    const std::string_view overlap = bytes.substr(0, length - offset);
    if (!overlap.empty()) {
        const auto same = has_bytes(fd, offset, overlap);
        if (!same) {
            return same.error();
        }
        if (!*same) {
            return Error(Errc::conflict, "'" + name + "' has other bytes at " + std::to_string(offset));
        }
    }
    bytes.remove_prefix(overlap.size());
    if (auto written = write_at(fd, length, bytes); !written) {
        return written.error().within("append to '" + name + "'");
    }
    return length + bytes.size();
}

Result<std::string> hash_of(const OpenFile& file) {
    Sha256 hash;
    for (std::uint64_t at = 0;;) {
        const auto piece = read_at(file.fd.get(), at, hash_piece);
        if (!piece) {
            return piece.error();
        }
        hash.update(*piece);
        at += piece->size();
        if (piece->size() < hash_piece) {
            return hash.hex();
        }
    }
}

} // namespace

RunFiles::RunFiles(fs::path root) : root_(std::move(root)) {}

Result<std::uint64_t> RunFiles::append(const std::string& name, std::uint64_t offset, std::string_view bytes) {
    if (auto checked = check_name(name); !checked) {
        return checked.error();
    }
    const auto fd = open_to_grow(root_, name, offset == 0);
    if (fd) {
        return append_to(fd->get(), name, offset, bytes);
    }
    if (fd.error().code() == Errc::not_found && offset > 0) {
        return length_conflict(name, 0, offset);
    }
    return fd.error();
}

Result<void> RunFiles::finish(const std::string& name, const std::string& sha256) {
    const auto file = open_to_read(root_, name);
    if (!file) {
        return file.error();
    }
    const auto hash = hash_of(*file);
    if (!hash) {
        return hash.error().within("finish '" + name + "'");
    }
    if (*hash != sha256) {
        return Error(Errc::conflict,
                     "'" + name + "' has " + std::to_string(file->size) + " bytes with another SHA-256");
    }
    must_sync(file->fd.get(), name);
    const auto folder = open_root(root_);
    return folder ? sync_parents(folder->get(), name) : folder.error();
}

Result<void> RunFiles::link(const std::string& name, const std::string& other) {
    if (auto checked = check_name(other); !checked) {
        return checked;
    }
    const auto file = open_to_read(root_, name);
    if (!file) {
        return file.error();
    }
    const auto root = open_root(root_);
    if (!root) {
        return root.error();
    }
    const auto folder = make_parents(root->get(), other);
    if (!folder) {
        return folder.error();
    }
    const std::string leaf(leaf_of(other));
    const std::string from = "/proc/self/fd/" + std::to_string(file->fd.get());
    if (::unlinkat(folder->get(), leaf.c_str(), 0) != 0 && errno != ENOENT) {
        return errno_error("replace '" + other + "'", errno);
    }
    if (::linkat(AT_FDCWD, from.c_str(), folder->get(), leaf.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return errno_error("link '" + other + "'", errno);
    }
    return sync_parents(root->get(), other);
}

Result<IncomingFile> RunFiles::create(const std::string& name) {
    if (auto checked = check_name(name); !checked) {
        return checked.error();
    }
    auto folder = make_root(root_);
    if (!folder) {
        return folder.error();
    }
    auto state = std::make_unique<IncomingFile::State>();
    state->root = std::move(*folder);
    state->target = name;
    if (auto started = state->start("", 0644); !started) {
        return started.error();
    }
    return IncomingFile(std::move(state));
}

Result<std::uint64_t> RunFiles::size(const std::string& name) const {
    const auto file = open_to_read(root_, name);
    if (!file) {
        return file.error();
    }
    return file->size;
}

Result<std::string> RunFiles::read(const std::string& name, std::uint64_t offset, std::size_t count) const {
    const auto file = open_to_read(root_, name);
    if (!file) {
        return file.error();
    }
    const std::uint64_t left = file->size - std::min(file->size, offset);
    return read_at(file->fd.get(), offset, static_cast<std::size_t>(std::min<std::uint64_t>(left, count)));
}

Result<ReadableFile> RunFiles::open(const std::string& name) const {
    auto file = open_to_read(root_, name);
    if (!file) {
        return file.error();
    }
    const auto stamp = fresh_stamp(file->fd.get());
    if (!stamp) {
        return stamp.error().within("'" + name + "'");
    }
    return ReadableFile{std::make_shared<UniqueFd>(std::move(file->fd)), stamp->size,
                        from_ms(stamp->modified_ns / 1'000'000),
                        fmt::format("{}/{}/{}", stamp->modified_ns, stamp->inode, stamp->size)};
}

Result<std::vector<RunFiles::Entry>> RunFiles::list(const std::string& prefix, std::size_t limit) const {
    const auto folder = open_root(root_);
    if (!folder) {
        return folder.error().code() == Errc::not_found ? Result<std::vector<Entry>>(std::vector<Entry>())
                                                        : folder.error();
    }
    return list_files(folder->get(), prefix, limit);
}

Result<void> RunFiles::remove(const std::string& name) {
    if (auto file = open_to_read(root_, name); !file) {
        return file.error();
    }
    const auto root = open_root(root_);
    if (!root) {
        return root.error();
    }
    const std::string parent(parent_of(name));
    const auto folder = open_beneath(root->get(), parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY);
    if (!folder) {
        return folder.error();
    }
    if (::unlinkat(folder->get(), std::string(leaf_of(name)).c_str(), 0) != 0) {
        return errno_error("remove '" + name + "'", errno);
    }
    return {};
}

Result<void> RunFiles::clean_up() {
    const auto folder = open_root(root_);
    if (!folder) {
        return folder.error().code() == Errc::not_found ? Result<void>() : folder.error();
    }
    return remove_temporaries(folder->get());
}

Result<void> sync_all(const fs::path& folder) {
    const auto fd = open_root(folder);
    if (!fd) {
        return fd.error();
    }
    if (::syncfs(fd->get()) != 0) {
        spdlog::critical("syncfs failed, ending the process: folder=\"{}\" errno={}", folder.string(), errno);
        spdlog::shutdown();
        std::abort();
    }
    return {};
}

} // namespace linarite::artifacts
