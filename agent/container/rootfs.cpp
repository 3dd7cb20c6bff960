#include "agent/container/rootfs.hpp"

#include "agent/container/archive_handles.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/ids.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace linarite::agent {

namespace {

constexpr std::string_view scheme = "rootfs:";
constexpr std::size_t piece_size = std::size_t{1} << 20U;

Error missing(const fs::path& path) {
    return {Errc::not_found, "root filesystem '" + path.string() +
                                 "' is not on this node: put it there, or change the operator's map (--image-map)"};
}

/// Everything below the folder, sorted, so that equal folders give equal tars.
Result<std::vector<fs::path>> list_below(const fs::path& folder) {
    std::vector<fs::path> paths;
    std::error_code ec;
    for (fs::recursive_directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
        const fs::file_type type = at->symlink_status(ec).type();
        if (type == fs::file_type::regular || type == fs::file_type::directory || type == fs::file_type::symlink) {
            paths.push_back(at->path());
        }
    }
    if (ec) {
        return Error(Errc::internal, "read root filesystem '" + folder.string() + "': " + ec.message());
    }
    std::ranges::sort(paths);
    return paths;
}

void add_status(const fs::path& path, Sha256& sum) {
    struct stat about {};
    const bool there = ::lstat(path.c_str(), &about) == 0;
    const std::array<std::int64_t, 7> facts{there ? about.st_size : -1,
                                            about.st_mtim.tv_sec,
                                            about.st_mtim.tv_nsec,
                                            about.st_ctim.tv_sec,
                                            about.st_mode,
                                            about.st_uid,
                                            about.st_gid};
    sum.update(path.string());
    sum.update({reinterpret_cast<const char*>(facts.data()), sizeof(facts)}); // NOLINT: bytes as they are
}

/// A tar that is written to a file and hashed on its way.
class Packer {
public:
    explicit Packer(int fd)
        : fd_(fd),
          disk_(::archive_read_disk_new()),
          writer_(::archive_write_new()),
          links_(::archive_entry_linkresolver_new()) {
        ::archive_read_disk_set_symlink_physical(disk_.get());
        ::archive_write_set_format_pax_restricted(writer_.get());
        ::archive_write_set_bytes_per_block(writer_.get(), piece_size);
        ::archive_entry_linkresolver_set_strategy(links_.get(), ::archive_format(writer_.get()));
        ::archive_write_open(writer_.get(), this, nullptr, &Packer::take, nullptr);
    }

    Result<void> add(const fs::path& path, const fs::path& folder) {
        Entry entry(::archive_entry_new());
        ::archive_entry_copy_sourcepath(entry.get(), path.c_str());
        if (::archive_read_disk_entry_from_file(disk_.get(), entry.get(), -1, nullptr) < ARCHIVE_WARN) {
            return failed(disk_.get(), path);
        }
        ::archive_entry_copy_pathname(entry.get(), path.lexically_relative(folder).c_str());
        ::archive_entry_unset_atime(entry.get());
        ::archive_entry_unset_ctime(entry.get());
        ::archive_entry_unset_birthtime(entry.get());
        ::archive_entry_set_uname(entry.get(), ""); // the node's own names say nothing in it
        ::archive_entry_set_gname(entry.get(), "");
        archive_entry* whole = entry.release();
        archive_entry* spare = nullptr; // of formats that keep the last of several links back; this one does not
        ::archive_entry_linkify(links_.get(), &whole, &spare);
        entry.reset(whole);
        if (::archive_write_header(writer_.get(), entry.get()) < ARCHIVE_WARN) {
            return failed(writer_.get(), path);
        }
        return ::archive_entry_size(entry.get()) > 0 ? add_content(path) : Result<void>();
    }

