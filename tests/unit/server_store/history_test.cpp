// Workspaces, experiments, and what clients say of runs and ask of them.
#include "rows.hpp"
#include "server/store/connection.hpp"
#include "server/store/tables.hpp"

#include <SQLiteCpp/Database.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::store {
namespace {

using core::RunStatus;
using testing::ElementsAre;
using testing::IsEmpty;
using Field = RunCondition::Field;
using Operator = RunCondition::Operator;

class HistoryTest : public testing::Test {
protected:
    void SetUp() override {
        db_.exec("PRAGMA foreign_keys = ON");
        ASSERT_TRUE(migrate(db_));
        workspace_ = tables_.list_workspaces()->front().id;
    }

    RunRow interactive(const std::string& id, const std::string& parent = "") {
        RunRow row = run_row(id);
        row.interactive = true;
        row.workspace = workspace_;
        row.parent = RunId(parent);
        row.root = RunId(parent.empty() ? id : parent);
        EXPECT_TRUE(tables_.insert_run(row));
        return row;
    }
    std::vector<std::string> found(std::optional<RunCondition> condition, bool oldest_first = true) {
        RunQuery query;
        query.workspace = workspace_;
        query.condition = std::move(condition);
        query.oldest_first = oldest_first;
        const auto rows = tables_.query_runs(query);
        EXPECT_TRUE(rows) << rows.error().detail();
        std::vector<std::string> ids;
        for (const RunRow& row : *rows) {
            ids.push_back(row.id.str());
        }
        return ids;
    }
    static RunCondition compare(Field field, Operator op, std::optional<std::string> value, std::string key = "") {
        RunCondition condition;
        condition.field = field;
        condition.op = op;
        condition.value = std::move(value);
        condition.key = std::move(key);
        return condition;
    }

