#include "rows.hpp"
#include "server/store/committer.hpp"
#include "server/store/connection.hpp"
#include "server/store/store.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::store {
namespace {

namespace fs = std::filesystem;

/// A folder that is gone after the test.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (fs::temp_directory_path() / "linarite-store-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryFolder() {
        std::error_code ec;
        fs::remove_all(path_, ec);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    fs::path path_;
};

/// Runs a coroutine to its end on a loop of its own.
template <class T>
T await(asio::awaitable<T> work) {
    asio::io_context io(1);
    auto done = asio::co_spawn(io, std::move(work), asio::use_future);
    io.run();
    return done.get();
}

std::unique_ptr<Store> open(const std::string& path) {
    auto store = Store::open(path);
    EXPECT_TRUE(store) << store.error().detail();
    return std::move(*store);
}

asio::awaitable<Result<void>> insert(Store& store, RunRow row) {
    auto work = [row](Tables& tables) { return tables.insert_run(row); };
    co_return co_await store.write(std::move(work));
}

asio::awaitable<Result<RunRow>> find(Store& store, std::string id) {
    auto work = [id](Tables& tables) { return tables.find_run(RunId(id)); };
    co_return co_await store.read(std::move(work));
}

class StoreTest : public testing::Test {
protected:
    TemporaryFolder folder_;
    std::string path_ = folder_.file("history.db");
};

/// Holds the writer in a work until it is let go, so that what is queued meanwhile makes up one batch.
class Plug {
public:
    asio::awaitable<Result<void>> hold(Store& store) {
        auto work = [this](Tables&) -> Result<void> {
            entered_.set_value();
            released_.get_future().wait();
            return {};
        };
        co_return co_await store.write(std::move(work));
    }
    void wait_until_held() { entered_.get_future().wait(); }
    void release() { released_.set_value(); }

private:
    std::promise<void> entered_;
    std::promise<void> released_;
};

using Spawned = std::vector<std::future<Result<void>>>;

/// Runs `works` as one batch behind a plug.
Spawned run_as_one_batch(Store& store, std::vector<asio::awaitable<Result<void>>> works) {
    asio::io_context io(1);
    Plug plug;
    Spawned done;
    done.push_back(asio::co_spawn(io, plug.hold(store), asio::use_future));
    asio::post(io, [&plug] { plug.wait_until_held(); });
    for (auto& work : works) {
        done.push_back(asio::co_spawn(io, std::move(work), asio::use_future));
    }
    asio::post(io, [&plug] { plug.release(); });
    io.run();
    return done;
}

TEST_F(StoreTest, WhatIsQueuedDuringACommitSharesTheNext) {
    const auto store = open(path_);
    std::vector<asio::awaitable<Result<void>>> works;
    works.reserve(50);
    for (int i = 0; i < 50; ++i) {
        works.push_back(insert(*store, run_row("r" + std::to_string(i))));
    }

    Spawned done = run_as_one_batch(*store, std::move(works));

    for (auto& each : done) {
        EXPECT_TRUE(each.get());
    }
    EXPECT_EQ(store->counters().commits, 2U);
    EXPECT_EQ(store->counters().works, 51U);
}

asio::awaitable<Result<void>> insert_then(Store& store, RunRow row, std::function<Result<void>()> then) {
    auto work = [row, then](Tables& tables) -> Result<void> {
        const auto inserted = tables.insert_run(row);
        return inserted ? then() : inserted;
    };
    co_return co_await store.write(std::move(work));
}

