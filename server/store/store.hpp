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

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace linarite::store {

namespace asio = boost::asio;

/// The only door from coroutines to SQL. Works that are queued while a commit is under way share the next transaction;
/// each is answered after its COMMIT returned (synchronous=FULL), on the executor that awaits it. A work that returns
/// an error or throws is rolled back alone (savepoint) and does not disturb the others. A full disk fails the whole
/// transaction with no_space. Any other failure of COMMIT aborts the process: no answer may be given after one.
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
        Job job = [slot, work = std::move(work)](Tables& tables) mutable {
            const R& result = slot->emplace(work(tables));
            return result ? Result<void>() : Result<void>(result.error());
        };
        const Result<void> done = co_await enqueue_write(std::move(job));
        if (!done) {
            co_return done.error();
        }
        co_return std::move(**slot);
    }

    /// Runs `work` on the reader thread, in a read transaction of its own. F: Result<T>(const Tables&)... reads only.
    template <class F>
    asio::awaitable<std::invoke_result_t<F, Tables&>> read(F work) {
        using R = std::invoke_result_t<F, Tables&>;
        auto slot = std::make_shared<std::optional<R>>();
        Job job = [slot, work = std::move(work)](Tables& tables) mutable {
            const R& result = slot->emplace(work(tables));
            return result ? Result<void>() : Result<void>(result.error());
        };
        const Result<void> done = co_await enqueue_read(std::move(job));
        if (!done) {
            co_return done.error();
        }
        co_return std::move(**slot);
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
    /// A work without its result's type: how it ended.
    using Job = std::function<Result<void>(Tables&)>;
    /// The job's own error, or why its transaction failed: no_space if the disk is full (nothing of the batch is
    /// stored).
    virtual asio::awaitable<Result<void>> enqueue_write(Job job) = 0;
    virtual asio::awaitable<Result<void>> enqueue_read(Job job) = 0;
};

} // namespace linarite::store
