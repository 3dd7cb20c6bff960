// server/store/lanes.hpp: one database file with a thread that writes and a thread that reads.
#pragma once

#include "server/store/schema.hpp"

#include <SQLiteCpp/Database.h>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace linarite::store {

namespace asio = boost::asio;

/// Works that are queued while a commit is under way share the next transaction; each is answered after its COMMIT
/// returned, on the executor that awaits it. A work that returns an error or throws is rolled back alone. Reads have a
/// connection of their own and never wait for writes; over ":memory:" they are works of the writer, which has the only
/// connection. See Store for what happens if a COMMIT fails.
class Lanes {
public:
    /// Opens and migrates; waits for the database's own recovery. Errors name the file.
    static Result<std::unique_ptr<Lanes>> open(const std::string& path, const Schema& schema);
    /// Checkpoints and closes. Whatever holds statements of the connections must be gone.
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    /// The connections, to prepare statements on; used by works alone.
    [[nodiscard]] SQLite::Database& writer();
    [[nodiscard]] SQLite::Database& reader();

    using Work = std::function<Result<void>()>;
    asio::awaitable<Result<void>> enqueue_write(Work work);
    asio::awaitable<Result<void>> enqueue_read(Work work);

    /// F: Result<T>().
    template <class F>
    asio::awaitable<std::invoke_result_t<F>> write(F work) {
        auto slot = std::make_shared<std::optional<std::invoke_result_t<F>>>();
        Work job = keeping_result(slot, std::move(work));
        const Result<void> done = co_await enqueue_write(std::move(job));
        co_return result_of(done, *slot);
    }
    /// The same in a read transaction.
    template <class F>
    asio::awaitable<std::invoke_result_t<F>> read(F work) {
        auto slot = std::make_shared<std::optional<std::invoke_result_t<F>>>();
        Work job = keeping_result(slot, std::move(work));
        const Result<void> done = co_await enqueue_read(std::move(job));
        co_return result_of(done, *slot);
    }

    /// Returns once everything that was queued before this call is committed.
    asio::awaitable<void> flushed();
    /// A consistent copy at `path` (SQLite's backup API), which must not exist yet.
    asio::awaitable<Result<void>> backup(std::string path);
    /// Commits so far, and works in them.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> counters() const;
    /// Finishes what is queued and ends the threads. Nothing may be queued afterwards.
    void stop();

private:
    struct Parts;
    explicit Lanes(std::unique_ptr<Parts> parts);

    template <class R, class F>
    static Work keeping_result(std::shared_ptr<std::optional<R>> slot, F work) {
        return [slot, work = std::move(work)]() mutable {
            const R& result = slot->emplace(work());
            return result ? Result<void>() : Result<void>(result.error());
        };
    }
    template <class R>
    static R result_of(const Result<void>& done, std::optional<R>& slot) {
        return done ? std::move(*slot) : R(done.error());
    }

    std::unique_ptr<Parts> parts_;
};

} // namespace linarite::store
