// server/store/store.hpp: the run history in SQLite. One writer thread with group commit, one reader thread.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"
#include "server/core/reactor.hpp"
#include "server/store/tables.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace linarite::store {

namespace asio = boost::asio;

/// The only door from coroutines to SQL. Works that are queued while a commit is under way share the next transaction;
/// each is answered after its COMMIT returned (synchronous=FULL), on the executor that awaits it. A work that returns an
/// error or throws is rolled back alone (savepoint) and does not disturb the others. A failed COMMIT or fsync aborts
/// the process: no answer may be given after one.
class Store {
public:
    /// Opens and migrates; waits for the database's own recovery. Errors name the file.
    static Result<std::unique_ptr<Store>> open(const std::string& path);
    virtual ~Store() = default; // finishes what is queued, then checkpoints and closes

    /// Runs `work` in the next transaction. F: Result<T>(Tables&). Awaitable from any executor.
    template <class F>
    asio::awaitable<std::invoke_result_t<F, Tables&>> write(F work) {
        using R = std::invoke_result_t<F, Tables&>;
        auto slot = std::make_shared<std::optional<R>>();
        std::function<bool(Tables&)> job = [slot, work = std::move(work)](Tables& tables) mutable {
            slot->emplace(work(tables));
            return slot->value().has_value();
        };
        const std::string failure = co_await enqueue_write(std::move(job));
        if (!failure.empty()) {
            co_return Error(Errc::internal, failure);
        }
        co_return std::move(slot->value());
    }

    /// Runs `work` on the reader thread, in a read transaction of its own. F: Result<T>(const Tables&)... reads only.
    template <class F>
    asio::awaitable<std::invoke_result_t<F, Tables&>> read(F work) {
        using R = std::invoke_result_t<F, Tables&>;
        auto slot = std::make_shared<std::optional<R>>();
        std::function<void(Tables&)> job = [slot, work = std::move(work)](Tables& tables) mutable {
            slot->emplace(work(tables));
        };
        const std::string failure = co_await enqueue_read(std::move(job));
        if (!failure.empty()) {
            co_return Error(Errc::internal, failure);
        }
        co_return std::move(slot->value());
    }

    /// Returns once everything that was queued before this call is committed.
    virtual asio::awaitable<void> flushed() = 0;
    /// A consistent copy of the database at `path` (SQLite's backup API), which must not exist yet.
    virtual asio::awaitable<Result<void>> backup(std::string path) = 0;
    /// Commits so far, and works in them: for /metrics.
    struct Counters {
        std::uint64_t commits = 0;
        std::uint64_t works = 0;
    };
    [[nodiscard]] virtual Counters counters() const = 0;

protected:
    /// "" or why it failed outside of the work itself.
    virtual asio::awaitable<std::string> enqueue_write(std::function<bool(Tables&)> job) = 0;
    virtual asio::awaitable<std::string> enqueue_read(std::function<void(Tables&)> job) = 0;
};

} // namespace linarite::store
