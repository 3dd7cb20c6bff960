// environments/usage.hpp: how much of the disk a cache folder takes, and what would come free.
#pragma once

#include "common/error.hpp"
#include "environments/layout.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace linarite::environments {

/// Bytes on disk below a folder; a file with several names in it counts once.
std::uint64_t bytes_on_disk(const fs::path& folder);
/// Takes the write permission from the files below a folder, and gives bytes_on_disk() of it. Folders keep theirs.
std::uint64_t make_files_read_only(const fs::path& folder);

struct Space {
    std::uint64_t size = 0;
    std::uint64_t free = 0; // for who is not root
};
/// Of the file system that the folder is, or will be, on.
Result<Space> space_of(const fs::path& folder);
/// Where that file system is mounted.
fs::path mount_point_of(const fs::path& folder);

/// Parts of a cache: each file counts once, however many parts have it by hard links.
class Usage {
public:
    /// Looks at all files below `part`. Stops early, with what it has then, when `stop` is set.
    void measure(const fs::path& part, const std::atomic<bool>& stop);
    /// Of all parts together.
    [[nodiscard]] std::uint64_t total() const { return total_; }
    /// Of one part, with what it shares with others; 0 if it was not measured.
    [[nodiscard]] std::uint64_t of(const fs::path& part) const;
    /// The part is gone: what no other part has is free. Gives those bytes.
    std::uint64_t remove(const fs::path& part);

private:
    using FileId = std::pair<std::uint64_t, std::uint64_t>; // device and inode
    struct Shared {
        std::uint64_t bytes = 0;
        int parts = 0;
    };
    struct Part {
        std::uint64_t own = 0; // of files with one name
        std::uint64_t all = 0;
        std::vector<FileId> shared;
    };
    std::map<fs::path, Part> parts_;
    std::map<FileId, Shared> shared_;
    std::uint64_t total_ = 0;
};

} // namespace linarite::environments