    SQLite::Database db_{":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    Tables tables_{db_};
    std::string workspace_;
};

TEST_F(HistoryTest, OneWorkspaceIsThereFromTheStart) {
    const auto rows = tables_.list_workspaces();

    ASSERT_EQ(rows->size(), 1U);
    EXPECT_EQ(rows->front().name, "linarite");
    EXPECT_EQ(rows->front().id.size(), 36U);
}

TEST_F(HistoryTest, NamesOfWorkspacesDifferInMoreThanCase) {
    ASSERT_TRUE(tables_.put_workspace({"id-1", "sub", "Group", "Name", from_ms(1)}));

    EXPECT_EQ(tables_.put_workspace({"id-2", "SUB", "group", "NAME", from_ms(2)}).error().code(), Errc::conflict);
    EXPECT_TRUE(tables_.put_workspace({"id-2", "sub", "group", "other", from_ms(2)}));
}

TEST_F(HistoryTest, ARunMakesItsExperimentAndGetsTheNextNumberOfIt) {
    interactive("a");
    interactive("b");

    const auto experiments = tables_.list_experiments(workspace_);

    ASSERT_EQ(experiments->size(), 1U);
    EXPECT_EQ(tables_.find_run(RunId("a"))->number, 1);
    EXPECT_EQ(tables_.find_run(RunId("b"))->number, 2);
    EXPECT_EQ(tables_.find_run(RunId("b"))->experiment_id, experiments->front().id);
    EXPECT_EQ(tables_.ensure_experiment(workspace_, run_row("a").experiment, from_ms(9))->id, experiments->front().id);
}

TEST_F(HistoryTest, AnExperimentKeepsWhatIsChangedOfIt) {
    auto row = tables_.ensure_experiment(workspace_, "e", from_ms(5));
    ASSERT_TRUE(row);
    row->description = "words";
    row->tags = {{"k", "v"}, {"bare", std::nullopt}};
    row->archived = from_ms(7);

    ASSERT_TRUE(tables_.update_experiment(*row));

    const auto again = tables_.find_experiment_by_id(workspace_, row->id);
    EXPECT_EQ(again->description, "words");
    EXPECT_EQ(again->tags, row->tags);
    EXPECT_EQ(again->archived, from_ms(7));
    EXPECT_EQ(tables_.find_experiment("another workspace", "e").error().code(), Errc::not_found);
}

TEST_F(HistoryTest, AnInteractiveRunFollowsItsClientUntilItEnds) {
    interactive("r");

    ASSERT_TRUE(tables_.move_interactive_run(RunId("r"), RunStatus::running, from_ms(2000), "start"));
    ASSERT_TRUE(tables_.move_interactive_run(RunId("r"), RunStatus::running, from_ms(2500), "again"));
    ASSERT_TRUE(tables_.move_interactive_run(RunId("r"), RunStatus::completed, from_ms(3000), "done"));
    ASSERT_TRUE(tables_.move_interactive_run(RunId("r"), RunStatus::failed, from_ms(4000), "late"));

    const auto row = tables_.find_run(RunId("r"));
    EXPECT_EQ(row->status, RunStatus::completed);
    EXPECT_EQ(row->started, from_ms(2000));
    EXPECT_EQ(row->ended, from_ms(3000));
    EXPECT_EQ(tables_.events(RunId("r"))->size(), 3U);
    EXPECT_THAT(*tables_.active_runs(), IsEmpty());
}

TEST_F(HistoryTest, AnInteractiveRunIsNeverTheSchedulers) {
    interactive("r");

    EXPECT_THAT(*tables_.active_runs(), IsEmpty());
}

TEST_F(HistoryTest, TheStatusOfAManagedRunIsNotItsClients) {
    ASSERT_TRUE(tables_.insert_run(run_row("r")));

    const auto moved = tables_.move_interactive_run(RunId("r"), RunStatus::completed, from_ms(1), "");

    EXPECT_EQ(moved.error().code(), Errc::conflict);
    EXPECT_EQ(tables_.find_run(RunId("r"))->status, RunStatus::not_started);
}

TEST_F(HistoryTest, TagsMayChangeAndPropertiesMayNot) {
    interactive("r");
    RunPatch patch;
    patch.run = RunId("r");
    patch.tags = {{"a", "1"}, {"b", std::nullopt}};
    patch.properties = {{"p", "x"}};
    patch.display_name = "shown";
    patch.warning = R"({"message":"m","source":"s"})";
    ASSERT_TRUE(tables_.patch_run(patch));

    RunPatch more;
    more.run = RunId("r");
    more.tags = {{"a", "2"}};
    more.removed_tags = {"b"};
    more.properties = {{"p", "x"}};
    ASSERT_TRUE(tables_.patch_run(more));
    more.properties = {{"p", "y"}};
    more.tags = {{"a", "3"}};
    EXPECT_EQ(tables_.patch_run(more).error().code(), Errc::conflict);

    const auto row = tables_.find_run(RunId("r"));
    EXPECT_EQ(row->tags, (Labels{{"a", "2"}}));
    EXPECT_EQ(row->properties, (Labels{{"p", "x"}}));
    EXPECT_EQ(row->display_name, "shown");
    EXPECT_EQ(row->warnings, R"([{"message":"m","source":"s"}])");
}

TEST_F(HistoryTest, QueriesFindRunsByWhatTheyAreAndWhoseTheyAre) {
    interactive("a");
    interactive("b", "a");
    interactive("c", "a");
    tables_.move_interactive_run(RunId("b"), RunStatus::running, from_ms(5), "");

    EXPECT_THAT(found(std::nullopt), ElementsAre("a", "b", "c"));
    EXPECT_THAT(found(std::nullopt, false), ElementsAre("c", "b", "a"));
    EXPECT_THAT(found(compare(Field::parent, Operator::eq, std::nullopt)), ElementsAre("a"));
    EXPECT_THAT(found(compare(Field::parent, Operator::eq, "a")), ElementsAre("b", "c"));
    EXPECT_THAT(found(compare(Field::status, Operator::eq, "Running")), ElementsAre("b"));
    RunCondition below;
    below.kind = RunCondition::Kind::all;
    below.parts = {compare(Field::root, Operator::eq, "a"), compare(Field::id, Operator::ne, "a")};
    EXPECT_THAT(found(below), ElementsAre("b", "c"));
    EXPECT_THAT(found(compare(Field::never, Operator::eq, "x")), IsEmpty());
}

TEST_F(HistoryTest, ARunKeepsTwoHundredWarningsAndNoMore) {
    interactive("a");
    RunPatch patch;
    patch.run = RunId("a");
    for (int i = 0; i < 205; ++i) {
        patch.warning = R"({"source":"script","message":")" + std::to_string(i) + "\"}";
        ASSERT_TRUE(tables_.patch_run(patch));
    }

    const std::string warnings = tables_.find_run(RunId("a"))->warnings;