    /// The hash of all.
    Result<std::string> finish() {
        if (::archive_write_close(writer_.get()) != ARCHIVE_OK) {
            return Error(Errc::internal, "pack a root filesystem: " + words_of(writer_.get()));
        }
        return sum_.hex();
    }

private:
    static std::string words_of(archive* of) {
        const char* words = ::archive_error_string(of);
        return words == nullptr ? "unknown error" : words;
    }
    static Error failed(archive* of, const fs::path& path) {
        return {Errc::internal, "pack '" + path.string() + "' of a root filesystem: " + words_of(of)};
    }
    static la_ssize_t take(archive* of, void* self, const void* bytes, std::size_t count) {
        auto* const packer = static_cast<Packer*>(self);
        const std::string_view piece(static_cast<const char*>(bytes), count);
        packer->sum_.update(piece);
        if (const auto written = write_all(packer->fd_, piece); !written) {
            ::archive_set_error(of, EIO, "%s", written.error().detail().c_str());
            return -1;
        }
        return static_cast<la_ssize_t>(count);
    }
    Result<void> add_content(const fs::path& path) {
        const UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        buffer_.resize(piece_size);
        for (;;) {
            const ssize_t count = from ? ::read(from.get(), buffer_.data(), buffer_.size()) : -1;
            if (count < 0) {
                return errno_error("read '" + path.string() + "' of a root filesystem", errno);
            }
            if (count == 0) {
                return {};
            }
            if (::archive_write_data(writer_.get(), buffer_.data(), static_cast<std::size_t>(count)) < 0) {
                return failed(writer_.get(), path);
            }
        }
    }

    int fd_;
    Sha256 sum_;
    Archive disk_;
    Archive writer_;
    Links links_;
    std::string buffer_;
};

Result<std::string> hash_file(const fs::path& path) {
    const UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    Sha256 sum;
    std::string buffer(piece_size, '\0');
    for (;;) {
        const ssize_t count = from ? ::read(from.get(), buffer.data(), buffer.size()) : -1;
        if (count < 0) {
            return errno_error("read root filesystem '" + path.string() + "'", errno);
        }
        if (count == 0) {
            return sum.hex();
        }
        sum.update(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
    }
}

Result<std::string> pack_folder(const fs::path& folder, const fs::path& tar) {
    const auto paths = list_below(folder);
    if (!paths) {
        return paths.error();
    }
    const UniqueFd to(::open(tar.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!to) {
        return errno_error("make '" + tar.string() + "'", errno);
    }
    Packer packer(to.get());
    for (const fs::path& path : *paths) {
        if (auto added = packer.add(path, folder); !added) {
            return added.error();
        }
    }
    return packer.finish();
}

} // namespace

bool is_rootfs(const std::string& image) {
    return image.starts_with(scheme);
}

fs::path rootfs_path(const std::string& image) {
    return image.substr(scheme.size());
}

Result<std::string> fingerprint_rootfs(const fs::path& path) {
    std::error_code ec;
    const fs::file_type type = fs::status(path, ec).type();
    Sha256 sum;
    add_status(path, sum);
    if (type == fs::file_type::regular) {
        return sum.hex();
    }
    if (type != fs::file_type::directory) {
        return missing(path);
    }
    const auto paths = list_below(path);
    if (!paths) {
        return paths.error();
    }
    for (const fs::path& each : *paths) {
        add_status(each, sum);
    }
    return sum.hex();
}

Result<PackedRootfs> pack_rootfs(const fs::path& path, const fs::path& scratch) {
    std::error_code ec;
    if (!fs::exists(path, ec)) {
        return missing(path);
    }
    if (!fs::is_directory(path, ec)) {
        auto hash = hash_file(path);
        return hash ? Result<PackedRootfs>(PackedRootfs{path, false, std::move(*hash)})
                    : Result<PackedRootfs>(hash.error());
    }
    if (auto made = make_folders(scratch, 0700); !made) {
        return made.error();
    }
    const fs::path tar = scratch / ("rootfs-" + random_hex(8) + ".tar");
    auto hash = pack_folder(path, tar);
    if (!hash) {
        fs::remove(tar, ec);
        return hash.error();
    }
    return PackedRootfs{tar, true, std::move(*hash)};
}

} // namespace linarite::agent
