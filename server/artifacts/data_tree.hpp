// server/artifacts/data_tree.hpp: what a folder of data holds, and what the files in it contain.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/tree_walk.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::artifacts {

struct DataFile {
    std::string name; // relative to the root
    FileStamp stamp;
};

struct DataTree {
    std::vector<DataFile> files;
    /// What is in the way of having all of it elsewhere: links, devices, names that nobody can ask for. A sentence each
    /// for the first of them.
    std::vector<std::string> obstacles;
};

/// The file `path` below `root`, or all that is below the folder of that name; "" is the root. not_found names neither.
/// invalid_argument if a link is in the path, too_large for more than `limit` files. Blocking.
Result<DataTree> list_data(const fs::path& root, const std::string& path, std::size_t limit);

/// Reads one file a slice at a time, so that others have their turn in between. Blocking.
class FileHashing {
public:
    static Result<FileHashing> begin(const fs::path& root, const std::string& name);
    /// Reads up to so many bytes; true once all of it was read. unavailable if the file was written to meanwhile, or is
    /// another one than when it began.
    Result<bool> advance(std::uint64_t bytes);
    /// Of the file as it was all the time.
    [[nodiscard]] const FileStamp& stamp() const { return stamp_; }
    /// Whether whoever writes to it from now on changes its stamp: not if it was written to within the last seconds,
    /// since clocks of file systems are coarse.
    [[nodiscard]] bool settled() const { return settled_; }
    [[nodiscard]] std::string sha256() const { return hash_.hex(); }
    [[nodiscard]] std::uint64_t read() const { return read_; }

private:
    FileHashing(UniqueFd fd, std::string name, const FileStamp& stamp);
    [[nodiscard]] Result<void> check_unchanged() const;

    UniqueFd fd_;
    std::string name_;
    FileStamp stamp_;
    bool settled_ = false;
    Sha256 hash_;
    std::uint64_t read_ = 0;
};

} // namespace linarite::artifacts
