#include "agent/capture/local_data.hpp"

#include "common/tree_walk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

struct Opened {
    fs::path root;
    UniqueFd fd;
    bool is_folder = false;
};

// The datastore's folder may itself be a link: whoever set it up may have wished so.
Result<Opened> open_data(const DataPlace& place) {
    std::error_code ec;
    Opened opened;
    opened.root = fs::canonical(place.folder, ec);
    const UniqueFd root(ec ? -1 : ::open(opened.root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) {
        return Error(Errc::not_found, "datastore '" + place.datastore + "' has no folder");
    }
    auto fd = open_beneath(root.get(), place.path.empty() ? "." : place.path, O_RDONLY);
    if (!fd) {
        return fd.error().code() == Errc::not_found
                   ? Error(Errc::not_found, "'" + place.path + "' is not on datastore '" + place.datastore + "'")
                   : fd.error().within("datastore '" + place.datastore + "'");
    }
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) {
        return errno_error("look at '" + place.path + "'", errno);
    }
    opened.fd = std::move(*fd);
    opened.is_folder = S_ISDIR(info.st_mode);
    return opened;
}

class Copying {
public:
    Copying(int from, fs::path to, Existing existing) : from_(from), to_(std::move(to)), existing_(existing) {}

    Result<void> copy_all() {
        TreeVisitor visitor;
        visitor.file = [this](const std::string& name, const FileStamp&) { return note(copy(name)); };
        visitor.enter = [this](const std::string& name) { return note(make_folders(to_ / name)); };
        visitor.odd = [this](const std::string& name, const char* why) {
            note(Error(Errc::invalid_argument, "'" + name + "' can't be copied: " + why));
        };
        if (auto made = make_folders(to_); !made) {
            return made;
        }
        const auto walked = walk_tree(from_, "", visitor);
        return failure_ ? walked : failure_;
    }
    [[nodiscard]] std::size_t kept() const { return kept_; }

private:
    Result<void> copy(const std::string& name) {
        const fs::path target = to_ / name;
        std::error_code ec;
        if (existing_ == Existing::kept && fs::exists(fs::symlink_status(target, ec))) {
            ++kept_;
            return {};
        }
        const auto file = open_beneath(from_, name, O_RDONLY);
        if (!file) {
            return file.error().code() == Errc::not_found ? Result<void>() : file.error(); // gone meanwhile
        }
        return copy_open_file(file->get(), name, target, existing_);
    }
    // The first failure ends it.
    bool note(Result<void> done) {
        if (failure_ && !done) {
            failure_ = std::move(done);
        }
        return failure_.has_value();
    }

    int from_;
    fs::path to_;
    Existing existing_;
    std::size_t kept_ = 0;
    Result<void> failure_; // none while it has a value
};

bool is_at_or_below(const fs::path& path, const fs::path& folder) {
    const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

} // namespace

Result<fs::path> locate_data(const DataPlace& place) {
    const auto opened = open_data(place);
    if (!opened) {
        return opened.error();
    }
    return place.path.empty() ? opened->root : opened->root / place.path;
}

Result<std::size_t> copy_data(const DataPlace& place, const fs::path& to, Existing existing) {
    const auto opened = open_data(place);
    if (!opened) {
        return opened.error();
    }
    if (opened->is_folder) {
        Copying copying(opened->fd.get(), to, existing);
        const auto copied = copying.copy_all();
        return copied ? Result<std::size_t>(copying.kept())
                      : copied.error().within("datastore '" + place.datastore + "'");
    }
    if (auto made = make_folders(to.parent_path()); !made) {
        return made.error();
    }
    std::error_code ec;
    if (existing == Existing::kept && fs::exists(fs::symlink_status(to, ec))) {
        return std::size_t{1};
    }
    const auto copied = copy_open_file(opened->fd.get(), place.path, to, existing);
    return copied ? Result<std::size_t>(0) : copied.error();
}

Result<void> check_data_path(const fs::path& path, const std::string& what) {
    constexpr std::array systems{"/bin",  "/boot", "/dev",  "/etc", "/lib", "/lib32",   "/lib64",  "/libx32",
                                 "/proc", "/run",  "/sbin", "/sys", "/usr", "/var/lib", "/var/run"};
    std::error_code ec;
    const fs::path real = fs::weakly_canonical(path, ec);
    if (ec) {
        return Error(Errc::invalid_argument, what + " '" + path.string() + "': " + ec.message());
    }
    if (is_at_or_below(real, "/dev/shm") && real != "/dev/shm") {
        return {};
    }
    const bool refused =
        real == "/" || std::ranges::any_of(systems, [&](const char* folder) { return is_at_or_below(real, folder); });
    if (refused) {
        return Error(Errc::invalid_argument, what + " '" + path.string() + "' is " +
                                                 (real == path ? "" : "'" + real.string() + "', ") +
                                                 "a folder of the system: take a relative path, which is below the "
                                                 "working directory, or one such as /tmp/data");
    }
    return {};
}

Result<void> link_data(const fs::path& place, const fs::path& target, const fs::path& work) {
    if (auto made = make_folders(place.parent_path()); !made) {
        return made;
    }
    if (::symlink(target.c_str(), place.c_str()) == 0) {
        return {};
    }
    if (errno != EEXIST) {
        return errno_error("link '" + place.string() + "'", errno);
    }
    std::error_code ec;
    const fs::path former = fs::read_symlink(place, ec);
    if (!ec && former == target) {
        return {};
    }
    const bool left_over = !ec && is_at_or_below(former, work) && !fs::exists(fs::symlink_status(former, ec));
    if (left_over && ::unlink(place.c_str()) == 0 && ::symlink(target.c_str(), place.c_str()) == 0) {
        return {};
    }
    return Error(Errc::conflict, "'" + place.string() + "' is there already, and data can't be mounted at it");
}

} // namespace linarite::agent
