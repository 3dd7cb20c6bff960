// server/service/run_storage.hpp: use cases on the files of runs: what agents bring and what clients read.
#pragma once

#include "common/data_dir.hpp"
#include "proto/frames.hpp"
#include "server/artifacts/run_files.hpp"
#include "server/service/gang_files.hpp"
#include "server/service/scheduler.hpp"
#include "server/store/store.hpp"

#include <map>
#include <memory>
#include <optional>
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

/// How much of a log that still grows may be shown. Clients that never come back to the rest of a line that they have
/// printed are shown the lines that are complete.
enum class Shown { all, whole_lines };

/// A file of a run as it can be served.
struct OpenRunFile : artifacts::ReadableFile {
    bool growing = false; // what is there of it stays, but more will come
};

/// Why a frame was not taken: the file has another length than the sender thinks.
struct LengthConflict {
    std::string path;
    std::uint64_t length = 0;
};

class RunStorage {
public:
    RunStorage(store::Store& store, Scheduler& scheduler, const Clock& clock, asio::thread_pool& pool, DataDir data);

    /// The files of a run whose nodes have working directories of their own. One request at a time has its turn with
    /// them.
    struct Gang {
        Fence fence = 0;
        GangFiles files;
        bool loaded = false;
        bool busy = false;
        Signal freed;
        int warnings = 0;
    };
    class Turn {
    public:
        explicit Turn(std::shared_ptr<Gang> gang) : gang_(std::move(gang)) {}
        Turn(Turn&& other) noexcept = default;
        Turn& operator=(Turn&& other) = delete;
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn();
        Gang& gang() { return *gang_; }

    private:
        std::shared_ptr<Gang> gang_;
    };

    /// Receives the frames of one request from one agent. Whole files and last frames are durable when finish()
    /// returned.
    class Upload {
    public:
        Upload(RunStorage& storage, RunId run, GangPlace sender);
        ~Upload();
        Upload(const Upload&) = delete;
        Upload& operator=(const Upload&) = delete;
        /// Bytes of the body as they come. An error ends the upload; length_conflict() says more if it is a conflict of
        /// lengths.
        asio::awaitable<Result<void>> feed(std::string_view bytes);
        asio::awaitable<Result<void>> finish();
        [[nodiscard]] const std::optional<LengthConflict>& length_conflict() const { return conflict_; }
        /// Files that were written, with their length.
        [[nodiscard]] const std::map<std::string, std::uint64_t>& lengths() const { return lengths_; }

    private:
        enum class Step {
            on,   // done with the piece, or with all pieces
            part, // the file at hand needs a name for itself first; then the same again
        };
        struct Row {
            store::ArtifactRow artifact; // under the name that the node gave it
            bool gang = false;           // one of the working directory: kept where GangFiles says
        };
        Result<Step> take_pieces();
        Result<Step> take_piece();
        Result<void> begin_frame(const proto::FrameHeader& header);
        Result<Step> payload(std::string_view bytes);
        Result<Step> end_frame();
        Result<Step> end_whole();
        Result<Step> end_growing();
        [[nodiscard]] bool is_gang_file() const;
        [[nodiscard]] bool is_contested() const;
        [[nodiscard]] std::string artifact() const;
        void declare();
        Error length_error(std::uint64_t length, const std::string& why);
        /// Our turn, if the run's nodes have several directories: until it is let go, gang_ is ours.
        asio::awaitable<Result<std::optional<Turn>>> join_gang();
        asio::awaitable<Result<void>> part();
        asio::awaitable<Result<void>> store_parting(GangFiles::Parting parting);
        asio::awaitable<Result<std::uint64_t>> store_rows();
        std::vector<store::ArtifactRow> new_rows();
        [[nodiscard]] std::vector<store::GangFileRow> declared_rows() const;

