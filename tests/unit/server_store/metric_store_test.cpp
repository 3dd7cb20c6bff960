#include "server/store/connection.hpp"
#include "server/store/metric_store.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <SQLiteCpp/Statement.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <limits>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const RunId run("r1");

PointRow point(const std::string& id, double value) {
    PointRow row;
    row.id = id;
    row.at = from_ms(1'700'000'000'123);
    row.value = value;
    row.data = "{\"acc\":" + std::to_string(value) + "}";
    return row;
}

NewPoints scalar(std::vector<PointRow> points, const std::string& type = "double") {
    return {"acc", "scalar", {{"acc", type}}, "acc", std::move(points)};
}

class MetricTablesTest : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(migrate(db_, metric_schema())); }

    /// What is wrong with each.
    std::vector<std::string> append(const std::vector<NewPoints>& batch) {
        const auto wrong = tables_.append(run, batch);
        EXPECT_TRUE(wrong) << (wrong ? "" : wrong.error().detail());
        return wrong ? *wrong : std::vector<std::string>{"failed"};
    }
    SeriesPoints read(const std::string& name, const PointRange& range = {}) {
        const auto found = tables_.read(run, name, range);
        EXPECT_TRUE(found) << (found ? "" : found.error().detail());
        return found ? *found : SeriesPoints{};
    }
    static std::vector<std::string> ids(const SeriesPoints& found) {
        std::vector<std::string> out;
        out.reserve(found.points.size());
        for (const PointRow& row : found.points) {
            out.push_back(row.id);
        }
        return out;
    }

    SQLite::Database db_{":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    MetricTables tables_{db_};
};

TEST_F(MetricTablesTest, PointsComeBackInTheOrderOfTheirArrival) {
    PointRow second = point("b", 0.25);
    second.step = 7;

    EXPECT_THAT(append({scalar({point("a", 0.5)}), scalar({second})}), ElementsAre("", ""));
    EXPECT_THAT(append({scalar({point("c", 0.75)})}), ElementsAre(""));
    const SeriesPoints found = read("acc");

    EXPECT_THAT(ids(found), ElementsAre("a", "b", "c"));
    EXPECT_EQ(found.series.kind, "scalar");
    EXPECT_EQ(found.series.points, 3);
    EXPECT_EQ(found.points.at(1).step, 7);
    EXPECT_EQ(found.points.at(1).value, 0.25);
    EXPECT_EQ(found.points.at(1).data, "") << "the value says it";
    EXPECT_EQ(found.points.at(2).sequence, 3);
    EXPECT_EQ(found.points.at(0).at, from_ms(1'700'000'000'123));
    EXPECT_FALSE(found.more);
}

TEST_F(MetricTablesTest, ARepeatedCallStoresNothingTwice) {
    const std::vector<NewPoints> batch{scalar({point("a", 1), point("b", 2)})};

    append(batch);
    EXPECT_THAT(append(batch), ElementsAre(""));
    append({scalar({point("b", 2), point("c", 3)})});

    EXPECT_THAT(ids(read("acc")), ElementsAre("a", "b", "c"));
    EXPECT_EQ(db_.execAndGet("SELECT points FROM totals").getInt(), 3);
    EXPECT_EQ(read("acc").points.at(2).sequence, 3) << "no gap: the last is found by the count";
}

TEST_F(MetricTablesTest, AnotherKindIsRefusedForThatMetricAlone) {
    append({scalar({point("a", 1)})});

    const auto wrong = append({{"acc", "list", {{"acc", "double"}}, "acc", {point("b", 2)}},
                               {"loss", "list", {{"loss", "double"}}, "loss", {point("c", 3)}},
                               scalar({point("d", 4)})});

    EXPECT_THAT(wrong, ElementsAre("it is a scalar since its first use, not a list", "", ""));
    EXPECT_THAT(ids(read("acc")), ElementsAre("a", "d"));
    EXPECT_THAT(ids(read("loss")), ElementsAre("c"));
}