TEST_F(StoreTest, AFailingWorkDoesNotDisturbTheOthersOfItsBatch) {
    const auto store = open(path_);
    std::vector<asio::awaitable<Result<void>>> works;
    works.push_back(insert(*store, run_row("before")));
    works.push_back(insert_then(*store, run_row("error"), []() -> Result<void> {
        return Error(std::vector<Fault>{{"/x", "changed my mind"}});
    }));
    works.push_back(
        insert_then(*store, run_row("throws"), []() -> Result<void> { throw std::runtime_error("no such luck"); }));
    works.push_back(insert(*store, run_row("before"))); // exists
    works.push_back(insert(*store, run_row("after")));

    Spawned done = run_as_one_batch(*store, std::move(works));

    EXPECT_TRUE(done[1].get());
    const auto error = done[2].get();
    ASSERT_FALSE(error);
    EXPECT_EQ(error.error().code(), Errc::invalid_argument);
    EXPECT_EQ(error.error().faults().size(), 1U);
    const auto thrown = done[3].get();
    ASSERT_FALSE(thrown);
    EXPECT_EQ(thrown.error().code(), Errc::internal);
    EXPECT_NE(thrown.error().detail().find("no such luck"), std::string::npos);
    EXPECT_EQ(done[4].get().error().code(), Errc::conflict);
    EXPECT_TRUE(done[5].get());
    EXPECT_EQ(store->counters().commits, 2U);
    EXPECT_TRUE(await(find(*store, "before")));
    EXPECT_FALSE(await(find(*store, "error")));
    EXPECT_FALSE(await(find(*store, "throws")));
    EXPECT_TRUE(await(find(*store, "after")));
}

TEST_F(StoreTest, AWorkThatFailsAloneIsUndone) {
    const auto store = open(path_);

    const auto failed = await(
        insert_then(*store, run_row("r1"), []() -> Result<void> { return Error(Errc::forbidden, "not like this"); }));

    EXPECT_EQ(failed.error().code(), Errc::forbidden);
    EXPECT_EQ(await(find(*store, "r1")).error().code(), Errc::not_found);
    EXPECT_EQ(store->counters().commits, 0U);
    EXPECT_TRUE(await(insert(*store, run_row("r1"))));
}

asio::awaitable<int> insert_and_look(Store& store, std::string path, RunRow row) {
    const std::string id = row.id.str();
    const auto stored = co_await insert(store, std::move(row));
    EXPECT_TRUE(stored);
    SQLite::Database other(path, SQLite::OPEN_READONLY);
    co_return other.execAndGet("SELECT count(*) FROM runs WHERE id = '" + id + "'").getInt();
}

TEST_F(StoreTest, AnAnswerComesAfterTheCommit) {
    const auto store = open(path_);

    for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(await(insert_and_look(*store, path_, run_row("r" + std::to_string(i)))), 1);
    }
}

asio::awaitable<bool> resumes_on(Store& store, std::thread::id expected) {
    const auto stored = co_await insert(store, run_row("r1"));
    const bool after_write = std::this_thread::get_id() == expected;
    const auto found = co_await find(store, "r1");
    co_return stored&& found&& after_write&& std::this_thread::get_id() == expected;
}

TEST_F(StoreTest, AnswersComeOnTheExecutorThatAwaitsThem) {
    const auto store = open(path_);

    EXPECT_TRUE(await(resumes_on(*store, std::this_thread::get_id())));
}

TEST_F(StoreTest, EverythingIsThereAfterReopening) {
    {
        const auto store = open(path_);
        ASSERT_TRUE(await(insert(*store, run_row("r1"))));
    }
    EXPECT_FALSE(fs::exists(path_ + "-wal")) << "a clean end leaves one file";

    const auto store = open(path_);

    EXPECT_TRUE(await(find(*store, "r1")));
}

TEST_F(StoreTest, QueuedWorksAreFinishedBeforeTheStoreEnds) {
    asio::io_context io(1);
    auto store = open(path_);
    Spawned done;
    for (int i = 0; i < 10; ++i) {
        done.push_back(asio::co_spawn(io, insert(*store, run_row("r" + std::to_string(i))), asio::use_future));
    }
    io.poll(); // they are queued now

    store.reset();
    io.run();

    for (auto& each : done) {
        EXPECT_TRUE(each.get());
    }
}

TEST_F(StoreTest, FlushedWaitsForAllThatWasQueued) {
    const auto store = open(path_);
    asio::io_context io(1);
    Plug plug;
    auto held = asio::co_spawn(io, plug.hold(*store), asio::use_future);
    auto stored = asio::co_spawn(io, insert(*store, run_row("r1")), asio::use_future);
    bool stored_first = false;
    asio::co_spawn(io, store->flushed(), [&](const std::exception_ptr&) {
        stored_first = stored.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    });
    asio::post(io, [&plug] { plug.release(); });

    io.run();

    EXPECT_TRUE(stored_first);
    EXPECT_TRUE(stored.get());
    EXPECT_TRUE(held.get());
}

