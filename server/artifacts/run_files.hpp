// server/artifacts/run_files.hpp: the files of runs, plain and named as the client named them.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/ids.hpp"
#include "common/tree_walk.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::artifacts {

/// A file that is being received: goes to a temporary file and is renamed into place by commit(). If it is destroyed
/// before, nothing remains.
class IncomingFile {
public:
    IncomingFile(IncomingFile&&) noexcept;
    IncomingFile& operator=(IncomingFile&&) noexcept;
    ~IncomingFile();
    Result<void> append(std::string_view bytes);
    [[nodiscard]] std::uint64_t size() const;
    [[nodiscard]] std::string sha256() const; // of all bytes so far
    /// From now on commit() is conflict if something of that name is there already, even if it came meanwhile.
    void must_be_new();
    /// Another name for it, before it is in its place.
    Result<void> retarget(const std::string& name);
    /// Gives it the exact time as that of its last modification. What writes to it later, even in the same tick of the
    /// kernel's clock, leaves another one. Call it when all bytes are there.
    Result<void> date_exactly();
    /// As it is now: after commit(), as it lies in its place.
    [[nodiscard]] Result<FileStamp> stamp() const;
    /// Into place; fsyncs file and folder unless `sync` is false (then the caller syncs many at once with sync_all).
    Result<void> commit(bool sync);

private:
    friend class RunFiles;
    friend class BlobFolder;
    struct State;
    explicit IncomingFile(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// A file open for reading, with the facts of just this file: what takes its name meanwhile is another one.
struct ReadableFile {
    std::shared_ptr<UniqueFd> fd;
    std::uint64_t size = 0;
    Time changed{};
    std::string version; // another one whenever the file is another
};

/// One folder of plain files under names that came from outside: used for runs/<run id>/ and datastores/<name>/. Names
/// were checked by parse_relative_path; links inside the folder are never followed. Blocking: call it on a file thread.
class RunFiles {
public:
    explicit RunFiles(fs::path root); // made when first written

    /// Bytes that belong at `offset` of a growing file. offset == length appends; an overlap with equal bytes is a
    /// no-op; with other bytes, or beyond the end, conflict ("'logs/x' has 120 bytes, not 200"). Returns the new
    /// length.
    Result<std::uint64_t> append(const std::string& name, std::uint64_t offset, std::string_view bytes);
    /// Declares a grown file complete: checks its SHA-256 (conflict if it differs) and fsyncs it.
    Result<void> finish(const std::string& name, const std::string& sha256);
    /// A whole new file, replacing one of the same name only on commit.
    Result<IncomingFile> create(const std::string& name);
    /// A second name for the same file, in the place of whatever has it; durable. not_found if there is none.
    Result<void> link(const std::string& name, const std::string& other);
    /// Size now.
    [[nodiscard]] Result<std::uint64_t> size(const std::string& name) const;
    /// Bytes [offset, offset + count) or fewer at its end.
    [[nodiscard]] Result<std::string> read(const std::string& name, std::uint64_t offset, std::size_t count) const;
    /// A regular file that no link leads to.
    [[nodiscard]] Result<ReadableFile> open(const std::string& name) const;
    struct Entry {
        std::string name;
        std::uint64_t size = 0;
    };
    /// Regular files, sorted by name, at most `limit`.
    [[nodiscard]] Result<std::vector<Entry>> list(const std::string& prefix, std::size_t limit) const;
    Result<void> remove(const std::string& name);
    /// Deletes temporary files that a crash left; only while nothing is being received here.
    Result<void> clean_up();

private:
    fs::path root_;
};

/// One syncfs for everything below `folder`'s file system.
Result<void> sync_all(const fs::path& folder);

} // namespace linarite::artifacts