    EXPECT_THAT(warnings, testing::HasSubstr(R"("message":"199")"));
    EXPECT_THAT(warnings, testing::Not(testing::HasSubstr(R"("message":"200")")));
}

TEST_F(HistoryTest, AnUploadIsForgottenAfterAWeek) {
    const Time now = from_ms(1'700'000'000'000);
    ASSERT_TRUE(tables_.put_blob_upload({"old", "aa", 1, now - std::chrono::hours(8 * 24)}));
    ASSERT_TRUE(tables_.put_blob_upload({"younger", "bb", 1, now - std::chrono::hours(6 * 24)}));
    ASSERT_TRUE(tables_.put_blob_upload({"new", "cc", 1, now}));

    EXPECT_EQ(tables_.find_blob_upload("old").error().code(), Errc::not_found);
    EXPECT_TRUE(tables_.find_blob_upload("younger"));
}

TEST_F(HistoryTest, ALabelThatARunLacksMakesEveryComparisonFalse) {
    interactive("with");
    interactive("bare");
    RunPatch patch;
    patch.run = RunId("with");
    patch.tags = {{"a.b\"c", "v"}, {"null", std::nullopt}};
    ASSERT_TRUE(tables_.patch_run(patch));

    EXPECT_THAT(found(compare(Field::tag, Operator::eq, "v", "a.b\"c")), ElementsAre("with"));
    EXPECT_THAT(found(compare(Field::tag, Operator::ne, "w", "a.b\"c")), ElementsAre("with"));
    EXPECT_THAT(found(compare(Field::tag, Operator::ne, std::nullopt, "a.b\"c")), ElementsAre("with"));
    EXPECT_THAT(found(compare(Field::tag, Operator::eq, std::nullopt, "a.b\"c")), IsEmpty());
    EXPECT_THAT(found(compare(Field::tag, Operator::eq, std::nullopt, "null")), ElementsAre("with"));
    EXPECT_THAT(found(compare(Field::tag, Operator::ne, "v", "none")), IsEmpty());
}

TEST_F(HistoryTest, PagesOfAQueryFollowEachOther) {
    for (const char* id : {"a", "b", "c", "d", "e"}) {
        interactive(id);
    }
    RunQuery query;
    query.workspace = workspace_;
    query.oldest_first = true;
    query.limit = 2;
    query.skip = 2;

    const auto rows = tables_.query_runs(query);

    ASSERT_EQ(rows->size(), 2U);
    EXPECT_EQ(rows->front().id.str(), "c");
}

TEST_F(HistoryTest, ARunKnowsTheNewestOneBeforeItWithTheSameEnvironment) {
    const std::string key(64, 'c');
    RunEnvironmentRow environment{key, "pip", "3.11.2", "/envs/python", "", ""};
    for (const auto& [id, minute] : {std::pair{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}) {
        ASSERT_TRUE(tables_.insert_run(run_row(id, std::chrono::minutes(minute))));
    }
    ASSERT_TRUE(tables_.put_run_environment(RunId("a"), environment));
    ASSERT_TRUE(tables_.put_run_environment(RunId("b"), environment));
    ASSERT_TRUE(tables_.put_run_environment(RunId("d"), environment));
    EXPECT_EQ(tables_.find_run(RunId("b"))->environment, environment);
    EXPECT_EQ(tables_.find_run(RunId("c"))->environment, std::nullopt);

    const auto same = tables_.find_earlier_with_environment(*tables_.find_run(RunId("d")));

    ASSERT_TRUE(same) << same.error().detail();
    ASSERT_TRUE(*same);
    EXPECT_EQ((*same)->id.str(), "b");
    EXPECT_EQ(*tables_.find_earlier_with_environment(*tables_.find_run(RunId("a"))), std::nullopt);
    EXPECT_EQ(*tables_.find_earlier_with_environment(*tables_.find_run(RunId("c"))), std::nullopt);
    RunFilter filter;
    filter.environment = "ccc";
    EXPECT_EQ(tables_.list_runs(filter)->size(), 3U);
    filter.environment = "ccd";
    EXPECT_EQ(tables_.list_runs(filter)->size(), 0U);
}

TEST_F(HistoryTest, InterpretersAsTheyWereFoundAreNobodysSameEnvironment) {
    for (const char* id : {"a", "b"}) {
        ASSERT_TRUE(tables_.insert_run(run_row(id, std::chrono::minutes(*id))));
        ASSERT_TRUE(tables_.put_run_environment(RunId(id), {"", "plain", "3.11.2", "/usr/bin/python3", "", ""}));
    }

    EXPECT_EQ(*tables_.find_earlier_with_environment(*tables_.find_run(RunId("b"))), std::nullopt);
    EXPECT_EQ(tables_.find_run(RunId("b"))->environment->provider, "plain");
    EXPECT_EQ(tables_.put_run_environment(RunId("z"), {}).error().code(), Errc::not_found);
}

TEST(Migration, TheFourthStepKeepsRunsWhoseEnvironmentNobodyNoted) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, 3));
    db.exec("INSERT INTO runs (id, experiment, target, status, sequence, attempt, fence, node_count, "
            "processes_per_node, priority, max_attempts, snapshot, definition, body_hash, submitted_by, created, "
            "changed, reason, workspace, number, root) SELECT 'old', 'e', 't', 'Completed', 4, 1, 3, 1, 1, 0, 1, 's', "
            "'{}', 'h', 'me', 1000, 2000, 'done', id, 1, 'old' FROM workspaces");

    ASSERT_TRUE(migrate(db));

    Tables tables(db);
    const auto run = tables.find_run(RunId("old"));
    ASSERT_TRUE(run) << run.error().detail();
    EXPECT_EQ(run->environment, std::nullopt);
    EXPECT_EQ(run->reason, "done");
    // what a run's end latched is no obstacle: the agent may say it late
    ASSERT_TRUE(tables.put_run_environment(RunId("old"), {std::string(64, 'c'), "pip", "3.11.2", "/p", "", ""}));
    EXPECT_EQ(db.execAndGet("SELECT environment FROM run_history").getString(), std::string(64, 'c'));
}

