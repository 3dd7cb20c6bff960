// agent/capture/persist.hpp: going on while the coordinator is away.
#pragma once

#include "async/async.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <functional>

namespace linarite::agent {

/// Tries again with a pause of 100 ms to 5 s for as long as the attempt says unavailable, but not over `most` and not
/// after `cancel`.
template <class T>
asio::awaitable<Result<T>> persist(std::function<asio::awaitable<Result<T>>()> attempt, CancelToken cancel,
                                   Millis most = std::chrono::minutes(2)) {
    const auto until = std::chrono::steady_clock::now() + most;
    Signal stop;
    const auto hook = cancel.on_cancel([&stop] { stop.notify(); });
    for (Millis pause(100);; pause = std::min(pause * 2, Millis(5'000))) {
        auto result = co_await attempt();
        if (result || result.error().code() != Errc::unavailable || cancel.cancelled() ||
            std::chrono::steady_clock::now() + pause > until) {
            co_return result;
        }
        co_await stop.wait(pause);
        if (cancel.cancelled()) {
            co_return result;
        }
    }
}

} // namespace linarite::agent
