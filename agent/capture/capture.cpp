#include "agent/capture/capture.hpp"

#include "agent/capture/run_tree.hpp"
#include "async/async.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace linarite::agent {

namespace {

constexpr std::size_t most_frames = 500;                      // in one request
constexpr std::uint64_t most_bytes = std::uint64_t{8} << 20U; // of small files in one request
constexpr int most_refusals = 3;

// A file by the tree that it is in and its name there.
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
    int refusals = 0;
    std::optional<Stamp> last;
};

struct Reader {
    FileKey key;
    ReadOrder order;
    ReadResult result;
};

// Blocking: reads until a request is full. What does not fit any more is not read.
std::vector<Reader> read_all(std::vector<Reader> readers, std::uint64_t largest_log) {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (Reader& reader : readers) {
        reader.result = read_file_for(reader.order, largest_log);
        ++count;
        bytes += reader.result.frame.bytes.size();
        if (bytes >= most_bytes || reader.result.frame.file) {
            break; // a large file is the last one of its request
        }
    }
    readers.resize(count);
    return readers;
}

bool is_over(Errc code) {
    return code == Errc::conflict || code == Errc::gone || code == Errc::not_found || code == Errc::unauthorized ||
           code == Errc::forbidden;
}

bool is_fault_of_frame(Errc code) {
    return code == Errc::invalid_argument || code == Errc::too_large;
}

std::vector<RunTree> trees_of(const CaptureSettings& settings) {
    std::vector<RunTree> out;
    out.push_back({settings.azureml_logs, "", "azureml-logs", Manner::growing, false});
    if (settings.work_dir.empty()) {
        return out;
    }
    if (settings.outputs) {
        out.push_back({settings.work_dir, "outputs", "outputs", Manner::whole, false});
    }
    for (std::string folder : settings.watched_folders) {
        if (folder.starts_with("./")) {
            folder.erase(0, 2);
        }
        while (folder.ends_with('/')) {
            folder.pop_back();
        }
        const bool nested = std::any_of(out.begin(), out.end(), [&](const RunTree& tree) {
            return (folder + "/").starts_with(tree.prefix + "/") || (tree.prefix + "/").starts_with(folder + "/");
        });
        if (!nested && parse_relative_path(folder, "watched folder")) {
            out.push_back({settings.work_dir, folder, folder, Manner::growing, true});
        }
    }
    return out;
}

} // namespace

struct Capture::Core : std::enable_shared_from_this<Capture::Core> {
    Core(asio::any_io_executor on, asio::thread_pool& file_pool, FileWatcher& file_watcher,
         std::shared_ptr<Uploader> to, CaptureSettings what)
        : executor(on),
          pool(file_pool),
          watcher(file_watcher),
          uploader(std::move(to)),
          settings(std::move(what)),
          trees_owned(std::make_shared<const std::vector<RunTree>>(trees_of(settings))),
          trees(*trees_owned),
          tick(on) {}

    asio::any_io_executor executor;
    asio::thread_pool& pool;
    FileWatcher& watcher;
    std::shared_ptr<Uploader> uploader;
    CaptureSettings settings;
    const std::shared_ptr<const std::vector<RunTree>> trees_owned; // a read on the pool keeps them
    const std::vector<RunTree>& trees;
    std::vector<FileWatcher::Watch> watches;
    std::map<FileKey, FileState> files;
    std::set<FileKey> dirty;
    std::set<FileKey> open; // outputs that somebody still writes
    std::set<std::size_t> final_trees;
    asio::steady_timer tick;
    bool ticking = false;
    bool live = false;
    bool sending = false; // the sender runs
    bool busy = false;    // and has something in its hands
    bool stopped = false;
    bool lost = false; // events: look at everything at the next tick
    bool warned_limit = false;
    bool unsteady = false;      // a file changed while it was read for the last time
    std::size_t one_by_one = 0; // requests that are to have one frame, to find the one at fault
    std::optional<Error> failed;
    std::string trouble;
    Signal changed; // for the sender
    Signal rested;  // for finish(): the sender has nothing left, or failed

    void warn(const std::string& line) const {
        if (settings.warn) {
            settings.warn(line);
        }
    }

    // ---- what there is to send ----

    // The file's state; nothing if it is left out.
    FileState* state_of(const FileKey& key) {
        auto at = files.find(key);
        if (at == files.end()) {
            if (files.size() >= settings.most_files) {
                warn_limit();
                return nullptr;
            }
            at = files.emplace(key, FileState{}).first;
            auto name = artifact_name(trees[key.tree].prefix, key.name);
            if (name) {
                at->second.artifact = std::move(*name);
            } else {
                at->second.left_out = true;
                warn("warning: a file is left out: " + name.error().detail());
            }
        }
        return at->second.left_out ? nullptr : &at->second;
    }

