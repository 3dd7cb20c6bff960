#include "server/artifacts/data_tree.hpp"

#include "server/artifacts/beneath.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::artifacts {
namespace {

constexpr std::size_t shown_obstacles = 10;
constexpr std::size_t piece_bytes = std::size_t{256} << 10U;
// The coarsest clock that a file system in use has (FAT's).
constexpr std::int64_t coarsest_ns = 2'000'000'000;

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// A name of any bytes, for people.
std::string printable(const std::string& name) {
    std::string out;
    for (const char c : name) {
        const bool odd = static_cast<unsigned char>(c) < 0x20U || c == 0x7F;
        out += odd ? '?' : c;
    }
    if (!is_utf8(out)) {
        std::ranges::replace_if(
            out, [](char c) { return static_cast<unsigned char>(c) >= 0x80U; }, '?');
    }
    return out;
}

class Collector {
public:
    explicit Collector(std::size_t limit) : limit_(limit) {}

    Result<DataTree> collect(int folder, const std::string& prefix) {
        TreeVisitor visitor;
        visitor.file = [this](const std::string& name, const FileStamp& stamp) { return take(name, stamp); };
        visitor.odd = [this](const std::string& name, const char* why) { obstacle(name, why); };
        if (auto walked = walk_tree(folder, prefix, visitor); !walked) {
            return walked.error();
        }
        if (tree_.files.size() > limit_) {
            return Error(Errc::too_large, "more than " + std::to_string(limit_) + " files");
        }
        return std::move(tree_);
    }

private:
    bool take(const std::string& name, const FileStamp& stamp) {
        if (is_temporary(leaf_of(name))) {
            return true; // somebody sends it just now
        }
        if (const auto parsed = parse_relative_path(name, "its name"); !parsed) {
            obstacle(name, parsed.error().detail());
            return true;
        }
        tree_.files.push_back({name, stamp});
        return tree_.files.size() <= limit_;
    }
    void obstacle(const std::string& name, const std::string& why) {
        if (tree_.obstacles.size() < shown_obstacles) {
            tree_.obstacles.push_back("'" + printable(name) + "': " + printable(why));
        }
    }

    std::size_t limit_;
    DataTree tree_;
};

} // namespace

Result<DataTree> list_data(const fs::path& root, const std::string& path, std::size_t limit) {
    const auto folder = open_root(root);
    if (!folder) {
        return folder.error();
    }
    if (path.empty()) {
        return Collector(limit).collect(folder->get(), "");
    }
    const auto place = open_beneath(folder->get(), path, O_RDONLY);
    if (!place) {
        return place.error();
    }
    struct stat info {};
    if (::fstat(place->get(), &info) != 0) {
        return errno_error("look at '" + path + "'", errno);
    }
    if (S_ISDIR(info.st_mode)) {
        return Collector(limit).collect(place->get(), path + "/");
    }
    const auto stamp = fresh_stamp(place->get());
    if (!stamp) {
        return stamp.error();
    }
    return DataTree{{{path, *stamp}}, {}};
}

FileHashing::FileHashing(UniqueFd fd, std::string name, const FileStamp& stamp)
    : fd_(std::move(fd)), name_(std::move(name)), stamp_(stamp), settled_(stamp.changed_ns + coarsest_ns <= now_ns()) {}

Result<FileHashing> FileHashing::begin(const fs::path& root, const std::string& name) {
    const auto folder = open_root(root);
    if (!folder) {
        return folder.error();
    }
    auto file = open_regular(folder->get(), name, O_RDONLY);
    if (!file) {
        return file.error();
    }
    const auto stamp = fresh_stamp(file->fd.get());
    if (!stamp) {
        return stamp.error();
    }
    return FileHashing(std::move(file->fd), name, *stamp);
}

Result<bool> FileHashing::advance(std::uint64_t bytes) {
    for (std::uint64_t end = read_ + bytes; read_ < end;) {
        const auto piece = read_at(fd_.get(), read_, piece_bytes);
        if (!piece) {
            return piece.error().within("read '" + name_ + "'");
        }
        hash_.update(*piece);
        read_ += piece->size();
        if (piece->size() < piece_bytes) {
            const auto same = check_unchanged();
            return same ? Result<bool>(true) : same.error();
        }
    }
    return false;
}

Result<void> FileHashing::check_unchanged() const {
    const auto now = fresh_stamp(fd_.get());
    if (!now) {
        return now.error();
    }
    if (*now != stamp_ || read_ != stamp_.size) {
        return Error(Errc::unavailable, "'" + name_ + "' was written to while it was read");
    }
    return {};
}

} // namespace linarite::artifacts
