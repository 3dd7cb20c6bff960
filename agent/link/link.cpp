#include "agent/link/link.hpp"

#include "proto/json_reader.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

namespace linarite::agent {

using namespace std::chrono_literals;

namespace {

constexpr Millis longest_poll = 10s; // a held poll is the heartbeat too: a third of the lease of 30 s
constexpr Millis first_back_off = 50ms;
constexpr Millis longest_back_off = 2s;

/// Of the machine's time since it booted, suspended or not.
Millis uptime() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::duration_cast<Millis>(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

} // namespace

struct Link::State : std::enable_shared_from_this<Link::State> {
    State(asio::any_io_executor on, LinkCallbacks calls)
        : executor(std::move(on)), callbacks(std::move(calls)), wake(executor), pause(executor) {}

    asio::any_io_executor executor;
    LinkCallbacks callbacks;
    std::unique_ptr<client::HttpClient> poll_client;
    std::unique_ptr<client::HttpClient> report_client;
    asio::steady_timer wake;  // cancelled when there is something to report
    asio::steady_timer pause; // the poll loop's back-off; cancelled to try at once
    std::uint64_t seen = 0;
    std::uint64_t changes = 0;  // asked to be reported
    std::uint64_t reported = 0; // taken by the coordinator
    bool stopped = false;
    Millis lease = 30s; // as the coordinator said last
    bool reachable = true;
    Millis answered = uptime(); // when the last word that got an answer was sent

    asio::awaitable<void> poll_loop();
    asio::awaitable<void> report_loop();
    asio::awaitable<Result<void>> sync(std::unique_ptr<client::HttpClient>& client, Millis wait);
    asio::awaitable<void> back_off(Millis& span);
    void take(const Result<void>& result);
};

Link::Link(asio::any_io_executor executor, LinkCallbacks callbacks)
    : state_(std::make_shared<State>(std::move(executor), std::move(callbacks))) {}

Link::~Link() {
    stop();
}

void Link::start() {
    const auto ended = [](const std::exception_ptr& failure) {
        if (failure) {
            spdlog::critical("the link to the coordinator ended by an exception");
            std::abort();
        }
    };
    asio::co_spawn(state_->executor, state_->poll_loop(), ended);
    asio::co_spawn(state_->executor, state_->report_loop(), ended);
}

void Link::report() {
    ++state_->changes;
    state_->wake.cancel();
}

bool Link::idle() const {
    return state_->reported == state_->changes;
}

Millis Link::silence() const {
    return uptime() - state_->answered;
}

void Link::stop() {
    state_->stopped = true;
    state_->wake.cancel();
    state_->pause.cancel();
    for (auto* client : {&state_->poll_client, &state_->report_client}) {
        if (*client) {
            (*client)->close();
        }
    }
}

asio::awaitable<Result<void>> Link::State::sync(std::unique_ptr<client::HttpClient>& client, Millis wait) {
    if (!client) {
        auto address = callbacks.address();
        if (!address) {
            co_return address.error();
        }
        client = std::make_unique<client::HttpClient>(executor, std::move(*address));
    }
    proto::SyncRequest request = callbacks.picture();
    request.seen = seen;
    request.wait = wait;
    const Millis sent = uptime();
    const Result<client::Json> body =
        co_await client->call("POST", "/api/v1/agent/sync", proto::print(request), wait + std::min<Millis>(30s, lease));
    if (!body) {
        client.reset();
        co_return body.error();
    }
    Result<proto::SyncAnswer> answer = proto::parse_sync_answer(*body);
    if (!answer) {
        co_return answer.error();
    }
    lease = std::max<Millis>(answer->lease, 1s);
    answered = std::max(answered, sent);
    if (!stopped && !answer->unchanged && answer->version >= seen) {
        seen = answer->version;
        callbacks.wanted(std::move(*answer));
    }
    co_return Result<void>{};
}

void Link::State::take(const Result<void>& result) {
    if (result) {
        if (!reachable) {
            spdlog::info("the coordinator is back");
        }
        reachable = true;
        return;
    }
    if (stopped) {
        return;
    }
    if (result.error().code() == Errc::gone || result.error().code() == Errc::unauthorized) {
        callbacks.refused(result.error());
    } else if (reachable) {
        spdlog::warn("the coordinator cannot be reached, trying again until it can: {}", result.error().detail());
    }
    reachable = false;
    // a restarted coordinator counts its versions anew, but always above those of before
}

asio::awaitable<void> Link::State::back_off(Millis& span) {
    pause.expires_after(span);
    span = std::min(span * 2, longest_back_off);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
}

asio::awaitable<void> Link::State::poll_loop() {
    const auto self = shared_from_this();
    Millis span = first_back_off;
    bool first = true;
    while (!stopped) {
        const Result<void> done = co_await sync(poll_client, first ? 0ms : std::min(longest_poll, lease / 3));
        take(done);
        if (done) {
            first = false;
            span = first_back_off;
        } else if (!stopped) {
            co_await back_off(span);
        }
    }
}

asio::awaitable<void> Link::State::report_loop() {
    const auto self = shared_from_this();
    Millis span = first_back_off;
    while (!stopped) {
        if (changes == reported) {
            wake.expires_at(asio::steady_timer::time_point::max());
            co_await wake.async_wait(asio::as_tuple(asio::use_awaitable));
            continue;
        }
        const std::uint64_t telling = changes;
        const Result<void> done = co_await sync(report_client, 0ms);
        if (done) {
            reported = telling;
            span = first_back_off;
        } else if (!stopped) {
            wake.expires_after(span);
            span = std::min(span * 2, longest_back_off);
            co_await wake.async_wait(asio::as_tuple(asio::use_awaitable));
        }
    }
}

} // namespace linarite::agent