        RunStorage& storage_;
        RunId run_;
        GangPlace sender_;
        artifacts::RunFiles files_;
        Gang* gang_ = nullptr; // while it is our turn
        proto::FrameReader reader_;
        std::optional<proto::FrameReader::Piece> piece_; // being taken
        proto::FrameHeader frame_;
        std::optional<artifacts::IncomingFile> whole_;
        std::uint64_t at_ = 0; // next offset of a growing file
        bool in_frame_ = false;
        bool ending_ = false; // all bytes of the frame are taken
        bool unsynced_ = false;
        int whole_files_ = 0;
        std::optional<LengthConflict> conflict_;
        std::map<std::string, std::uint64_t> lengths_;
        std::vector<Row> rows_;             // to be stored by finish()
        std::vector<std::string> declared_; // files of the gang of which finish() is to tell, in this order
    };

    /// What other nodes of the run have closed since `since`, in that order, and how far that is.
    struct GangFileList {
        std::vector<store::GangFileRow> files;
        std::uint64_t version = 0;
    };
    asio::awaitable<Result<GangFileList>> gang_files(RunId run, GangPlace place, std::uint64_t since);

    /// The first bytes of many files, as frames. Files that are not there or are shorter are left out.
    class Download {
    public:
        struct Wanted {
            std::string path;
            std::uint64_t size = 0;
        };
        Download(RunStorage& storage, RunId run, std::vector<Wanted> wanted);
        /// The next bytes, "" at the end.
        asio::awaitable<Result<std::string>> next();

    private:
        Result<std::string> read_on();
        bool open_file(const Wanted& file, std::string& out);
        asio::thread_pool& pool_;
        fs::path folder_;
        std::vector<Wanted> wanted_;
        std::size_t at_ = 0;
        std::uint64_t sent_ = 0; // of the file at hand
        std::shared_ptr<UniqueFd> open_;
    };

    /// Who the node is to the run, if the fence may write for it now; conflict otherwise ("stale fence"), not_found if
    /// the run is not active, forbidden if the node is none of the run's.
    [[nodiscard]] Result<GangPlace> place_of(const RunId& run, Fence fence, const NodeName& node) const;
    /// Whether the fence may write for the run now; conflict otherwise ("stale fence"), not_found if the run is not
    /// active.
    [[nodiscard]] Result<void> check_fence(const RunId& run, Fence fence) const;
    /// By path. Growing files with the size they have now.
    asio::awaitable<Result<std::vector<RunFile>>> list(RunId run, std::string prefix);
    asio::awaitable<Result<RunFile>> find(RunId run, std::string path);
    /// For reading, never through a link. One that is replaced at that moment is the former or the latter as a whole.
    asio::awaitable<Result<OpenRunFile>> open(RunId run, std::string path, Shown shown);
    asio::awaitable<Result<std::string>> read(RunId run, std::string path, std::uint64_t offset, std::size_t count);

    /// A whole file from a client, to be filled and given to keep(). conflict while the run's node writes a file of
    /// that name, or if there is one and it `must_be_new`.
    asio::awaitable<Result<artifacts::IncomingFile>> receive(RunId run, std::string path, bool must_be_new);
    /// Puts it into place, with its row; the same conflicts. Durable, and followers know, when it returns.
    asio::awaitable<Result<RunFile>> keep(RunId run, std::string path, artifacts::IncomingFile file, bool must_be_new);

private:
    asio::awaitable<Result<void>> check_free(RunId run, std::string path, bool must_be_new);
    friend class Upload;
    /// Waits until no other request has it; its files are read from the store the first time.
    asio::awaitable<Result<Turn>> take_turn(RunId run, Fence fence);
    store::Store& store_;
    Scheduler& scheduler_;
    const Clock& clock_;
    asio::thread_pool& pool_;
    DataDir data_;
    std::map<RunId, std::map<std::string, std::uint64_t>>
        growing_; // lengths of files without a row of their final state
    std::map<RunId, std::shared_ptr<Gang>> gangs_;
    std::set<std::pair<RunId, std::string>> keeping_; // files of clients between their check and their row
};

} // namespace linarite::service