TEST_F(MetricTablesTest, IntegersWidenToDoublesAndNothingElseDoes) {
    append({scalar({point("a", 1)}, "int")});
    EXPECT_EQ(read("acc").series.columns, (ColumnTypes{{"acc", "int"}}));

    EXPECT_THAT(append({scalar({point("b", 1.5)}, "double")}), ElementsAre(""));
    EXPECT_THAT(append({scalar({point("c", 2)}, "int")}), ElementsAre(""));
    EXPECT_THAT(append({scalar({point("d", 2)}, "string")}), ElementsAre(HasSubstr("has type double")));

    EXPECT_EQ(read("acc").series.columns, (ColumnTypes{{"acc", "double"}}));
    EXPECT_THAT(ids(read("acc")), ElementsAre("a", "b", "c"));
}

TEST(MergeColumns, NoneTakesAnyTypeAndGivesWayToAll) {
    ColumnTypes columns{{"a", "none"}, {"b", "string"}};

    EXPECT_EQ(merge_columns(columns, {{"a", "int"}, {"b", "none"}, {"c", "Artifact"}}), "");

    EXPECT_EQ(columns, (ColumnTypes{{"a", "int"}, {"b", "string"}, {"c", "Artifact"}}));
}

TEST(MergeColumns, TooManyChangeNothing) {
    ColumnTypes columns{{"a", "int"}};
    ColumnTypes incoming;
    for (std::size_t i = 0; i < metric_columns; ++i) {
        incoming["c" + std::to_string(i)] = "int";
    }

    EXPECT_THAT(merge_columns(columns, incoming), HasSubstr("more than"));
    EXPECT_EQ(columns.size(), 1U);
}

TEST_F(MetricTablesTest, WhatIsNoNumberOfTheValueColumnKeepsItsText) {
    PointRow nan = point("a", 0);
    nan.value = std::nullopt;
    nan.data = R"({"acc":NaN})";
    append({scalar({nan, point("b", std::numeric_limits<double>::infinity())})});
    PointRow row = point("c", 5);
    row.data = R"({"err":5})";
    append({{"acc", "scalar", {{"err", "int"}}, "err", {row}}});

    const SeriesPoints found = read("acc");

    EXPECT_EQ(found.points.at(0).data, R"({"acc":NaN})");
    EXPECT_FALSE(found.points.at(0).value);
    EXPECT_EQ(found.points.at(1).value, std::numeric_limits<double>::infinity());
    EXPECT_EQ(found.points.at(2).data, R"({"err":5})") << "values stand for 'acc' alone";
}

TEST_F(MetricTablesTest, APageEndsAtItsRowsOrItsBytesAndSaysThatThereIsMore) {
    std::vector<PointRow> points;
    for (int i = 0; i < 10; ++i) {
        PointRow row = point("p" + std::to_string(i), i);
        row.value = std::nullopt;
        row.data = std::string(100, ' ');
        points.push_back(row);
    }
    append({scalar(points)});

    const SeriesPoints rows = read("acc", {.after = 2, .limit = 3});
    const SeriesPoints bytes = read("acc", {.bytes = 250});
    const SeriesPoints last = read("acc", {.after = 8, .limit = 2});

    EXPECT_THAT(ids(rows), ElementsAre("p2", "p3", "p4"));
    EXPECT_TRUE(rows.more);
    EXPECT_EQ(bytes.points.size(), 3U);
    EXPECT_TRUE(bytes.more);
    EXPECT_THAT(ids(last), ElementsAre("p8", "p9"));
    EXPECT_FALSE(last.more);
}

TEST_F(MetricTablesTest, ARangeOfTimesIsInclusive) {
    std::vector<PointRow> points;
    for (int i = 0; i < 5; ++i) {
        points.push_back(point("p" + std::to_string(i), i));
        points.back().at = from_ms(i);
    }
    append({scalar(points)});

    const SeriesPoints found = read("acc", {.from = from_ms(1), .to = from_ms(3)});

    EXPECT_THAT(ids(found), ElementsAre("p1", "p2", "p3"));
}

TEST_F(MetricTablesTest, PointsThatCameOutOfOrderAreReadInTheOrderOfTheirTimes) {
    std::vector<PointRow> points;
    for (const int us : {7, 8, 9, 1, 2, 3, 3}) { // two batches, sent side by side
        points.push_back(point("p" + std::to_string(points.size()), us));
        points.back().at = PreciseTime(std::chrono::microseconds(us));
    }
    append({scalar(points)});

    std::vector<std::string> seen;
    PointRange range{.order = PointOrder::time, .after_time = PreciseTime::min(), .limit = 3};
    for (bool more = true; more;) {
        const SeriesPoints page = read("acc", range);
        for (const PointRow& row : page.points) {
            seen.push_back(row.id);
        }
        range.after = page.points.back().sequence;
        range.after_time = page.points.back().at;
        more = page.more;
    }

    EXPECT_THAT(seen, ElementsAre("p3", "p4", "p5", "p6", "p0", "p1", "p2"));
    EXPECT_THAT(ids(read("acc")), ElementsAre("p0", "p1", "p2", "p3", "p4", "p5", "p6"));
}

