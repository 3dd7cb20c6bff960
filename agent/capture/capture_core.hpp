// agent/capture/capture_core.hpp: what a capture knows and does; for the files capture*.cpp alone.
#pragma once

#include "agent/capture/capture.hpp"
#include "agent/capture/run_tree.hpp"
#include "async/async.hpp"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace linarite::agent {

/// A file by the tree that it is in and its name there.
struct FileKey {
    std::size_t tree = 0;
    std::string name;
    auto operator<=>(const FileKey&) const = default;
};

struct FileState {
    std::string artifact;
    std::uint64_t sent = 0;
    bool known = false;
    bool rewritten = false;
    bool done = false; // complete at the coordinator, as of `last`
    bool left_out = false;
    bool is_text = true; // the artifact is called as the file is
    int refusals = 0;
    Closed closing = Closed::untold; // still to be told
    bool told = false;               // as closed, as of `last`
    std::shared_ptr<const Sha256> hash;
    std::optional<Stamp> last;
};

/// Files that are to be sent, in the order in which they were closed or written: whoever sees the later one of two on
/// another node may count on the earlier one.
class DirtyFiles {
public:
    /// False if it is in there already.
    bool add(const FileKey& key);
    /// To the front, in their order.
    void put_back(const std::vector<FileKey>& keys);
    FileKey take();
    void forget_tree(std::size_t tree);
    [[nodiscard]] bool empty() const { return order_.empty(); }

private:
    std::deque<FileKey> order_;
    std::set<FileKey> known_;
};

/// All members belong to the event loop.
class CaptureCore : public std::enable_shared_from_this<CaptureCore> {
public:
    CaptureCore(asio::any_io_executor on, asio::thread_pool& file_pool, FileWatcher& file_watcher,
                std::shared_ptr<Uploader> to, CaptureSettings what);

    void start();
    static asio::awaitable<Result<void>> finish(std::shared_ptr<CaptureCore> self, CancelToken cancel);
    void stop();
    [[nodiscard]] const std::string& trouble() const { return trouble_; }

private:
    struct Reader {
        FileKey key;
        ReadOrder order;
        ReadResult result;
    };
    using Answer = Result<std::optional<LengthConflict>>;
    static std::vector<Reader> read_all(std::vector<Reader> readers, std::uint64_t largest_log);

    // what there is to send: capture_look.cpp
    void warn(const std::string& line) const;
    void warn_limit();
    FileState* state_of(const FileKey& key);
    void mark(const FileKey& key);
    void close(const FileKey& key, Closed how);
    void on_event(std::size_t tree, const std::string& name, FileEvent event);
    void watch(std::size_t tree);
    void arm();
    void on_tick();
    [[nodiscard]] bool is_blind() const;
    void look();
    static asio::awaitable<void> look_at_all(std::shared_ptr<CaptureCore> self);
    static asio::awaitable<void> list(std::shared_ptr<CaptureCore> self, std::vector<std::size_t> which, bool final);
    void take_listings(const std::vector<std::size_t>& which, const std::vector<Listing>& listings, bool final);
    void take_found(std::size_t tree, const FoundFile& found, bool final);
    [[nodiscard]] std::optional<Stamp> foreign_stamp(std::size_t tree, const FileState& state) const;

    // sending: capture_send.cpp
    void begin_sending();
    static asio::awaitable<void> send_all(std::shared_ptr<CaptureCore> self);
    static asio::awaitable<bool> send_some(std::shared_ptr<CaptureCore> self);
    asio::awaitable<void> gather();
    asio::awaitable<void> wait(Millis span);
    std::vector<Reader> pick();
    ReadOrder order_for(const FileKey& key, FileState& state) const;
    void again(const std::vector<Reader>& readers, std::size_t from = 0);
    bool settle(const Reader& reader);
    bool take_answer(const std::vector<Reader>& sent, const Frames& frames, const Answer& answer);
    void take_conflict(const std::vector<Reader>& sent, const Frames& frames,
                       const std::optional<LengthConflict>& conflict);
    void acknowledge(const Reader& reader, FileState& state);
    bool refuse(const std::vector<Reader>& sent, const Error& error);
    static asio::awaitable<Result<void>> finish_trees(std::shared_ptr<CaptureCore> self, std::vector<std::size_t> which,
                                                      CancelToken cancel);

    asio::any_io_executor executor_;
    asio::thread_pool& pool_;
    FileWatcher& watcher_;
    std::shared_ptr<Uploader> uploader_;
    CaptureSettings settings_;
    const std::shared_ptr<const std::vector<RunTree>> trees_owned_; // a read on the pool keeps them
    const std::vector<RunTree>& trees_;
    std::vector<FileWatcher::Watch> watches_;
    std::map<FileKey, FileState> files_;
    DirtyFiles dirty_;
    std::set<FileKey> open_; // outputs that somebody still writes
    std::set<std::size_t> final_trees_;
    asio::steady_timer tick_;
    bool ticking_ = false;
    bool live_ = false;
    bool sending_ = false; // the sender runs
    bool busy_ = false;    // and has something in its hands
    bool stopped_ = false;
    bool lost_ = false; // events: look at everything at the next tick
    bool warned_limit_ = false;
    bool unsteady_ = false;      // a file changed while it was read for the last time
    std::size_t one_by_one_ = 0; // requests that are to have one frame, to find the one at fault
    std::optional<Error> failed_;
    std::string trouble_;
    Signal changed_; // for the sender
    Signal rested_;  // for finish(): the sender has nothing left, or failed
};

} // namespace linarite::agent
