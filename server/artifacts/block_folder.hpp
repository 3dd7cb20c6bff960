// server/artifacts/block_folder.hpp: blocks of files that are sent in pieces, until they are put together.
#pragma once

#include "common/clock.hpp"
#include "server/artifacts/run_files.hpp"

namespace linarite::artifacts {

/// Blocks by the file that they belong to and the id that the sender gave them; both may be any text. Blocking: call it
/// on a file thread.
class BlockFolder {
public:
    explicit BlockFolder(fs::path root) : root_(std::move(root)) {}
    /// A block that is being received; commit it. One of the same id is replaced.
    [[nodiscard]] Result<IncomingFile> create(const std::string& file, const std::string& block) const;
    /// Appends the block's bytes. not_found if it was never sent.
    Result<void> append_to(IncomingFile& whole, const std::string& file, const std::string& block) const;
    /// Forgets all blocks of the file.
    void drop(const std::string& file) const;
    /// Forgets the blocks of files for which nothing came since `before`.
    void drop_older(Time before) const;

private:
    [[nodiscard]] fs::path folder_of(const std::string& file) const;
    fs::path root_;
};

} // namespace linarite::artifacts