TEST_F(StoreTest, AReaderCannotWrite) {
    const auto store = open(path_);
    auto work = [](Tables& tables) { return tables.insert_run(run_row("r1")); };

    const Result<void> written = await(store->read(work));

    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code(), Errc::internal);
    EXPECT_FALSE(await(find(*store, "r1")));
}

TEST_F(StoreTest, AReadGoesOnWhileTheWriterIsBusy) {
    const auto store = open(path_);
    ASSERT_TRUE(await(insert(*store, run_row("r1"))));
    asio::io_context io(1);
    Plug plug;
    auto held = asio::co_spawn(io, plug.hold(*store), asio::use_future);
    asio::co_spawn(io, find(*store, "r1"), [&](const std::exception_ptr&, const Result<RunRow>& found) {
        EXPECT_TRUE(found);
        plug.release(); // never, if the read waited for the writer
    });

    io.run();

    EXPECT_TRUE(held.get());
}

TEST_F(StoreTest, ABackupIsAWholeDatabase) {
    const auto store = open(path_);
    ASSERT_TRUE(await(insert(*store, run_row("r1"))));
    const std::string copy = folder_.file("copy.db");

    ASSERT_TRUE(await(store->backup(copy)));

    const auto again = await(store->backup(copy));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Errc::conflict);
    {
        SQLite::Database db(copy, SQLite::OPEN_READONLY);
        EXPECT_EQ(db.execAndGet("PRAGMA integrity_check").getString(), "ok");
        EXPECT_EQ(db.execAndGet("SELECT id FROM runs").getString(), "r1");
    }
    EXPECT_TRUE(await(find(*open(copy), "r1")));
    EXPECT_EQ(await(store->backup(folder_.file("no/such/folder.db"))).error().code(), Errc::not_found);
    EXPECT_TRUE(await(insert(*store, run_row("r2")))) << "the store goes on";
}

TEST_F(StoreTest, MemoryServesReadsAndWritesAndBackups) {
    const auto store = open(":memory:");

    ASSERT_TRUE(await(insert(*store, run_row("r1"))));

    EXPECT_TRUE(await(find(*store, "r1")));
    ASSERT_TRUE(await(store->backup(path_)));
    EXPECT_TRUE(await(find(*open(path_), "r1")));
}

TEST_F(StoreTest, AFileThatIsNoDatabaseIsRefusedByName) {
    std::ofstream(path_) << std::string(5000, 'x');

    const auto store = Store::open(path_);

    ASSERT_FALSE(store);
    EXPECT_NE(store.error().detail().find(path_), std::string::npos);
}

TEST_F(StoreTest, ADatabaseFromANewerProgramIsRefusedByName) {
    SQLite::Database(path_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec("PRAGMA user_version = 999");

    const auto store = Store::open(path_);

    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code(), Errc::conflict);
    EXPECT_NE(store.error().detail().find(path_), std::string::npos);
}

TEST_F(StoreTest, WritesAreDurableAndCheckpointsAreTheWritersOwn) {
    const auto db = open_writer(path_);
    ASSERT_TRUE(db);

    EXPECT_EQ((*db)->execAndGet("PRAGMA journal_mode").getString(), "wal");
    EXPECT_EQ((*db)->execAndGet("PRAGMA synchronous").getInt(), 2); // FULL
    EXPECT_EQ((*db)->execAndGet("PRAGMA wal_autocheckpoint").getInt(), 0);
    EXPECT_EQ((*db)->execAndGet("PRAGMA foreign_keys").getInt(), 1);
    EXPECT_EQ((*db)->execAndGet("PRAGMA trusted_schema").getInt(), 0);
}

