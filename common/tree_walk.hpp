// common/tree_walk.hpp: walks over folders that may hold anything: links, devices, and what changes under our feet.
#pragma once

#include "common/error.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct statx;

namespace linarite {

/// What tells whether a file is still the one that was looked at. The time of the last change of its inode is part of
/// it: a program that writes and then sets the old time of modification does not get past that.
struct FileStamp {
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0; // since 1970
    std::int64_t changed_ns = 0;  // of the inode
    std::uint64_t inode = 0;
    bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const struct statx& info);
/// Of an open file; from the file's own host where that is another one, not from what is remembered of it here.
Result<FileStamp> fresh_stamp(int fd);

/// What is called for each thing below a folder, with its name relative to it, bytes as they are.
struct TreeVisitor {
    /// A regular file; false ends the walk.
    std::function<bool(const std::string& name, const FileStamp& stamp)> file;
    /// What is neither a file nor a folder, or lies too deep; `why` is a clause ("it is a link"). May be empty.
    std::function<void(const std::string& name, const char* why)> odd;
    /// Whether to look into that folder, whose name ends in '/'. Empty: into all.
    std::function<bool(const std::string& name)> enter;
};

/// Visits everything below the open folder, at most 32 folders deep, following no link even if one is put in the place
/// of a folder meanwhile. What vanishes meanwhile is left out. `prefix` ("" or "a/b/") stands before all names.
/// Blocking.
Result<void> walk_tree(int folder, const std::string& prefix, const TreeVisitor& visitor);

} // namespace linarite
