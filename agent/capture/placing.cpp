#include "agent/capture/placing.hpp"

#include "common/ids.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr int as_folder = O_PATH | O_DIRECTORY | O_CLOEXEC;

std::string parent_of(const std::string& name) {
    const auto slash = name.rfind('/');
    return slash == std::string::npos ? "" : name.substr(0, slash);
}

std::string leaf_of(const std::string& name) {
    return name.substr(name.rfind('/') + 1);
}

// The folder that the file lies in, made step by step without following a link.
Result<UniqueFd> make_parents(int root, const std::string& name) {
    const std::string parent = parent_of(name);
    auto folder = open_beneath(root, parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY);
    if (folder || folder.error().code() != Errc::not_found || parent.empty()) {
        return folder;
    }
    auto above = make_parents(root, parent);
    if (!above) {
        return above;
    }
    if (::mkdirat(above->get(), leaf_of(parent).c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error("make folder '" + parent + "'", errno);
    }
    return open_beneath(root, parent, O_RDONLY | O_DIRECTORY);
}

struct Found {
    Place place = Place::own;
    UniqueFd fd; // of a foreign file
};

Found find_place(int folder, const std::string& leaf, const std::optional<Stamp>& known) {
    auto fd = open_beneath(folder, leaf, O_RDONLY);
    if (!fd) {
        return {fd.error().code() == Errc::not_found ? Place::free : Place::own, UniqueFd()};
    }
    struct stat info {};
    const bool ours = ::fstat(fd->get(), &info) == 0 && S_ISREG(info.st_mode) && known && *known == stamp_of(info);
    return ours ? Found{Place::foreign, std::move(*fd)} : Found{};
}

// Some file systems cannot do it in one step.
bool cannot(int error) {
    return error == EINVAL || error == ENOSYS || error == ENOTSUP;
}

Result<bool> put_new(int from, const std::string& temporary, int folder, const std::string& leaf) {
    if (::renameat2(from, temporary.c_str(), folder, leaf.c_str(), RENAME_NOREPLACE) == 0) {
        return true;
    }
    if (cannot(errno) && ::linkat(from, temporary.c_str(), folder, leaf.c_str(), 0) == 0) {
        ::unlinkat(from, temporary.c_str(), 0);
        return true;
    }
    return errno == EEXIST ? Result<bool>(false) : errno_error("put '" + leaf + "' in its place", errno);
}

// Swaps the two and looks at what came out, so that nothing is lost that was written in the last instant.
Result<bool> put_over(int from, const std::string& temporary, int folder, const std::string& leaf, const Stamp& known) {
    if (::renameat2(from, temporary.c_str(), folder, leaf.c_str(), RENAME_EXCHANGE) != 0) {
        if (!cannot(errno)) {
            return errno == ENOENT ? Result<bool>(false) : errno_error("replace '" + leaf + "'", errno);
        }
        return ::renameat(from, temporary.c_str(), folder, leaf.c_str()) == 0
                   ? Result<bool>(true)
                   : errno_error("replace '" + leaf + "'", errno);
    }
    struct stat info {};
    const UniqueFd old(::openat(from, temporary.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    const bool as_known = old && ::fstat(old.get(), &info) == 0 && stamp_of(info) == known;
    if (as_known && !has_writer(old.get()).value_or(false)) {
        ::unlinkat(from, temporary.c_str(), 0);
        return true;
    }
    if (::renameat2(from, temporary.c_str(), folder, leaf.c_str(), RENAME_EXCHANGE) != 0) {
        return errno_error("take '" + leaf + "' back", errno);
    }
    return false;
}

} // namespace

Result<void> Arrivals::prepare(const fs::path& folder) {
    std::error_code ec;
    fs::remove_all(folder, ec);
    return make_folders(folder, 0700);
}

Arrivals::Arrivals(fs::path folder, const std::vector<GangFile>& wanted) : folder_(std::move(folder)), wanted_(wanted) {
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
        by_path_[wanted_[i].path] = i;
    }
}

Result<void> Arrivals::feed(std::string_view bytes) {
    const auto take = [this](std::string_view piece) {
        hash_.update(piece);
        return write_all(file_.get(), piece);
    };
    return proto::read_frames(
        reader_, bytes, [this](const proto::FrameHeader& header) { return begin(header); }, take,
        [this] { return end(); });
}

Result<void> Arrivals::begin(const proto::FrameHeader& header) {
    const auto wanted = by_path_.find(header.path);
    if (wanted == by_path_.end() || wanted_[wanted->second].size != header.size || header.offset != 0) {
        return Error(Errc::unavailable, "the coordinator sent '" + header.path + "', which was not asked for");
    }
    at_ = wanted->second;
    hash_ = Sha256();
    temporary_ = random_hex(6) + "-" + std::to_string(count_++);
    const mode_t mode = wanted_[*at_].executable ? 0755 : 0644;
    file_.reset(::open((folder_ / temporary_).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    return file_ ? Result<void>() : errno_error("create '" + (folder_ / temporary_).string() + "'", errno);
}

Result<void> Arrivals::end() {
    const GangFile& wanted = wanted_[*at_];
    struct stat info {};
    const bool sound = hash_.hex() == wanted.sha256 && ::fstat(file_.get(), &info) == 0;
    if (sound) {
        arrived_[*at_] = Arrived{{wanted.path, wanted.sha256, stamp_of(info)}, temporary_};
    } else {
        ::unlink((folder_ / temporary_).c_str()); // its node has written it anew, and will say so
    }
    at_.reset();
    file_.reset();
    return {};
}

std::vector<Arrived> Arrivals::take() {
    std::vector<Arrived> out;
    out.reserve(arrived_.size());
    for (auto& [place, arrived] : arrived_) {
        out.push_back(std::move(arrived));
    }
    return out;
}

Place look_at_place(const fs::path& work_dir, const std::string& name, const std::optional<Stamp>& known) {
    const UniqueFd root(::open(work_dir.c_str(), as_folder));
    return root ? find_place(root.get(), name, known).place : Place::own;
}

Result<bool> put_in_place(const fs::path& arrivals, const Arrived& arrived, const fs::path& work_dir,
                          const std::optional<Stamp>& known) {
    const UniqueFd from(::open(arrivals.c_str(), as_folder));
    const UniqueFd root(::open(work_dir.c_str(), as_folder));
    if (!from || !root) {
        return errno_error("open '" + work_dir.string() + "'", errno);
    }
    auto folder = make_parents(root.get(), arrived.file.name);
    Result<bool> done = false;
    if (folder) {
        const std::string leaf = leaf_of(arrived.file.name);
        const Found found = find_place(folder->get(), leaf, known);
        if (found.place == Place::free) {
            done = put_new(from.get(), arrived.temporary, folder->get(), leaf);
        } else if (found.place == Place::foreign && !has_writer(found.fd.get()).value_or(false)) {
            done = put_over(from.get(), arrived.temporary, folder->get(), leaf, *known);
        }
    } else if (folder.error().code() != Errc::not_found && folder.error().code() != Errc::invalid_argument) {
        done = folder.error(); // else a link or a file stands where a folder should be: the script's own doing
    }
    if (!done || !*done) {
        ::unlinkat(from.get(), arrived.temporary.c_str(), 0);
    }
    return done;
}

} // namespace linarite::agent