TEST_F(MetricTablesTest, SeriesAreListedInTheOrderOfTheirFirstUseWithTheirLastPoint) {
    append({{"z", "scalar", {{"z", "double"}}, "z", {point("a", 1), point("b", 2)}}, scalar({point("c", 3)})});
    EXPECT_TRUE(tables_.append(RunId("r2"), {scalar({point("d", 4)})}));

    const auto all = tables_.list(run, 0, 10);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2U);
    const auto rest = tables_.list(run, all->at(0).series.id, 10);

    EXPECT_EQ(all->at(0).series.name, "z");
    EXPECT_EQ(all->at(0).last->value, 2);
    EXPECT_EQ(all->at(1).series.name, "acc");
    EXPECT_EQ(all->at(1).series.points, 1);
    EXPECT_EQ(rest->size(), 1U);
    EXPECT_EQ(tables_.read(run, "nothing", {}).error().code(), Errc::not_found);
}

TEST_F(MetricTablesTest, ARunKeepsSoManyRowsAndNoMore) {
    append({scalar({point("a", 1)})});
    db_.exec("UPDATE totals SET points = " + std::to_string(metric_rows_per_run - 1));

    const auto wrong = append({scalar({point("b", 2), point("c", 3)})});
    const auto others = tables_.append(RunId("r2"), {scalar({point("b", 2)})});

    EXPECT_THAT(wrong, ElementsAre(HasSubstr("10000000 metric rows")));
    EXPECT_THAT(ids(read("acc")), ElementsAre("a", "b"));
    EXPECT_THAT(*others, ElementsAre(""));
}

TEST_F(MetricTablesTest, PeopleReadAView) {
    PointRow nan = point("b", 0);
    nan.value = std::nullopt;
    nan.data = R"({"acc":NaN})";
    nan.step = 3;
    append({scalar({point("a", 0.5), nan})});

    SQLite::Statement rows(db_, "SELECT run, metric, step, time_utc, value FROM metric_history");

    ASSERT_TRUE(rows.executeStep());
    EXPECT_EQ(rows.getColumn(0).getString(), "r1");
    EXPECT_EQ(rows.getColumn(1).getString(), "acc");
    EXPECT_TRUE(rows.getColumn(2).isNull());
    EXPECT_EQ(rows.getColumn(3).getString(), "2023-11-14 22:13:20.123");
    EXPECT_EQ(rows.getColumn(4).getDouble(), 0.5);
    ASSERT_TRUE(rows.executeStep());
    EXPECT_EQ(rows.getColumn(2).getInt(), 3);
    EXPECT_EQ(rows.getColumn(4).getString(), R"({"acc":NaN})");
    EXPECT_EQ(db_.execAndGet("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                             "AND NOT strict AND name NOT LIKE 'sqlite_%'")
                  .getInt(),
              0);
}

TEST(MetricSchema, TimesOfAnOlderFileBecomeMicroseconds) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, metric_schema(), 1));
    db.exec("INSERT INTO series (run, name, kind, columns, value_column, points) VALUES ('r1', 'acc', 'scalar', "
            "'{\"acc\":\"double\"}', 'acc', 1)");
    db.exec("INSERT INTO points (series, sequence, id, time, value) VALUES (1, 1, 'a', 1700000000123, 0.5)");

    ASSERT_TRUE(migrate(db, metric_schema()));

    MetricTables tables(db);
    const auto found = tables.read(run, "acc", {.order = PointOrder::time, .after_time = PreciseTime::min()});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->points.at(0).at, from_ms(1'700'000'000'123));
    EXPECT_EQ(db.execAndGet("SELECT time_utc FROM metric_history").getString(), "2023-11-14 22:13:20.123");
}

// ---- the store ------------------------------------------------------------------------------------------------------

