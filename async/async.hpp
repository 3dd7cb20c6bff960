// async/async.hpp: small pieces for coroutines: something to wait for, and work on another thread.
#pragma once

#include "common/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

namespace linarite {

namespace asio = boost::asio;

/// Something to wait for on one event loop. Either check the condition and wait without a suspension in between, or
/// take count() before looking and wait_past() it.
class Signal {
public:
    /// Returns at the next notify() after this call.
    asio::awaitable<void> wait() { return wait_until(asio::steady_timer::time_point::max()); }
    /// Returns at the next notify() after this call, or when `at_most` has passed.
    asio::awaitable<void> wait(Millis at_most) { return wait_until(std::chrono::steady_clock::now() + at_most); }
    /// Like wait, but returns at once if there was a notify() since count() gave `seen`.
    asio::awaitable<void> wait_past(std::uint64_t seen, Millis at_most) {
        if (count_ == seen) {
            co_await wait(at_most);
        }
    }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    void notify() {
        ++count_;
        for (asio::steady_timer* timer : *waiters_) {
            timer->cancel();
        }
    }

private:
    using Waiters = std::set<asio::steady_timer*>;
    struct Registered {
        Registered(Waiters& waiters, asio::steady_timer* of) : set(waiters), timer(of) { set.insert(timer); }
        Registered(const Registered&) = delete;
        Registered& operator=(const Registered&) = delete;
        ~Registered() { set.erase(timer); }
        Waiters& set;
        asio::steady_timer* timer;
    };
    asio::awaitable<void> wait_until(asio::steady_timer::time_point at) {
        auto waiters = waiters_; // keeps the set alive if the signal dies first
        asio::steady_timer timer(co_await asio::this_coro::executor, at);
        const Registered registered(*waiters, &timer);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    std::uint64_t count_ = 0;
    std::shared_ptr<Waiters> waiters_ = std::make_shared<Waiters>();
};

namespace detail {
template <class R, class F>
asio::awaitable<void> call_into(std::shared_ptr<std::optional<R>> slot, F work) {
    slot->emplace(work());
    co_return;
}
} // namespace detail

/// Runs blocking work on the pool and comes back to the caller's executor with its result. The work must not refer to
/// anything that may die before it ends, unless its owner awaits this call.
template <class F>
asio::awaitable<std::invoke_result_t<F>> on_pool(asio::thread_pool& pool, F work) {
    using R = std::invoke_result_t<F>;
    auto slot = std::make_shared<std::optional<R>>(); // R need not be default-constructible
    co_await asio::co_spawn(pool.get_executor(), detail::call_into(slot, std::move(work)), asio::use_awaitable);
    co_return std::move(**slot);
}

} // namespace linarite
