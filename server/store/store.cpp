#include "server/store/store.hpp"

#include "server/store/committer.hpp"
#include "server/store/connection.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

namespace linarite::store {
namespace {

/// A function that hands the outcome to whoever awaits it, on its own executor, and keeps that executor busy until
/// then.
template <class Handler>
std::function<void(Result<void>)> answer_to(Handler handler) {
    auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
    return [guard, waiting = std::make_shared<Handler>(std::move(handler))](Result<void> outcome) mutable {
        asio::post(guard.get_executor(), [waiting = std::move(waiting), outcome = std::move(outcome)]() mutable {
            (*waiting)(std::move(outcome));
        });
        guard.reset();
    };
}

asio::awaitable<Result<void>> enqueue(JobThread& thread, std::function<Result<void>(Tables&)> work,
                                      bool outside = false) {
    auto start = [&thread, outside](auto handler, std::function<Result<void>(Tables&)> job) {
        thread.push(QueuedJob{std::move(job), answer_to(std::move(handler)), {}, outside});
        // the analyzer loses sight of the function that was moved into the queue
    }; // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<void>)>(
        std::move(start), asio::use_awaitable, std::move(work));
}

/// Runs reads on a connection that can do nothing else, each in its own read transaction.
class Reading {
public:
    explicit Reading(std::unique_ptr<SQLite::Database> db) : db_(std::move(db)), tables_(*db_) {}

    void run(std::vector<QueuedJob>& batch) {
        for (QueuedJob& job : batch) {
            if (job.work) {
                run_one(job);
            }
        }
    }
    SQLite::Database& database() { return *db_; }

private:
    void run_one(QueuedJob& job) {
        if (job.outside) {
            job.outcome = run_guest(job, tables_);
            return;
        }
        if (db_->tryExec("BEGIN") != 0) {
            job.outcome = Error(Errc::internal, std::string("begin to read: ") + db_->getErrorMsg());
            return;
        }
        job.outcome = run_guest(job, tables_);
        db_->tryExec("ROLLBACK"); // nothing to keep, and it ends the snapshot
    }

    std::unique_ptr<SQLite::Database> db_;
    Tables tables_;
};

/// The store over one file; or over memory, where reads are works of the writer, which has the only connection.
class SqliteStore final : public Store {
public:
    SqliteStore(std::unique_ptr<SQLite::Database> writer, std::unique_ptr<SQLite::Database> reader)
        : writer_(std::move(writer)), committer_(*writer_), checkpointer_(*writer_) {
        write_thread_.emplace(
            "store-writer", [this](std::vector<QueuedJob>& batch) { committer_.run(batch); },
            [this](bool idle) { checkpointer_.after_batch(idle); });
        if (reader) {
            reading_.emplace(std::move(reader));
            read_thread_.emplace(
                "store-reader", [this](std::vector<QueuedJob>& batch) { reading_->run(batch); }, [](bool) {});
        }
    }
    ~SqliteStore() override {
        read_thread_.reset();
        reading_.reset(); // first, so that the last checkpoint can empty the log
        write_thread_.reset();
        checkpointer_.finish();
    }
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    asio::awaitable<void> flushed() override { co_await enqueue(*write_thread_, nullptr); }

    asio::awaitable<Result<void>> backup(std::string path) override {
        SQLite::Database& from = reading_ ? reading_->database() : *writer_;
        auto copy = [&from, path = std::move(path)](Tables&) { return copy_database(from, path); };
        const Result<void> copied = co_await enqueue(reader_thread(), std::move(copy), true);
        co_return copied;
    }

    [[nodiscard]] Counters counters() const override { return committer_.counters(); }

protected:
    asio::awaitable<Result<void>> enqueue_write(Job job) override { return enqueue(*write_thread_, std::move(job)); }
    asio::awaitable<Result<void>> enqueue_read(Job job) override { return enqueue(reader_thread(), std::move(job)); }

private:
    JobThread& reader_thread() { return read_thread_ ? *read_thread_ : *write_thread_; }

    std::unique_ptr<SQLite::Database> writer_;
    Committer committer_;
    Checkpointer checkpointer_;
    std::optional<Reading> reading_;
    std::optional<JobThread> write_thread_;
    std::optional<JobThread> read_thread_;
};

} // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
    auto writer = open_writer(path);
    if (!writer) {
        return writer.error();
    }
    if (path == ":memory:") {
        return std::unique_ptr<Store>(std::make_unique<SqliteStore>(std::move(*writer), nullptr));
    }
    auto reader = open_reader(path);
    if (!reader) {
        return reader.error();
    }
    return std::unique_ptr<Store>(std::make_unique<SqliteStore>(std::move(*writer), std::move(*reader)));
}

} // namespace linarite::store