    void warn_limit() {
        if (!warned_limit) {
            warned_limit = true;
            warn("warning: the run has over " + std::to_string(settings.most_files) +
                 " files: the others are left out");
        }
    }

    void mark(const FileKey& key) {
        if (state_of(key) != nullptr && dirty.insert(key).second) {
            changed.notify();
        }
    }

    void on_event(std::size_t tree, const std::string& name, FileEvent event) {
        const FileKey key{tree, name};
        const bool hidden = trees[tree].skip_hidden && (name.starts_with('.') || name.find("/.") != std::string::npos);
        if (event == FileEvent::lost) {
            lost = true;
            arm();
        } else if (hidden) {
            return;
        } else if (event == FileEvent::closed) {
            open.erase(key);
            mark(key);
        } else if (trees[tree].manner == Manner::growing) {
            mark(key);
        } else {
            open.insert(key);
            arm();
        }
    }

    // Only while an output stays open, or events can't be had: nothing is looked at by the clock otherwise.
    void arm() {
        if (ticking || stopped || !live) {
            return;
        }
        ticking = true;
        tick.expires_after(settings.open_outputs);
        tick.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
            if (const auto self = weak.lock(); self && !error && !self->stopped) {
                self->ticking = false;
                self->on_tick();
            }
        });
    }

    void on_tick() {
        for (const FileKey& key : open) {
            mark(key);
        }
        const bool blind =
            std::any_of(watches.begin(), watches.end(), [](const auto& watch) { return watch.incomplete(); });
        if (blind || lost) {
            lost = false;
            asio::co_spawn(executor, look_at_all(shared_from_this()), [](std::exception_ptr bug) {
                if (bug) {
                    spdlog::error("capture: looking at a run's files failed unexpectedly");
                }
            });
        }
        if (!open.empty() || blind) {
            arm();
        }
    }

    static asio::awaitable<void> look_at_all(std::shared_ptr<Core> self) {
        std::vector<std::size_t> all(self->trees.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        co_await list(self, std::move(all), false);
    }

    // Marks what has changed since it was sent, or all that is not complete if it is to be `final`.
    static asio::awaitable<void> list(std::shared_ptr<Core> self, std::vector<std::size_t> which, bool final) {
        auto look = [which, trees = self->trees_owned, most = self->settings.most_files] {
            std::vector<Listing> out;
            for (const std::size_t tree : which) {
                out.push_back(list_tree((*trees)[tree], most));
            }
            return out;
        };
        const std::vector<Listing> listings = co_await on_pool(self->pool, std::move(look));
        if (!final && !self->live) {
            co_return; // the end has begun meanwhile, and lists everything itself
        }
        for (std::size_t i = 0; i < which.size(); ++i) {
            self->take_listing(which[i], listings[i], final);
        }
    }

    void take_listing(std::size_t tree, const Listing& listing, bool final) {
        if (final) {
            for (const std::string& line : listing.left_out) {
                warn("warning: " + line);
            }
        }
        if (listing.over_limit) {
            warn_limit();
        }
        for (const FoundFile& found : listing.files) {
            const FileKey key{tree, found.name};
            FileState* state = state_of(key);
            if (state == nullptr) {
                continue;
            }
            if (final) {
                state->refusals = 0;
            }
            const bool same = state->last == found.stamp;
            const bool shows = found.stamp.size > 0 || trees[tree].manner == Manner::whole;
            if (final ? !(state->done && same) : !same && shows) {
                state->done = false;
                mark(key);
            }
        }
    }

    // ---- sending ----

    void begin_sending() {
        if (sending) {
            return;
        }
        sending = true;
        asio::co_spawn(executor, send_all(shared_from_this()), [self = shared_from_this()](std::exception_ptr bug) {
            self->sending = false;
            if (bug) {
                self->failed = Error(Errc::internal, "capture failed unexpectedly");
                spdlog::error("capture: sending a run's files failed unexpectedly");
            }
            self->rested.notify();
        });
    }

    static asio::awaitable<void> send_all(std::shared_ptr<Core> self) {
        Millis pause = self->settings.first_retry;
        while (!self->stopped && !self->failed) {
            if (self->dirty.empty()) {
                self->rested.notify();
                co_await self->changed.wait();
                co_await self->gather();
                continue;
            }
            self->busy = true;
            const bool went = co_await send_some(self);
            self->busy = false;
            if (went) {
                pause = self->settings.first_retry;
            } else if (!self->failed) {
                co_await self->wait(pause);
                pause = std::min(pause * 2, self->settings.last_retry);
            }
        }
    }

    // A little while, so that what is written in a burst goes into one request. At the end nothing more is to come.
    asio::awaitable<void> gather() {
        const auto until = std::chrono::steady_clock::now() + settings.gather;
        while (!stopped && final_trees.empty() && std::chrono::steady_clock::now() < until) {
            co_await changed.wait(std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now()));
        }
    }

    // Nothing but stopping shortens it.
    asio::awaitable<void> wait(Millis span) {
        const auto until = std::chrono::steady_clock::now() + span;
        while (!stopped && std::chrono::steady_clock::now() < until) {
            co_await changed.wait(std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now()));
        }
    }

    std::vector<Reader> pick() {
        const std::size_t most = one_by_one > 0 ? 1 : most_frames;
        std::vector<Reader> out;
        while (!dirty.empty() && out.size() < most) {
            const FileKey key = *dirty.begin();
            dirty.erase(dirty.begin());
            const FileState* state = state_of(key);
            if (state == nullptr) {
                continue;
            }
            Reader reader;
            reader.key = key;
            reader.order = {&trees[key.tree],
                            key.name,
                            state->artifact,
                            state->sent,
                            state->known,
                            state->rewritten,
                            final_trees.contains(key.tree),
                            open.contains(key) && !final_trees.contains(key.tree),
                            state->last};
            out.push_back(std::move(reader));
        }
        return out;
    }

    // One request. False if nothing could be sent and it is no use to try again at once.
    static asio::awaitable<bool> send_some(std::shared_ptr<Core> self) {
        self->unsteady = false;
        std::vector<Reader> picked = self->pick();
        std::vector<FileKey> keys;
        keys.reserve(picked.size());
        for (const Reader& reader : picked) {
            keys.push_back(reader.key);
        }
        auto work = [readers = std::move(picked), limit = self->settings.largest_log,
                     keep = self->trees_owned]() mutable { return read_all(std::move(readers), limit); };
        std::vector<Reader> readers = co_await on_pool(self->pool, std::move(work));
        for (std::size_t i = readers.size(); i < keys.size(); ++i) {
            self->dirty.insert(keys[i]); // did not fit
        }
        auto frames = std::make_shared<Frames>();
        std::vector<Reader> sent;
        const bool more = readers.size() < keys.size();
        for (Reader& reader : readers) {
            if (self->settle(reader)) {
                frames->push_back(std::move(reader.result.frame));
                sent.push_back(std::move(reader));
            }
        }
        if (frames->empty()) {
            co_return more || !self->unsteady;
        }
        const std::shared_ptr<const Frames> constant = frames;
        const auto answer = co_await self->uploader->send(constant);
        co_return self->take_answer(sent, *frames, answer);
    }

    // Whether there is a frame to send; else the file is dealt with.
    bool settle(const Reader& reader) {
        FileState& state = files[reader.key];
        const ReadResult& read = reader.result;
        state.rewritten = state.rewritten || read.rewritten;
        switch (read.kind) {
        case ReadResult::Kind::frame: return true;
        case ReadResult::Kind::gone:
            open.erase(reader.key);
            state.done = true;
            return false;
        case ReadResult::Kind::left_out:
            if (final_trees.contains(reader.key.tree)) {
                warn("warning: left out '" + state.artifact + "': " + read.problem);
            }
            state.done = true;
            state.last = read.stamp;
            return false;
        case ReadResult::Kind::nothing:
            if (reader.order.final && !read.problem.empty()) {
                dirty.insert(reader.key);
                unsteady = true;
            }
            return false;
        }
        return false;
    }

    bool take_answer(const std::vector<Reader>& sent, const Frames& frames,
                     const Result<std::optional<LengthConflict>>& answer) {
        if (answer) {
            trouble.clear();
            one_by_one -= std::min<std::size_t>(one_by_one, 1);
            take_conflict(sent, frames, *answer);
            return true;
        }
        const Error& error = answer.error();
        if (is_over(error.code())) {
            failed = error;
            return false;
        }
        if (is_fault_of_frame(error.code())) {
            return refuse(sent, error);
        }
        if (trouble.empty()) {
            spdlog::warn("capture: the coordinator takes no files: {}", error.detail());
        }
        trouble = error.detail();
        for (const Reader& reader : sent) {
            dirty.insert(reader.key);
        }
        return false;
    }

    void take_conflict(const std::vector<Reader>& sent, const Frames& frames,
                       const std::optional<LengthConflict>& conflict) {
        bool stored = true; // frames before the conflict
        for (std::size_t i = 0; i < sent.size(); ++i) {
            FileState& state = files[sent[i].key];
            const auto& header = frames[i].header;
            if (stored && conflict && header.path == conflict->path) {
                stored = false;
                // other bytes than ours at a place that it has already: only the whole file will do
                const bool differs = conflict->length > header.offset ||
                                     (!header.sha256.empty() && conflict->length == header.offset + header.size);
                state.rewritten = state.rewritten || (differs && header.size + header.offset > 0 && state.known) ||
                                  (differs && !header.sha256.empty());
                state.known = true;
                state.sent = conflict->length;
                dirty.insert(sent[i].key);
            } else if (!stored) {
                dirty.insert(sent[i].key);
            } else {
                acknowledge(sent[i], state);
            }
        }
    }

    void acknowledge(const Reader& reader, FileState& state) {
        const ReadResult& read = reader.result;
        state.refusals = 0;
        state.last = read.stamp;
        if (read.last) {
            state.done = true;
        }
        if (trees[reader.key.tree].manner == Manner::growing) {
            state.sent = read.after;
            state.known = true;
            const std::uint64_t wanted = std::min(read.stamp.size, settings.largest_log);
            if (!read.last && (reader.order.final || read.after < wanted)) {
                dirty.insert(reader.key);
            }
        }
    }

    bool refuse(const std::vector<Reader>& sent, const Error& error) {
        if (sent.size() > 1) {
            one_by_one = sent.size();
            for (const Reader& reader : sent) {
                dirty.insert(reader.key);
            }
            return true;
        }
        one_by_one -= std::min<std::size_t>(one_by_one, 1);
        FileState& state = files[sent.front().key];
        if (++state.refusals < most_refusals) {
            dirty.insert(sent.front().key); // it may have changed while it was sent
            return true;
        }
        state.done = true;
        state.last = sent.front().result.stamp;
        warn("warning: the coordinator refused '" + state.artifact + "': " + error.detail());
        return true;
    }

    // ---- the end ----

    // Sends these trees' last frames.
    static asio::awaitable<Result<void>> finish_trees(std::shared_ptr<Core> self, std::vector<std::size_t> which,
                                                      CancelToken cancel) {
        self->final_trees.insert(which.begin(), which.end());
        co_await list(self, std::move(which), true);
        self->begin_sending();
        const auto hook = cancel.on_cancel([self] { self->rested.notify(); });
        while (!cancel.cancelled() && !self->failed && (self->busy || !self->dirty.empty())) {
            self->changed.notify();
            co_await self->rested.wait();
        }
        if (self->failed) {
            co_return *self->failed;
        }
        if (cancel.cancelled()) {
            co_return Error(Errc::conflict, "sending the run's last files was cancelled");
        }
        co_return Result<void>();
    }

    void stop() {
        stopped = true;
        watches.clear();
        tick.cancel();
        changed.notify();
        rested.notify();
    }
};

