#include "cli/transfer.hpp"

#include "cli/progress.hpp"
#include "client/http_client.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/ids.hpp"

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <unistd.h>

namespace linarite::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;
constexpr int most_tries = 10;
constexpr std::chrono::milliseconds until_listed{200};

Error refused(const fs::path& at, const std::string& why) {
    return Error(Errc::invalid_argument, "'" + at.string() + "' " + why);
}

/// A file that is there under its own name only when it is whole.
class PartialFile {
public:
    explicit PartialFile(fs::path place)
        : place_(std::move(place)),
          partial_(place_.parent_path() / (".linarite-" + random_hex(8))),
          fd_(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                     0666)) { // NOLINT: mode goes through umask
        error_ = fd_ ? 0 : errno;
    }
    ~PartialFile() {
        if (fd_) {
            ::unlink(partial_.c_str());
        }
    }
    PartialFile(const PartialFile&) = delete;
    PartialFile& operator=(const PartialFile&) = delete;

    [[nodiscard]] Result<void> opened() const {
        return fd_ ? Result<void>() : Result<void>(errno_error("write '" + place_.string() + "'", error_));
    }

    Result<void> append(std::string_view bytes) {
        hash_.update(bytes);
        size_ += bytes.size();
        return write_all(fd_.get(), bytes);
    }

    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// Call it when all bytes are there.
    [[nodiscard]] bool holds(const RemoteFile& file) const {
        return file.sha256.empty() || (size_ == file.size && hash_.hex() == file.sha256);
    }

    Result<void> publish() {
        if (::rename(partial_.c_str(), place_.c_str()) != 0) {
            return errno_error("write '" + place_.string() + "'", errno);
        }
        fd_.reset();
        return {};
    }

private:
    fs::path place_;
    fs::path partial_;
    UniqueFd fd_;
    int error_ = 0;
    Sha256 hash_;
    std::uint64_t size_ = 0;
};

Result<void> receive(Connection& connection, const RemoteFile& file, PartialFile& partial, Progress& progress) {
    if (auto opened = partial.opened(); !opened) {
        return opened;
    }
    const auto sink = [&](std::string_view piece) {
        progress.add(piece.size());
        return partial.append(piece);
    };
    const auto got = connection.download(file.target, sink);
    return got ? got : got.error().within("download '" + file.name + "'");
}

/// The file as the coordinator lists it now.
Result<RemoteFile> list_again(Connection& connection, const RemoteFile& file) {
    if (file.list.empty()) {
        return file;
    }
    const auto list = connection.get(file.list);
    if (!list) {
        return list.error();
    }
    for (const Json& entry : member(*list, "files")) {
        if (text(entry, "path") == file.name) {
            RemoteFile now = listed_file(entry);
            now.target = file.target;
            now.list = file.list;
            return now;
        }
    }
    return Error(Errc::not_found, "'" + file.name + "' was removed while it was downloaded");
}

Error not_as_listed(const RemoteFile& first, const RemoteFile& last) {
    if (first.sha256 != last.sha256) {
        return Error(Errc::unavailable, "'" + first.name +
                                            "' is replaced again and again while it is downloaded; try again when " +
                                            "the run writes it less often, or has ended");
    }
    return Error(Errc::internal, "'" + first.name + "' arrived damaged: its SHA-256 is not what the coordinator says");
}

Result<fs::path> download_one(Connection& connection, const RemoteFile& listed, const fs::path& folder,
                              Progress& progress) {
    const auto place = place_below(folder, listed.name);
    if (!place) {
        return place.error();
    }
    RemoteFile expected = listed;
    for (int tries = 1;; ++tries) {
        PartialFile partial(*place);
        if (auto received = receive(connection, expected, partial, progress); !received) {
            return received.error();
        }
        bool holds = partial.holds(expected);
        if (!holds) { // a run that goes on has replaced it, perhaps
            auto now = list_again(connection, expected);
            if (!now) {
                return now.error();
            }
            expected = std::move(*now);
            holds = partial.holds(expected);
        }
        if (holds) {
            const auto published = partial.publish();
            return published ? place : published.error();
        }
        if (tries == most_tries || expected.list.empty()) {
            return not_as_listed(listed, expected);
        }
        progress.take_back(partial.size());
        connection.pause(until_listed); // the list follows the file
    }
}

