#include "server/store/lanes.hpp"

#include "server/store/committer.hpp"
#include "server/store/connection.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

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

asio::awaitable<Result<void>> enqueue(JobThread& thread, Lanes::Work work, bool outside = false) {
    auto start = [&thread, outside](auto handler, Lanes::Work job) {
        thread.push(QueuedJob{std::move(job), answer_to(std::move(handler)), {}, outside});
        // the analyzer loses sight of the function that was moved into the queue
    }; // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<void>)>(
        std::move(start), asio::use_awaitable, std::move(work));
}

/// Runs reads on a connection that can do nothing else, each in its own read transaction.
void run_read(QueuedJob& job, SQLite::Database& db) {
    if (job.outside) {
        job.outcome = run_guest(job);
        return;
    }
    if (db.tryExec("BEGIN") != 0) {
        job.outcome = Error(Errc::internal, std::string("begin to read: ") + db.getErrorMsg());
        return;
    }
    job.outcome = run_guest(job);
    db.tryExec("ROLLBACK"); // nothing to keep, and it ends the snapshot
}

void run_reads(std::vector<QueuedJob>& batch, SQLite::Database& db) {
    for (QueuedJob& job : batch) {
        if (job.work) {
            run_read(job, db);
        }
    }
}

} // namespace

struct Lanes::Parts {
    Parts(std::unique_ptr<SQLite::Database> writing, std::unique_ptr<SQLite::Database> reading)
        : writer(std::move(writing)), reader(std::move(reading)), committer(*writer), checkpointer(*writer) {
        write_thread.emplace(
            "store-writer", [this](std::vector<QueuedJob>& batch) { committer.run(batch); },
            [this](bool idle) { checkpointer.after_batch(idle); });
        if (reader) {
            read_thread.emplace(
                "store-reader", [this](std::vector<QueuedJob>& batch) { run_reads(batch, *reader); }, [](bool) {});
        }
    }
    JobThread& reading_thread() { return read_thread ? *read_thread : *write_thread; }

    std::unique_ptr<SQLite::Database> writer;
    std::unique_ptr<SQLite::Database> reader; // null: the writer reads, too
    Committer committer;
    Checkpointer checkpointer;
    std::optional<JobThread> write_thread;
    std::optional<JobThread> read_thread;
};

Result<std::unique_ptr<Lanes>> Lanes::open(const std::string& path, const Schema& schema) {
    auto writer = open_writer(path, schema);
    if (!writer) {
        return writer.error();
    }
    std::unique_ptr<SQLite::Database> reader;
    if (path != ":memory:") {
        auto opened = open_reader(path);
        if (!opened) {
            return opened.error();
        }
        reader = std::move(*opened);
    }
    return std::unique_ptr<Lanes>(new Lanes(std::make_unique<Parts>(std::move(*writer), std::move(reader))));
}

Lanes::Lanes(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Lanes::~Lanes() {
    stop();
    parts_->reader.reset(); // first, so that the last checkpoint can empty the log
    parts_->checkpointer.finish();
}

void Lanes::stop() {
    parts_->read_thread.reset();
    parts_->write_thread.reset();
}

SQLite::Database& Lanes::writer() {
    return *parts_->writer;
}

SQLite::Database& Lanes::reader() {
    return parts_->reader ? *parts_->reader : *parts_->writer;
}

asio::awaitable<Result<void>> Lanes::enqueue_write(Work work) {
    return enqueue(*parts_->write_thread, std::move(work));
}

asio::awaitable<Result<void>> Lanes::enqueue_read(Work work) {
    return enqueue(parts_->reading_thread(), std::move(work));
}

asio::awaitable<void> Lanes::flushed() {
    co_await enqueue(*parts_->write_thread, nullptr);
}

asio::awaitable<Result<void>> Lanes::backup(std::string path) {
    auto copy = [&from = reader(), path = std::move(path)] { return copy_database(from, path); };
    const Result<void> copied = co_await enqueue(parts_->reading_thread(), std::move(copy), true);
    co_return copied;
}

std::pair<std::uint64_t, std::uint64_t> Lanes::counters() const {
    const Store::Counters counters = parts_->committer.counters();
    return {counters.commits, counters.works};
}

} // namespace linarite::store