TEST_F(StoreTest, TheLogIsFoldedInOnceItHasGrownAndNobodyWaits) {
    const auto db = open_writer(path_);
    ASSERT_TRUE(db);
    Checkpointer checkpointer(**db);
    (*db)->exec("CREATE TABLE filler (bytes BLOB)");
    const std::string one_mib = "INSERT INTO filler VALUES (zeroblob(1048576))";

    (*db)->exec(one_mib);
    checkpointer.after_batch(true);
    EXPECT_GT(checkpointer.pages(), 200) << "too little to fold in";
    for (int i = 0; i < 4; ++i) {
        (*db)->exec(one_mib);
    }
    checkpointer.after_batch(false);
    (*db)->exec("DELETE FROM filler WHERE rowid = 1");
    EXPECT_GT(checkpointer.pages(), 1'000) << "others waited";
    checkpointer.after_batch(true);
    (*db)->exec("DELETE FROM filler WHERE rowid = 2");

    EXPECT_LT(checkpointer.pages(), 500) << "the log starts again";
}

// ---- a full disk, and worse -----------------------------------------------------------------------------------------

QueuedJob job(std::function<Result<void>()> work) {
    return QueuedJob{std::move(work), nullptr, {}, false};
}

TEST_F(StoreTest, AFullDiskFailsTheWholeBatchWithNoSpaceAndHealsWithRoom) {
    const auto db = open_writer(path_);
    ASSERT_TRUE(db);
    Committer committer(**db);
    Tables tables(**db);
    (*db)->exec("PRAGMA max_page_count = " + std::to_string((*db)->execAndGet("PRAGMA page_count").getInt() + 2));
    RunRow large = run_row("large");
    large.definition = std::string(100'000, 'x');
    const auto batch = [&] {
        std::vector<QueuedJob> jobs;
        jobs.push_back(job([&] { return tables.insert_run(run_row("small")); }));
        jobs.push_back(job([&] { return tables.insert_run(large); }));
        committer.run(jobs);
        return std::array{jobs[0].outcome, jobs[1].outcome};
    };

    const auto full = batch();
    (*db)->exec("PRAGMA max_page_count = 1000000");
    const auto healed = batch();

    for (const Result<void>& outcome : full) {
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code(), Errc::no_space);
    }
    for (const Result<void>& outcome : healed) {
        EXPECT_TRUE(outcome) << outcome.error().detail(); // both are new: nothing had stayed
    }
    EXPECT_EQ(committer.counters().commits, 1U);
}

TEST(StoreDeathTest, AFailedCommitEndsTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto fail_to_commit = [] {
        const auto db = open_writer(":memory:");
        sqlite3_commit_hook((*db)->getHandle(), [](void*) { return 1; }, nullptr);
        Committer committer(**db);
        Tables tables(**db);
        std::vector<QueuedJob> jobs;
        jobs.push_back(job([&] { return tables.insert_run(run_row("r1")); }));
        committer.run(jobs);
    };

    EXPECT_EXIT(fail_to_commit(), testing::KilledBySignal(SIGABRT), "");
}

// ---- kill -9 --------------------------------------------------------------------------------------------------------

asio::awaitable<Result<void>> write_and_report(Store& store, int writer, int pipe) {
    for (int i = 0;; ++i) {
        const int number = writer * 1'000'000 + i;
        const auto stored = co_await insert(store, run_row("r" + std::to_string(number)));
        if (!stored || ::write(pipe, &number, sizeof number) != sizeof number) {
            co_return Error(Errc::internal, "the parent is gone");
        }
    }
}

[[noreturn]] void write_until_killed(const std::string& path, int pipe) {
    auto store = Store::open(path);
    if (store) {
        asio::io_context io(1);
        for (int writer = 0; writer < 8; ++writer) {
            asio::co_spawn(io, write_and_report(**store, writer, pipe),
                           [](const std::exception_ptr&, const Result<void>&) { ::_exit(1); });
        }
        io.run();
    }
    ::_exit(2);
}

TEST_F(StoreTest, WhatWasAnsweredIsThereAfterKillNine) {
    for (int round = 0; round < 3; ++round) {
        const std::string path = folder_.file("round" + std::to_string(round));
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe(ends.data()), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            ::close(ends[0]);
            write_until_killed(path, ends[1]);
        }
        ::close(ends[1]);
        std::vector<std::string> answered;
        int number = 0;
        while (::read(ends[0], &number, sizeof number) == sizeof number) {
            answered.push_back("r" + std::to_string(number));
            if (answered.size() == 100U + static_cast<unsigned>(round)) {
                ::kill(child, SIGKILL);
            }
        }
        ::close(ends[0]);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        const auto store = open(path);

        for (const std::string& id : answered) {
            EXPECT_TRUE(await(find(*store, id))) << id;
        }
    }
}

} // namespace
} // namespace linarite::store
