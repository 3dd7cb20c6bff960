// Sending what there is to send, and what the coordinator's answers mean.
#include "agent/capture/capture_core.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace linarite::agent {

namespace {

constexpr std::size_t most_frames = 500;                      // in one request
constexpr std::uint64_t most_bytes = std::uint64_t{8} << 20U; // of small files in one request
constexpr int most_refusals = 3;

bool is_fault_of_frame(Errc code) {
    return code == Errc::invalid_argument || code == Errc::too_large;
}

} // namespace

// Blocking: reads until a request is full. What does not fit any more is not read.
std::vector<CaptureCore::Reader> CaptureCore::read_all(std::vector<Reader> readers, std::uint64_t largest_log) {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (Reader& reader : readers) {
        reader.result = read_file_for(reader.order, largest_log);
        ++count;
        bytes += reader.result.frame.bytes.size();
        if (bytes >= most_bytes || reader.result.frame.file || reader.result.tell_again) {
            break; // a large file is the last one of its request, and nothing overtakes one that is to be told of
        }
    }
    readers.resize(count);
    return readers;
}

void CaptureCore::begin_sending() {
    if (sending_) {
        return;
    }
    sending_ = true;
    asio::co_spawn(executor_, send_all(shared_from_this()), [self = shared_from_this()](std::exception_ptr bug) {
        self->sending_ = false;
        if (bug) {
            self->failed_ = Error(Errc::internal, "capture failed unexpectedly");
            spdlog::error("capture: sending a run's files failed unexpectedly");
        }
        self->rested_.notify();
    });
}

asio::awaitable<void> CaptureCore::send_all(std::shared_ptr<CaptureCore> self) {
    Millis pause = self->settings_.first_retry;
    while (!self->stopped_ && !self->failed_) {
        if (self->dirty_.empty()) {
            self->rested_.notify();
            co_await self->changed_.wait();
            co_await self->gather();
            continue;
        }
        self->busy_ = true;
        const bool went = co_await send_some(self);
        self->busy_ = false;
        if (went) {
            pause = self->settings_.first_retry;
        } else if (!self->failed_) {
            co_await self->wait(pause);
            pause = std::min(pause * 2, self->settings_.last_retry);
        }
    }
}

// A little while, so that what is written in a burst goes into one request. At the end nothing more is to come.
asio::awaitable<void> CaptureCore::gather() {
    const auto until = std::chrono::steady_clock::now() + settings_.gather;
    while (!stopped_ && final_trees_.empty() && std::chrono::steady_clock::now() < until) {
        co_await changed_.wait(std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now()));
    }
}

// Nothing but stopping shortens it.
asio::awaitable<void> CaptureCore::wait(Millis span) {
    const auto until = std::chrono::steady_clock::now() + span;
    while (!stopped_ && std::chrono::steady_clock::now() < until) {
        co_await changed_.wait(std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now()));
    }
}

ReadOrder CaptureCore::order_for(const FileKey& key, FileState& state) const {
    ReadOrder order;
    order.tree = &trees_[key.tree];
    order.name = key.name;
    order.artifact = state.artifact;
    order.sent = state.sent;
    order.known = state.known;
    order.rewritten = state.rewritten;
    order.final = final_trees_.contains(key.tree);
    order.open = open_.contains(key) && !order.final;
    order.last = state.last;
    // what is closed while we read is told by a later frame
    order.closed = std::exchange(state.closing, Closed::untold);
    order.foreign = foreign_stamp(key.tree, state);
    order.tracked = settings_.foreign && key.tree > 0;
    order.hash = state.hash;
    if (order.final && order.tracked && state.is_text) {
        order.closed = Closed::likely; // nothing writes here any more; elsewhere the run may go on
    }
    return order;
}

std::vector<CaptureCore::Reader> CaptureCore::pick() {
    const std::size_t most = one_by_one_ > 0 ? 1 : most_frames;
    std::vector<Reader> out;
    while (!dirty_.empty() && out.size() < most) {
        const FileKey key = dirty_.take();
        if (FileState* state = state_of(key)) {
            out.push_back({key, order_for(key, *state), {}});
        }
    }
    return out;
}

// These are still to be sent, before all others.
void CaptureCore::again(const std::vector<Reader>& readers, std::size_t from) {
    std::vector<FileKey> keys;
    for (std::size_t i = from; i < readers.size(); ++i) {
        keys.push_back(readers[i].key);
        FileState& state = files_[readers[i].key];
        state.closing = std::max(state.closing, readers[i].order.closed);
    }
    dirty_.put_back(keys);
}

