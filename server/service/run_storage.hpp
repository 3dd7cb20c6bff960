// server/service/run_storage.hpp: use cases on the files of runs: what agents bring and what clients read.
#pragma once

#include "common/data_dir.hpp"
#include "proto/frames.hpp"
#include "server/artifacts/run_files.hpp"
#include "server/service/scheduler.hpp"
#include "server/store/store.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace linarite::service {

/// One file of a run as clients see it now.
struct RunFile {
    std::string path;
    std::uint64_t size = 0;
    std::string sha256; // "" while it grows
    Time changed{};     // of a growing file, when it was first seen
};

/// Why a frame was not taken: the file has another length than the sender thinks.
struct LengthConflict {
    std::string path;
    std::uint64_t length = 0;
};

class RunStorage {
public:
    RunStorage(store::Store& store, Scheduler& scheduler, const Clock& clock, asio::thread_pool& pool, DataDir data);

    /// Receives the frames of one request from one agent. Whole files and last frames are durable when finish()
    /// returned.
    class Upload {
    public:
        Upload(RunStorage& storage, RunId run);
        /// Bytes of the body as they come. An error ends the upload; length_conflict() says more if it is a conflict of
        /// lengths.
        asio::awaitable<Result<void>> feed(std::string_view bytes);
        asio::awaitable<Result<void>> finish();
        [[nodiscard]] const std::optional<LengthConflict>& length_conflict() const { return conflict_; }
        /// Files that were written, with their length.
        [[nodiscard]] const std::map<std::string, std::uint64_t>& lengths() const { return lengths_; }

    private:
        Result<void> take(proto::FrameReader& reader, const proto::FrameReader::Piece& piece);
        Result<void> begin_frame(const proto::FrameHeader& header);
        Result<void> payload(std::string_view bytes);
        Result<void> end_frame();
        RunStorage& storage_;
        RunId run_;
        artifacts::RunFiles files_;
        proto::FrameReader reader_;
        proto::FrameHeader frame_;
        std::optional<artifacts::IncomingFile> whole_;
        std::uint64_t at_ = 0; // next offset of a growing file
        bool in_frame_ = false;
        bool unsynced_ = false;
        int whole_files_ = 0;
        std::optional<LengthConflict> conflict_;
        std::map<std::string, std::uint64_t> lengths_;
        std::vector<store::ArtifactRow> rows_; // to be stored by finish()
    };

    /// Whether the fence may write for the run now; conflict otherwise ("stale fence"), not_found if the run is not
    /// active.
    [[nodiscard]] Result<void> check_fence(const RunId& run, Fence fence) const;
    /// By path. Growing files with the size they have now.
    asio::awaitable<Result<std::vector<RunFile>>> list(RunId run, std::string prefix);
    asio::awaitable<Result<RunFile>> find(RunId run, std::string path);
    /// Where to serve it from; never through a link.
    asio::awaitable<Result<std::filesystem::path>> locate(RunId run, std::string path);
    asio::awaitable<Result<std::string>> read(RunId run, std::string path, std::uint64_t offset, std::size_t count);

    /// A whole file from a client, to be filled and given to keep(). conflict while the run's node writes a file of
    /// that name, or if there is one and it `must_be_new`.
    asio::awaitable<Result<artifacts::IncomingFile>> receive(RunId run, std::string path, bool must_be_new);
    /// Puts it into place, with its row; the same conflicts. Durable, and followers know, when it returns.
    asio::awaitable<Result<RunFile>> keep(RunId run, std::string path, artifacts::IncomingFile file, bool must_be_new);

    /// The file with the size that may be shown of it: of a log that still grows, the lines that are complete, since
    /// clients never come back to the rest of a line that they have printed.
    asio::awaitable<Result<RunFile>> complete_lines(RunId run, RunFile file);

private:
    asio::awaitable<Result<void>> check_free(RunId run, std::string path, bool must_be_new);
    friend class Upload;
    store::Store& store_;
    Scheduler& scheduler_;
    const Clock& clock_;
    asio::thread_pool& pool_;
    DataDir data_;
    std::map<RunId, std::map<std::string, std::uint64_t>>
        growing_;                                     // lengths of files without a row of their final state
    std::set<std::pair<RunId, std::string>> keeping_; // files of clients between their check and their row
};

} // namespace linarite::service