class MetricStoreTest : public testing::Test {
protected:
    static std::unique_ptr<MetricStore> open(const std::string& path) {
        auto store = MetricStore::open(path);
        EXPECT_TRUE(store) << (store ? "" : store.error().detail());
        return store ? std::move(*store) : nullptr;
    }
    Result<SeriesPoints> read(MetricStore& store) { return test::run(io_, store.read(run, "acc", PointRange{})); }

    asio::io_context io_;
    test::Scratch folder_;
    std::string path_ = (folder_ / "metrics.db").string();
};

TEST_F(MetricStoreTest, AnAnsweredAppendIsReadAtOnceAndAfterReopening) {
    for (const std::string& path : {std::string(":memory:"), path_}) {
        const auto store = open(path);
        EXPECT_TRUE(test::run(io_, store->append(run, {scalar({point("a", 1)})})));
        EXPECT_EQ(read(*store)->points.size(), 1U);
    }

    EXPECT_EQ(read(*open(path_))->points.size(), 1U);
    const auto db = open_writer(path_, metric_schema());
    EXPECT_EQ((*db)->execAndGet("PRAGMA synchronous").getInt(), 1); // NORMAL
    EXPECT_EQ((*db)->execAndGet("PRAGMA journal_mode").getString(), "wal");
}

TEST_F(MetricStoreTest, ABackupIsAWholeDatabase) {
    const auto store = open(path_);
    EXPECT_TRUE(test::run(io_, store->append(run, {scalar({point("a", 1)})})));
    const std::string copy = (folder_ / "copy.db").string();

    EXPECT_TRUE(test::run(io_, store->backup(copy)));
    EXPECT_TRUE(test::run(io_, store->append(run, {scalar({point("b", 2)})})));

    EXPECT_EQ(read(*open(copy))->points.size(), 1U);
}

// ---- kill -9 --------------------------------------------------------------------------------------------------------

asio::awaitable<Result<void>> append_and_report(MetricStore& store, int writer, int pipe) {
    for (int i = 0;; ++i) {
        const int number = writer * 1'000'000 + i;
        std::vector<NewPoints> batch{scalar({point("p" + std::to_string(number), i)})};
        const auto stored = co_await store.append(run, std::move(batch));
        if (!stored || ::write(pipe, &number, sizeof number) != sizeof number) {
            co_return Error(Errc::internal, "the parent is gone");
        }
    }
}

[[noreturn]] void append_until_killed(const std::string& path, int pipe) {
    auto store = MetricStore::open(path);
    if (store) {
        asio::io_context io(1);
        for (int writer = 0; writer < 8; ++writer) {
            asio::co_spawn(io, append_and_report(**store, writer, pipe),
                           [](const std::exception_ptr&, const Result<void>&) { ::_exit(1); });
        }
        io.run();
    }
    ::_exit(1);
}

TEST_F(MetricStoreTest, WhatWasAnsweredOutlivesAKillAndIsThereOnce) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        append_until_killed(path_, pipe[1]);
    }
    ::close(pipe[1]);
    std::vector<std::string> answered;
    int number = 0;
    while (answered.size() < 500 && ::read(pipe[0], &number, sizeof number) == sizeof number) {
        answered.push_back("p" + std::to_string(number));
    }
    ::kill(child, SIGKILL);
    while (::read(pipe[0], &number, sizeof number) == sizeof number) {
        answered.push_back("p" + std::to_string(number));
    }
    ::close(pipe[0]);
    ::waitpid(child, nullptr, 0);
    ASSERT_GE(answered.size(), 500U);

    const auto store = open(path_);
    for (const std::string& id : answered) { // as a client that has lost its answers would
        EXPECT_TRUE(test::run(io_, store->append(run, {scalar({point(id, 0)})})));
    }
    const auto found = test::run(io_, store->read(run, "acc", PointRange{.limit = 1'000'000}));

    std::map<std::string, int> seen;
    for (const PointRow& row : found->points) {
        ++seen[row.id];
    }
    for (const std::string& id : answered) {
        EXPECT_EQ(seen[id], 1) << id;
    }
    EXPECT_EQ(found->series.points, static_cast<std::int64_t>(found->points.size()));
    EXPECT_LE(found->points.size(), answered.size() + 8) << "each writer had at most one on its way";
}

} // namespace
} // namespace linarite::store
