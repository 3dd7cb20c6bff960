#include "server/store/committer.hpp"

#include "server/store/connection.hpp"

#include <spdlog/spdlog.h>

#include <cstdlib>
#include <sqlite3.h>

namespace linarite::store {
namespace {

constexpr int pages_when_idle = 1'000;  // 4 MB of log
constexpr int pages_when_busy = 16'000; // 64 MB of log

[[noreturn]] void give_up_on_disk(const char* doing, SQLite::Database& db) {
    // the kernel may have dropped what it could not write: no answer can be trusted any more
    spdlog::critical("{} failed, ending the process: error=\"{}\" code={}", doing, db.getErrorMsg(),
                     db.getExtendedErrorCode());
    spdlog::shutdown();
    std::abort();
}

} // namespace

Result<void> run_guest(QueuedJob& job) {
    try {
        return job.work();
    } catch (const std::exception& failure) {
        spdlog::error("a work of the store threw: what=\"{}\"", failure.what());
        return Error(Errc::internal, std::string("unexpected failure in the store: ") + failure.what());
    }
}

Result<void> Committer::execute(const char* sql) {
    const int code = db_.tryExec(sql);
    if (code == SQLITE_OK) {
        return {};
    }
    const std::string what = std::string(sql) + ": " + db_.getErrorMsg();
    if (is_disk_full(db_, db_.getExtendedErrorCode())) {
        return Error(Errc::no_space, what);
    }
    return Error(code == SQLITE_BUSY ? Errc::unavailable : Errc::internal, what);
}

void Committer::run(std::vector<QueuedJob>& batch) {
    std::vector<QueuedJob*> jobs;
    jobs.reserve(batch.size());
    for (QueuedJob& job : batch) {
        if (job.work && !job.outside) {
            jobs.push_back(&job);
        }
    }
    if (!jobs.empty()) {
        run_transaction(jobs);
    }
    for (QueuedJob& job : batch) {
        if (job.work && job.outside) {
            job.outcome = run_guest(job);
        }
    }
}

void Committer::run_transaction(const std::vector<QueuedJob*>& jobs) {
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun) {
        give_up(jobs, begun.error());
        return;
    }
    if (!run_all(jobs)) {
        return;
    }
    if (std::none_of(jobs.begin(), jobs.end(), [](const QueuedJob* job) { return job->outcome.has_value(); })) {
        roll_back();
        return;
    }
    commit(jobs);
}

// False if the transaction is gone and all jobs have their outcome.
bool Committer::run_all(const std::vector<QueuedJob*>& jobs) {
    for (QueuedJob* job : jobs) {
        run_one(*job, jobs.size() == 1);
        if (!job->outcome && job->outcome.error().code() == Errc::no_space) {
            give_up(jobs, job->outcome.error());
            return false;
        }
        // some errors make SQLite roll back the whole transaction by itself
        if (sqlite3_get_autocommit(db_.getHandle()) != 0) {
            give_up(jobs, job->outcome ? Error(Errc::internal, "the transaction is gone") : job->outcome.error());
            return false;
        }
    }
    return true;
}

// A job that is alone needs no savepoint: the transaction itself is rolled back if it fails.
void Committer::run_one(QueuedJob& job, bool alone) {
    if (!alone) {
        job.outcome = execute("SAVEPOINT work");
        if (!job.outcome) {
            return;
        }
    }
    job.outcome = run_guest(job);
    if (alone || sqlite3_get_autocommit(db_.getHandle()) != 0) {
        return;
    }
    const auto ended = execute(job.outcome ? "RELEASE work" : "ROLLBACK TO work; RELEASE work");
    if (!ended && job.outcome) {
        job.outcome = ended;
    }
}

void Committer::commit(const std::vector<QueuedJob*>& jobs) {
    const auto committed = execute("COMMIT");
    if (!committed) {
        if (committed.error().code() != Errc::no_space) {
            give_up_on_disk("COMMIT", db_);
        }
        give_up(jobs, committed.error());
        return;
    }
    ++commits_;
    works_ += jobs.size();
}

void Committer::give_up(const std::vector<QueuedJob*>& jobs, const Error& why) {
    roll_back();
    spdlog::error("a transaction was given up: works={} error=\"{}\"", jobs.size(), why.detail());
    for (QueuedJob* job : jobs) {
        job->outcome = why;
    }
}

void Committer::roll_back() {
    if (sqlite3_get_autocommit(db_.getHandle()) == 0 && db_.tryExec("ROLLBACK") != SQLITE_OK) {
        give_up_on_disk("ROLLBACK", db_);
    }
}

// ---- checkpoints ----------------------------------------------------------------------------------------------------

Checkpointer::Checkpointer(SQLite::Database& db) : db_(db) {
    sqlite3_wal_hook(db_.getHandle(), &Checkpointer::on_commit, this);
}

Checkpointer::~Checkpointer() {
    sqlite3_wal_hook(db_.getHandle(), nullptr, nullptr);
}

int Checkpointer::on_commit(void* self, sqlite3*, const char*, int pages) {
    auto* checkpointer = static_cast<Checkpointer*>(self);
    checkpointer->pages_ = pages;
    if (pages < checkpointer->settled_) {
        checkpointer->settled_ = 0; // the log started again from its beginning
    }
    return SQLITE_OK;
}

void Checkpointer::after_batch(bool idle) {
    if (pages_ - settled_ >= (idle ? pages_when_idle : pages_when_busy)) {
        checkpoint(SQLITE_CHECKPOINT_PASSIVE);
    }
}

void Checkpointer::finish() {
    checkpoint(SQLITE_CHECKPOINT_TRUNCATE);
}

void Checkpointer::checkpoint(int mode) {
    const int code = sqlite3_wal_checkpoint_v2(db_.getHandle(), nullptr, mode, nullptr, nullptr);
    settled_ = pages_;
    if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        return;
    }
    if (!is_disk_full(db_, db_.getExtendedErrorCode())) {
        give_up_on_disk("a checkpoint", db_);
    }
    spdlog::warn("no room on the disk for a checkpoint, trying again later: log_pages={}", pages_);
}

} // namespace linarite::store
