#include "server/artifacts/listing.hpp"

#include "server/artifacts/beneath.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::artifacts {
namespace {

constexpr int deepest = 32; // as in parse_relative_path

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

/// Calls `visit` with the name of each entry but "." and "..".
Result<void> each_entry(int folder, const std::function<void(const char*)>& visit) {
    UniqueFd own(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) {
        return errno_error("open folder", errno);
    }
    const Dir dir(::fdopendir(own.get()));
    if (!dir) {
        return errno_error("read folder", errno);
    }
    static_cast<void>(own.release()); // the stream closes it
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(dir.get()); // NOLINT(concurrency-mt-unsafe): a stream of its own
        if (entry == nullptr) {
            return errno == 0 ? Result<void>() : errno_error("read folder", errno);
        }
        const std::string_view name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") {
            visit(static_cast<const char*>(entry->d_name));
        }
    }
}

class Walk {
public:
    explicit Walk(const std::string& prefix) : prefix_(prefix) {}

    Result<void> into(int folder, const std::string& path, int depth) {
        std::vector<std::string> folders;
        auto read = each_entry(folder, [&](const char* leaf) { look_at(folder, path, leaf, folders); });
        for (auto at = folders.begin(); read && at != folders.end() && depth < deepest; ++at) {
            // it may have become something else meanwhile, then it is skipped
            const UniqueFd next(::openat(folder, at->c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (next) {
                read = into(next.get(), path + *at + "/", depth + 1);
            }
        }
        return read;
    }
    std::vector<RunFiles::Entry> take() { return std::move(found_); }

private:
    void look_at(int folder, const std::string& path, const char* leaf, std::vector<std::string>& folders) {
        struct stat info {};
        if (::fstatat(folder, leaf, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            return; // gone meanwhile
        }
        const std::string name = path + leaf;
        if (S_ISDIR(info.st_mode)) {
            const std::string inside = name + "/";
            if (inside.starts_with(prefix_) || prefix_.starts_with(inside)) {
                folders.emplace_back(leaf);
            }
        } else if (S_ISREG(info.st_mode) && name.starts_with(prefix_) && !is_temporary(leaf) &&
                   parse_relative_path(name, "file name")) {
            found_.push_back({name, static_cast<std::uint64_t>(info.st_size)});
        }
    }

    const std::string& prefix_;
    std::vector<RunFiles::Entry> found_;
};

} // namespace

Result<std::vector<RunFiles::Entry>> list_files(int root, const std::string& prefix, std::size_t limit) {
    Walk walk(prefix);
    if (auto walked = walk.into(root, "", 1); !walked) {
        return walked.error();
    }
    std::vector<RunFiles::Entry> found = walk.take();
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    if (found.size() > limit) {
        found.resize(limit);
    }
    return found;
}

Result<void> remove_temporaries(int folder) {
    int failed = 0;
    auto read = each_entry(folder, [&](const char* name) {
        if (is_temporary(name) && ::unlinkat(folder, name, 0) != 0 && errno != ENOENT) {
            failed = errno;
        }
    });
    if (read && failed != 0) {
        return errno_error("remove temporary files", failed);
    }
    return read;
}

} // namespace linarite::artifacts