// One request. False if nothing could be sent and it is no use to try again at once.
asio::awaitable<bool> CaptureCore::send_some(std::shared_ptr<CaptureCore> self) {
    self->unsteady_ = false;
    const auto picked = std::make_shared<const std::vector<Reader>>(self->pick());
    auto work = [picked, limit = self->settings_.largest_log, keep = self->trees_owned_] {
        return read_all(*picked, limit);
    };
    std::vector<Reader> readers = co_await on_pool(self->pool_, std::move(work));
    const bool more = readers.size() < picked->size();
    self->again(*picked, readers.size()); // did not fit
    auto frames = std::make_shared<Frames>();
    std::vector<Reader> sent;
    for (Reader& reader : readers) {
        if (self->settle(reader)) {
            frames->push_back(std::move(reader.result.frame));
            sent.push_back(std::move(reader));
        }
    }
    if (frames->empty()) {
        co_return more || !self->unsteady_;
    }
    const std::shared_ptr<const Frames> constant = frames;
    const auto answer = co_await self->uploader_->send(constant);
    co_return self->take_answer(sent, *frames, answer);
}

// Whether there is a frame to send; else the file is dealt with.
bool CaptureCore::settle(const Reader& reader) {
    FileState& state = files_[reader.key];
    const ReadResult& read = reader.result;
    state.rewritten = state.rewritten || read.rewritten;
    switch (read.kind) {
    case ReadResult::Kind::frame: return true;
    case ReadResult::Kind::gone:
        open_.erase(reader.key);
        state.done = true;
        return false;
    case ReadResult::Kind::left_out:
        if (final_trees_.contains(reader.key.tree)) {
            warn("warning: left out '" + state.artifact + "': " + read.problem);
        }
        state.done = true;
        state.last = read.stamp;
        return false;
    case ReadResult::Kind::nothing:
        if (reader.order.final && !read.problem.empty()) {
            dirty_.add(reader.key);
            unsteady_ = true;
        }
        return false;
    }
    return false;
}

bool CaptureCore::take_answer(const std::vector<Reader>& sent, const Frames& frames, const Answer& answer) {
    if (answer) {
        trouble_.clear();
        one_by_one_ -= std::min<std::size_t>(one_by_one_, 1);
        take_conflict(sent, frames, *answer);
        return true;
    }
    const Error& error = answer.error();
    if (is_over(error.code())) {
        failed_ = error;
        return false;
    }
    if (is_fault_of_frame(error.code())) {
        return refuse(sent, error);
    }
    if (trouble_.empty()) {
        spdlog::warn("capture: the coordinator takes no files: {}", error.detail());
    }
    trouble_ = error.detail();
    again(sent);
    return false;
}

void CaptureCore::take_conflict(const std::vector<Reader>& sent, const Frames& frames,
                                const std::optional<LengthConflict>& conflict) {
    for (std::size_t i = 0; i < sent.size(); ++i) { // frames before the conflict are stored
        FileState& state = files_[sent[i].key];
        const auto& header = frames[i].header;
        if (conflict && header.path == conflict->path) {
            // other bytes than ours at a place that it has already: only the whole file will do
            const bool differs = conflict->length > header.offset ||
                                 (!header.sha256.empty() && conflict->length == header.offset + header.size);
            state.rewritten = state.rewritten || (differs && header.size + header.offset > 0 && state.known) ||
                              (differs && !header.sha256.empty());
            state.known = true;
            state.sent = conflict->length;
            state.hash.reset();
            again(sent, i);
            return;
        }
        acknowledge(sent[i], state);
        state.told = !header.closed.empty();
    }
}

void CaptureCore::acknowledge(const Reader& reader, FileState& state) {
    const ReadResult& read = reader.result;
    state.refusals = 0;
    state.last = read.stamp;
    if (read.last) {
        state.done = true;
    }
    if (trees_[reader.key.tree].manner == Manner::growing) {
        state.sent = read.after;
        state.known = true;
        state.hash = read.hash;
        state.rewritten = state.rewritten && !read.last;
        if (read.tell_again) {
            again({reader});
        } else if (!read.last && (reader.order.final || read.after < read.wanted)) {
            dirty_.add(reader.key);
        }
    }
}

bool CaptureCore::refuse(const std::vector<Reader>& sent, const Error& error) {
    if (sent.size() > 1) {
        one_by_one_ = sent.size();
        again(sent);
        return true;
    }
    one_by_one_ -= std::min<std::size_t>(one_by_one_, 1);
    FileState& state = files_[sent.front().key];
    if (++state.refusals < most_refusals) {
        again(sent); // it may have changed while it was sent
        return true;
    }
    state.done = true;
    state.last = sent.front().result.stamp;
    warn("warning: the coordinator refused '" + state.artifact + "': " + error.detail());
    return true;
}

// Sends these trees' last frames.
asio::awaitable<Result<void>> CaptureCore::finish_trees(std::shared_ptr<CaptureCore> self,
                                                        std::vector<std::size_t> which, CancelToken cancel) {
    self->final_trees_.insert(which.begin(), which.end());
    co_await list(self, std::move(which), true);
    self->begin_sending();
    const auto hook = cancel.on_cancel([self] { self->rested_.notify(); });
    while (!cancel.cancelled() && !self->failed_ && (self->busy_ || !self->dirty_.empty())) {
        self->changed_.notify();
        co_await self->rested_.wait();
    }
    if (self->failed_) {
        co_return *self->failed_;
    }
    if (cancel.cancelled()) {
        co_return Error(Errc::conflict, "sending the run's last files was cancelled");
    }
    co_return Result<void>();
}

} // namespace linarite::agent