TEST(Migration, TheSixthStepKeepsTheRunsOfTheFifthAndTakesSecrets) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, 5));
    db.exec("INSERT INTO runs (id, experiment, target, status, sequence, attempt, fence, node_count, "
            "processes_per_node, priority, max_attempts, snapshot, definition, body_hash, submitted_by, created, "
            "changed, reason) VALUES ('r', 'e', 't', 'Queued', 2, 0, 0, 1, 1, 0, 1, 's', '{}', 'h', 'me', 3, 3, 'w')");

    ASSERT_TRUE(migrate(db));

    Tables tables(db);
    EXPECT_EQ(tables.active_runs()->size(), 1U);
    EXPECT_TRUE(tables.run_secrets()->empty());
    db.exec("INSERT INTO run_secrets (run, registry_password) VALUES ('r', 'sealed')");
    EXPECT_EQ(tables.run_secrets()->at(RunId("r")), "sealed");
}

TEST(Migration, TheThirdStepKeepsTheNodesOfTheSecond) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, 2));
    db.exec("INSERT INTO nodes (name, secret_hash, incarnation, boot_id, host_id, address, version, cores, "
            "memory_bytes, gpus, slots, labels, drained, joined, last_seen) "
            "VALUES ('n', 's', 1, 'b', 'h', 'a', 'v', 2, 3, 0, 1, '[]', 0, 1000, 2000)");

    ASSERT_TRUE(migrate(db));

    Tables tables(db);
    auto node = tables.find_node(NodeName("n"));
    ASSERT_TRUE(node) << node.error().detail();
    EXPECT_EQ(node->host_id, "h");
    EXPECT_EQ(node->shared_dir, "");
    node->shared_dir = "s";
    ASSERT_TRUE(tables.put_node(*node));
    EXPECT_EQ(tables.find_node(NodeName("n"))->shared_dir, "s");
    EXPECT_TRUE(tables.gang_file_versions()->empty());
}

TEST(Migration, TheSecondStepKeepsRunsOfTheFirst) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, 1));
    const std::string columns =
        "INSERT INTO runs (id, experiment, target, status, sequence, attempt, fence, node_count, "
        "processes_per_node, priority, max_attempts, snapshot, definition, body_hash, "
        "submitted_by, created, changed, reason) VALUES ";
    db.exec(columns + "('old', 'e', 't', 'Completed', 4, 1, 3, 1, 1, 0, 1, 's', '{}', 'h', 'me', 1000, 2000, 'done'), "
                      "('new', 'e', 't', 'Queued', 2, 0, 0, 1, 1, 0, 1, 's', '{}', 'h', 'me', 3000, 3000, 'waits')");

    ASSERT_TRUE(migrate(db));

    Tables tables(db);
    const auto old_run = tables.find_run(RunId("old"));
    ASSERT_TRUE(old_run) << old_run.error().detail();
    EXPECT_EQ(old_run->number, 1);
    EXPECT_EQ(old_run->root.str(), "old");
    EXPECT_EQ(old_run->workspace, tables.list_workspaces()->front().id);
    EXPECT_EQ(old_run->experiment_id, tables.find_experiment(old_run->workspace, "e")->id);
    EXPECT_EQ(tables.find_run(RunId("new"))->number, 2);
    ASSERT_EQ(tables.active_runs()->size(), 1U);
    EXPECT_EQ(tables.active_runs()->front().id.str(), "new");
    EXPECT_EQ(db.execAndGet("SELECT count(*) FROM run_history WHERE workspace = 'linarite'").getInt(), 2);
}

} // namespace
} // namespace linarite::store
