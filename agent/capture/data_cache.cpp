#include "agent/capture/data_cache.hpp"

#include "agent/capture/persist.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

namespace linarite::agent {

namespace {

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Error cancelled() {
    return {Errc::conflict, "preparing data was cancelled"};
}

std::string target_of(const RemoteFile& file) {
    return datastore_target(file.datastore) + "/files/" + client::encode_path(file.name);
}

struct Limits {
    CancelToken cancel;
    std::uint64_t most = 0;
};

asio::awaitable<Result<void>> take_piece(asio::thread_pool* pool, std::shared_ptr<ContentFolder::Incoming> incoming,
                                         Limits limits, DataCache::Progress progress, std::string_view piece) {
    if (limits.cancel.cancelled()) {
        co_return cancelled();
    }
    if (incoming->size() + piece.size() > limits.most) {
        co_return Error(Errc::conflict, "is longer than it was a moment ago");
    }
    const std::size_t size = piece.size();
    auto taken = co_await on_pool(*pool, [incoming, bytes = std::string(piece)] { return incoming->append(bytes); });
    if (taken) {
        progress(static_cast<std::int64_t>(size));
    }
    co_return taken;
}

} // namespace

DataCache::DataCache(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, fs::path folder,
                     std::uint64_t limit)
    : pool_(pool), coordinator_(std::move(coordinator)), folder_(std::move(folder)), limit_(limit) {}

asio::awaitable<void> DataCache::open() {
    const auto kept = co_await on_pool(pool_, [this] { return folder_.sweep(); });
    bytes_ += kept ? *kept : 0;
    if (bytes_ > limit_) { // the limit may be a lower one than before
        co_await make_room({});
    }
}

DataCache::Use::Use(DataCache& cache) : cache_(cache), since_(cache.uses_.insert(now_ns())) {}

DataCache::Use::~Use() {
    cache_.uses_.erase(since_);
}

asio::awaitable<Result<void>> DataCache::fetch(RemoteFile file, ContentFolder::Place place, Progress progress,
                                               CancelToken cancel) {
    for (;;) {
        auto given = co_await on_pool(pool_, [this, file, place] { return folder_.give(file.content, place); });
        if (!given) {
            co_return given.error();
        }
        if (*given) {
            progress(static_cast<std::int64_t>(file.content.size));
            co_return Result<void>();
        }
        if (cancel.cancelled()) {
            co_return cancelled();
        }
        const auto found = transfers_.find(file.content.sha256);
        if (found == transfers_.end()) {
            break;
        }
        const auto running = found->second; // of another run; if that is cancelled, it is our turn
        const auto hook = cancel.on_cancel([running] { running->over.notify(); });
        while (!running->is_over && !cancel.cancelled()) {
            co_await running->over.wait();
        }
    }
    const auto mine = std::make_shared<Transfer>();
    transfers_.emplace(file.content.sha256, mine);
    const std::string sha256 = file.content.sha256;
    auto done = co_await transfer(std::move(file), std::move(place), std::move(progress), std::move(cancel));
    transfers_.erase(sha256);
    mine->is_over = true;
    mine->over.notify();
    co_return done;
}

asio::awaitable<Result<void>> DataCache::transfer(RemoteFile file, ContentFolder::Place place, Progress progress,
                                                  CancelToken cancel) {
    auto begun = co_await on_pool(pool_, [this] { return folder_.receive(); });
    if (!begun) {
        co_return begun.error();
    }
    const std::shared_ptr<ContentFolder::Incoming> incoming = std::move(*begun);
    const auto received = co_await persist<bool>(
        [this, file, incoming, progress, cancel] { return receive(file, incoming, progress, cancel); }, cancel);
    if (!received) {
        progress(-static_cast<std::int64_t>(incoming->size()));
        co_return received.error();
    }
    const auto kept = co_await on_pool(
        pool_, [this, incoming, content = file.content, place] { return folder_.keep(*incoming, content, place); });
    if (!kept) {
        progress(-static_cast<std::int64_t>(incoming->size()));
        co_return kept.error();
    }
    bytes_ += file.content.size;
    if (bytes_ > limit_) {
        co_await make_room(file.content);
    }
    co_return Result<void>();
}

// Goes on where an attempt before it was broken off. If the file is another one by then, its hash tells.
asio::awaitable<Result<bool>> DataCache::receive(RemoteFile file, std::shared_ptr<ContentFolder::Incoming> incoming,
                                                 Progress progress, CancelToken cancel) {
    if (incoming->size() >= file.content.size && incoming->size() > 0) {
        co_return true;
    }
    client::HttpClient::Request request;
    request.target = target_of(file);
    if (incoming->size() > 0) {
        request.headers["Range"] = "bytes=" + std::to_string(incoming->size()) + "-";
    }
    const auto response =
        co_await coordinator_->download(std::move(request), [pool = &pool_, incoming, progress, cancel,
                                                             most = file.content.size](std::string_view piece) {
            return take_piece(pool, incoming, Limits{cancel, most}, progress, piece);
        });
    if (response) {
        co_return true;
    }
    const Errc code = response.error().code();
    const bool gone = code == Errc::not_found || code == Errc::invalid_argument; // or shorter than what came of it
    co_return gone ? Error(Errc::conflict, response.error().detail()) : response.error();
}

// What was used the longest time ago goes, and some more of it, so that this is not done for each file. If all of it is
// in use, what has just arrived goes: the run has its own name for it.
asio::awaitable<void> DataCache::make_room(ContentFolder::Content arrived) {
    const std::int64_t since = uses_.empty() ? now_ns() : *uses_.begin();
    if (full_since_ != since) {
        const auto left =
            co_await on_pool(pool_, [this, since, bytes = limit_ - limit_ / 10] { return folder_.trim(bytes, since); });
        if (!left) {
            spdlog::warn("no room is made in the data cache: cause=\"{}\"", left.error().detail());
            co_return;
        }
        bytes_ = *left;
        full_since_ = bytes_ > limit_ ? since : 0;
    }
    if (bytes_ > limit_ && !arrived.sha256.empty()) {
        co_await on_pool(pool_, [this, arrived] {
            folder_.drop(arrived);
            return true;
        });
        bytes_ -= std::min(bytes_, arrived.size);
    }
}

} // namespace linarite::agent