Capture::Capture(asio::any_io_executor executor, asio::thread_pool& pool, FileWatcher& watcher,
                 std::shared_ptr<Uploader> uploader, CaptureSettings settings)
    : core_(std::make_shared<Core>(std::move(executor), pool, watcher, std::move(uploader), std::move(settings))) {}

Capture::~Capture() {
    core_->stop();
}

void Capture::start() {
    Core& core = *core_;
    core.live = true;
    for (std::size_t tree = 0; tree < core.trees.size(); ++tree) {
        const fs::path folder = core.trees[tree].base / core.trees[tree].folder;
        auto made = make_folders(folder); // a folder that is watched must be there before the script makes it
        auto watch =
            made ? core.watcher.watch(folder,
                                      [weak = core_->weak_from_this(), tree](const std::string& name, FileEvent event) {
                                          if (const auto self = weak.lock()) {
                                              self->on_event(tree, name, event);
                                          }
                                      })
                 : Result<FileWatcher::Watch>(made.error());
        if (watch) {
            core.watches.push_back(std::move(*watch));
        } else {
            core.warn("warning: '" + core.trees[tree].prefix + "' is not followed live: " + watch.error().detail());
        }
    }
    core.lost = false;
    asio::co_spawn(core.executor, Core::look_at_all(core_), [](std::exception_ptr bug) {
        if (bug) {
            spdlog::error("capture: looking at a run's files failed unexpectedly");
        }
    });
    core.begin_sending();
    if (std::any_of(core.watches.begin(), core.watches.end(), [](const auto& watch) { return watch.incomplete(); })) {
        core.arm();
    }
}

asio::awaitable<Result<void>> Capture::finish(CancelToken cancel) {
    const auto core = core_;
    core->live = false;
    core->watches.clear();
    core->tick.cancel();
    core->open.clear();
    // azureml-logs come last: warnings about the others may be written there. What has not been sent of them goes with
    // their end.
    std::erase_if(core->dirty, [](const FileKey& key) { return key.tree == 0; });
    std::vector<std::size_t> others;
    for (std::size_t tree = 1; tree < core->trees.size(); ++tree) {
        others.push_back(tree);
    }
    const auto sent = co_await Core::finish_trees(core, others, cancel);
    if (!sent) {
        co_return sent.error();
    }
    co_return co_await Core::finish_trees(core, {0}, std::move(cancel));
}

const std::string& Capture::trouble() const {
    return core_->trouble;
}

} // namespace linarite::agent
