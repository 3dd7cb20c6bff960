// cli/source_tree.hpp: a folder as a snapshot: which files belong to it, with their sizes and hashes.
#pragma once

#include "cli/terminal.hpp"
#include "common/error.hpp"
#include "proto/snapshot.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace linarite::cli {

namespace fs = std::filesystem;

struct SourceTree {
    proto::Manifest manifest;              // sorted by path
    std::map<std::string, fs::path> blobs; // SHA-256 -> a file with that content
    std::vector<std::string> notes;        // what was left out though no pattern says so, and why
};

/// Walks the folder without what its .amlignore (or else .gitignore) names and without what is never sent. A link to a
/// file inside the folder counts as that file; a link to a folder or out of the tree is left out, with a note. Errors
/// are invalid_argument or too_large (over `limit` bytes; found before anything is hashed).
Result<SourceTree> read_source_tree(const fs::path& folder, const Terminal& terminal,
                                    std::uint64_t limit = proto::default_snapshot_limit);

/// A file as it goes into a manifest under that name; `read`, if it is given, hears of each piece. invalid_argument if
/// it can't be read.
Result<proto::SnapshotFile> hash_file(const fs::path& path, const std::string& name,
                                      const std::function<void(std::uint64_t)>& read = {});

/// invalid_argument, naming what is there, if the entry script is not among the files.
Result<void> check_script(const SourceTree& tree, const fs::path& folder, const std::string& script);

} // namespace linarite::cli