Result<void> upload_one(Connection& connection, const LocalFile& file, const std::string& target, Progress& progress) {
    const UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        return Error(Errc::invalid_argument, errno_error("open '" + file.path.string() + "'", errno).detail());
    }
    std::uint64_t left = file.size;
    const auto source = [&]() -> Result<std::string> {
        std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_bytes)), '\0');
        if (piece.empty()) {
            return piece;
        }
        const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
        if (got <= 0) {
            return refused(file.path, got < 0 ? "cannot be read" : "became shorter while it was sent");
        }
        piece.resize(static_cast<std::size_t>(got));
        left -= piece.size();
        progress.add(piece.size());
        return piece;
    };
    const auto sent = connection.upload("PUT", target, source, static_cast<std::int64_t>(file.size));
    return sent ? Result<void>() : Result<void>(sent.error().within("upload '" + file.path.string() + "'"));
}

Result<LocalFile> local_file(const fs::path& path, const std::string& name) {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) {
        return refused(path, "cannot be read: " + error.message());
    }
    const auto checked = parse_relative_path(name, "file");
    if (!checked) {
        return checked.error();
    }
    return LocalFile{path, name, size};
}

std::string below(const std::string& prefix, const std::string& name) {
    if (prefix.empty() || prefix.ends_with('/')) {
        return prefix + name;
    }
    return prefix + "/" + name;
}

} // namespace

Result<fs::path> place_below(const fs::path& folder, const std::string& name) {
    const auto checked = parse_relative_path(name, "file");
    if (!checked) {
        return checked.error();
    }
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
        return refused(folder, "cannot be made: " + error.message());
    }
    fs::path at = folder;
    const fs::path relative(name);
    for (const fs::path& part : relative.parent_path()) {
        at /= part;
        const fs::file_type type = fs::symlink_status(at, error).type();
        if (type == fs::file_type::symlink) {
            return refused(at, "is a symbolic link: nothing is written through it");
        }
        if (type == fs::file_type::not_found) {
            fs::create_directory(at, error);
        }
        if (!fs::is_directory(at, error)) {
            return refused(at, "is not a folder");
        }
    }
    at /= relative.filename();
    if (fs::is_directory(fs::symlink_status(at, error))) {
        return refused(at, "is a folder, and a file of that name is to be written");
    }
    return at;
}

RemoteFile listed_file(const Json& entry) {
    RemoteFile file;
    file.name = text(entry, "path");
    file.size = static_cast<std::uint64_t>(number(entry, "size"));
    file.sha256 = text(entry, "sha256");
    return file;
}

Result<std::vector<fs::path>> download_files(Connection& connection, const std::vector<RemoteFile>& files,
                                             const fs::path& folder, const Terminal& terminal) {
    std::uint64_t bytes = 0;
    for (const RemoteFile& file : files) {
        bytes += file.size;
    }
    Progress progress(terminal, "downloading", bytes);
    std::vector<fs::path> places;
    for (const RemoteFile& file : files) {
        auto place = download_one(connection, file, folder, progress);
        if (!place) {
            return place.error();
        }
        places.push_back(std::move(*place));
    }
    return places;
}

Result<std::vector<LocalFile>> list_local(const fs::path& path, const std::string& prefix) {
    std::error_code error;
    std::vector<LocalFile> files;
    if (!fs::is_directory(path, error)) {
        if (!fs::is_regular_file(path, error)) {
            return refused(path, "is neither a file nor a folder");
        }
        const bool into_folder = prefix.empty() || prefix.ends_with('/');
        auto file = local_file(path, into_folder ? prefix + path.filename().string() : prefix);
        if (!file) {
            return file.error();
        }
        files.push_back(std::move(*file));
        return files;
    }
    for (auto entry = fs::recursive_directory_iterator(path, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
        std::error_code ignored;
        if (!entry->is_regular_file(ignored)) {
            continue;
        }
        auto file = local_file(entry->path(), below(prefix, entry->path().lexically_relative(path).generic_string()));
        if (!file) {
            return file.error();
        }
        files.push_back(std::move(*file));
    }
    if (error) {
        return refused(path, "cannot be read: " + error.message());
    }
    std::sort(files.begin(), files.end(), [](const LocalFile& a, const LocalFile& b) { return a.name < b.name; });
    return files;
}

Result<void> upload_files(Connection& connection, const std::vector<LocalFile>& files, const std::string& target_prefix,
                          const Terminal& terminal) {
    std::uint64_t bytes = 0;
    for (const LocalFile& file : files) {
        bytes += file.size;
    }
    Progress progress(terminal, "uploading", bytes);
    for (const LocalFile& file : files) {
        if (auto sent = upload_one(connection, file, target_prefix + client::encode_path(file.name), progress); !sent) {
            return sent;
        }
    }
    return {};
}

bool is_or_is_below(const std::string& name, const std::string& wanted) {
    if (wanted.empty() || name == wanted) {
        return true;
    }
    return name.starts_with(wanted) && (wanted.ends_with('/') || name[wanted.size()] == '/');
}

} // namespace linarite::cli
