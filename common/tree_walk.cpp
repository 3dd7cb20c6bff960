#include "common/tree_walk.hpp"

#include "common/files.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <vector>

namespace linarite {

namespace {

constexpr int deepest = 32; // as in parse_relative_path
constexpr unsigned wanted_facts = STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_CTIME | STATX_INO;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

// The names in a folder but "." and ".."; all of them first, so that few descriptors are open however deep it goes.
Result<std::vector<std::string>> names_in(int folder) {
    UniqueFd own(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) {
        return errno_error("open folder", errno);
    }
    const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(own.get()));
    if (!dir) {
        return errno_error("read folder", errno);
    }
    static_cast<void>(own.release()); // the stream closes it
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(dir.get()); // NOLINT(concurrency-mt-unsafe): a stream of its own
        if (entry == nullptr) {
            return errno == 0 ? Result<std::vector<std::string>>(std::move(names)) : errno_error("read folder", errno);
        }
        std::string name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") {
            names.push_back(std::move(name));
        }
    }
}

std::int64_t nanoseconds(const statx_timestamp& at) {
    return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

class Walk {
public:
    explicit Walk(const TreeVisitor& visitor) : visitor_(visitor) {}

    Result<void> into(int folder, const std::string& prefix, int depth) {
        auto names = names_in(folder);
        if (!names) {
            return names.error().within("'" + prefix + "'");
        }
        std::sort(names->begin(), names->end());
        for (const std::string& leaf : *names) {
            if (auto seen = visit(folder, prefix, leaf, depth); !seen || ended_) {
                return seen;
            }
        }
        return {};
    }

private:
    Result<void> visit(int folder, const std::string& prefix, const std::string& leaf, int depth) {
        struct statx info {};
        if (::statx(folder, leaf.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, wanted_facts, &info) != 0) {
            return errno == ENOENT ? Result<void>() : errno_error("look at '" + prefix + leaf + "'", errno);
        }
        const std::string name = prefix + leaf;
        if (S_ISDIR(info.stx_mode)) {
            return enter(folder, name, leaf, depth);
        }
        if (S_ISREG(info.stx_mode)) {
            ended_ = !visitor_.file(name, stamp_of(info));
        } else {
            odd(name, S_ISLNK(info.stx_mode) ? "it is a link" : "it is neither a file nor a folder");
        }
        return {};
    }

    Result<void> enter(int folder, const std::string& name, const std::string& leaf, int depth) {
        const std::string inside = name + "/";
        if (visitor_.enter && !visitor_.enter(inside)) {
            return {};
        }
        if (depth == deepest) {
            odd(name, "it lies more than 32 folders deep");
            return {};
        }
        const UniqueFd next(::openat(folder, leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (next) {
            return into(next.get(), inside, depth + 1);
        }
        if (errno == ELOOP || errno == ENOTDIR) {
            odd(name, "it is not a folder any more");
            return {};
        }
        return errno == ENOENT ? Result<void>() : errno_error("open folder '" + name + "'", errno);
    }

    void odd(const std::string& name, const char* why) const {
        if (visitor_.odd) {
            visitor_.odd(name, why);
        }
    }

    const TreeVisitor& visitor_;
    bool ended_ = false;
};

} // namespace

FileStamp stamp_of(const struct statx& info) {
    return {info.stx_size, nanoseconds(info.stx_mtime), nanoseconds(info.stx_ctime), info.stx_ino};
}

Result<FileStamp> fresh_stamp(int fd) {
    struct statx info {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, wanted_facts, &info) != 0) {
        return errno_error("look at a file", errno);
    }
    return stamp_of(info);
}

Result<void> walk_tree(int folder, const std::string& prefix, const TreeVisitor& visitor) {
    return Walk(visitor).into(folder, prefix, 1);
}

} // namespace linarite
