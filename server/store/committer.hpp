// server/store/committer.hpp: runs batches of works, each batch in one transaction. Used by one thread.
#pragma once

#include "server/store/job_thread.hpp"
#include "server/store/store.hpp"

#include <SQLiteCpp/Database.h>

#include <atomic>
#include <span>
#include <vector>

namespace linarite::store {

/// Group commit on one connection.
class Committer {
public:
    explicit Committer(SQLite::Database& db) : db_(db) {}

    /// Runs all works in one transaction and sets their outcomes, after COMMIT returned. A work that fails is undone
    /// alone. If the disk is full, all are undone and have no_space. If COMMIT fails otherwise, the process ends here.
    void run(std::vector<QueuedJob>& batch);
    [[nodiscard]] Store::Counters counters() const { return {commits_.load(), works_.load()}; }

private:
    void run_transaction(const std::vector<QueuedJob*>& jobs);
    Result<void> execute(const char* sql);
    bool run_all(const std::vector<QueuedJob*>& jobs);
    void run_one(QueuedJob& job, bool alone);
    void commit(const std::vector<QueuedJob*>& jobs);
    void give_up(const std::vector<QueuedJob*>& jobs, const Error& why);
    void roll_back();

    SQLite::Database& db_;
    std::atomic<std::uint64_t> commits_{0};
    std::atomic<std::uint64_t> works_{0};
};

/// Runs one work as a guest of the store: its exceptions become errors.
Result<void> run_guest(QueuedJob& job);

/// Moves committed pages from the write-ahead log into the database, when nobody waits. Used by the writer's thread.
class Checkpointer {
public:
    explicit Checkpointer(SQLite::Database& db);
    ~Checkpointer();
    Checkpointer(const Checkpointer&) = delete;
    Checkpointer& operator=(const Checkpointer&) = delete;

    /// After each batch: checkpoints if the log grew enough; under steady load only if it grew a lot.
    void after_batch(bool idle);
    /// Empties the log; for a clean end.
    void finish();
    [[nodiscard]] int pages() const { return pages_; }

private:
    static int on_commit(void* self, sqlite3* db, const char* name, int pages);
    void checkpoint(int mode);

    SQLite::Database& db_;
    int pages_ = 0;   // in the log now
    int settled_ = 0; // of them, those that the last checkpoint saw
};

} // namespace linarite::store
