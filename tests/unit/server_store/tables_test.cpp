#include "rows.hpp"
#include "server/store/tables.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::store {
namespace {

using core::RunStatus;
using testing::ElementsAre;
using testing::IsEmpty;

class TablesTest : public testing::Test {
protected:
    void SetUp() override {
        db_.exec("PRAGMA foreign_keys = ON");
        ASSERT_TRUE(migrate(db_));
    }

    std::vector<std::string> listed(const RunFilter& filter) {
        std::vector<std::string> ids;
        const auto rows = tables_.list_runs(filter);
        EXPECT_TRUE(rows) << rows.error().detail();
        for (const RunRow& row : *rows) {
            ids.push_back(row.id.str());
        }
        return ids;
    }
    void pass(const std::string& id, const std::vector<RunStatus>& path) {
        std::int64_t sequence = 1;
        RunStatus from = RunStatus::not_started;
        for (const RunStatus to : path) {
            const auto moved = tables_.move_run(move(id, from, to, ++sequence));
            ASSERT_TRUE(moved) << moved.error().detail();
            from = to;
        }
    }

    SQLite::Database db_{":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    Tables tables_{db_};
};

// ---- runs -----------------------------------------------------------------------------------------------------------

TEST_F(TablesTest, ARunComesBackAsItWasInserted) {
    const RunRow row = run_row("r1");

    ASSERT_TRUE(tables_.insert_run(row));
    const auto found = tables_.find_run(RunId("r1"));

    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, row.id);
    EXPECT_EQ(found->experiment, row.experiment);
    EXPECT_EQ(found->target, row.target);
    EXPECT_EQ(found->status, RunStatus::not_started);
    EXPECT_EQ(found->sequence, 1);
    EXPECT_EQ(found->attempt, 0);
    EXPECT_EQ(found->fence, 0U);
    EXPECT_EQ(found->node_count, 2);
    EXPECT_EQ(found->processes_per_node, 4);
    EXPECT_EQ(found->priority, 3);
    EXPECT_EQ(found->max_attempts, 2);
    EXPECT_EQ(found->max_duration, Millis(60'000));
    EXPECT_EQ(found->snapshot, row.snapshot);
    EXPECT_EQ(found->definition, row.definition);
    EXPECT_EQ(found->body_hash, row.body_hash);
    EXPECT_EQ(found->submitted_by, "ada");
    EXPECT_EQ(found->created, row.created);
    EXPECT_EQ(found->changed, row.created);
    EXPECT_EQ(found->reason, "submitted");
    EXPECT_FALSE(found->started || found->ended || found->outcome);
    EXPECT_THAT(found->nodes, IsEmpty());
}

TEST_F(TablesTest, ARunThatExistsIsAConflictAndItsRowStays) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    RunRow other = run_row("r1");
    other.experiment = "other";

    const auto again = tables_.insert_run(other);

    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Errc::conflict);
    EXPECT_NE(again.error().detail().find("'r1'"), std::string::npos);
    EXPECT_EQ(tables_.find_run(RunId("r1"))->experiment, "digits");
}

TEST_F(TablesTest, AnUnknownRunIsNotFound) {
    EXPECT_EQ(tables_.find_run(RunId("r1")).error().code(), Errc::not_found);
}

TEST_F(TablesTest, ARunWithoutALimitHasNone) {
    RunRow row = run_row("r1");
    row.max_duration.reset();
    ASSERT_TRUE(tables_.insert_run(row));

    EXPECT_FALSE(tables_.find_run(RunId("r1"))->max_duration);
}

TEST_F(TablesTest, AMoveChangesTheRowAndAppendsAnEvent) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));

    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::not_started, RunStatus::queued, 2)));

    const auto found = tables_.find_run(RunId("r1"));
    EXPECT_EQ(found->status, RunStatus::queued);
    EXPECT_EQ(found->sequence, 2);
    EXPECT_EQ(found->attempt, 1);
    EXPECT_EQ(found->fence, 7U);
    EXPECT_EQ(found->changed, t0 + Millis(2000));
    EXPECT_EQ(found->reason, "because 2");
    const auto events = tables_.events(RunId("r1"));
    ASSERT_EQ(events->size(), 2U);
    EXPECT_EQ(events->at(0).sequence, 1);
    EXPECT_EQ(events->at(0).status, RunStatus::not_started);
    EXPECT_EQ(events->at(0).at, t0);
    EXPECT_EQ(events->at(0).reason, "submitted");
    EXPECT_EQ(events->at(1).run, RunId("r1"));
    EXPECT_EQ(events->at(1).sequence, 2);
    EXPECT_EQ(events->at(1).status, RunStatus::queued);
    EXPECT_EQ(events->at(1).attempt, 1);
    EXPECT_EQ(events->at(1).fence, 7U);
    EXPECT_EQ(events->at(1).reason, "because 2");
}

TEST_F(TablesTest, AMoveFromAnotherStatusOrSequenceIsAConflictAndWritesNothing) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::not_started, RunStatus::queued, 2)));

    const auto again = tables_.move_run(move("r1", RunStatus::not_started, RunStatus::queued, 3));
    const auto skipped = tables_.move_run(move("r1", RunStatus::queued, RunStatus::provisioning, 4));
    const auto repeated = tables_.move_run(move("r1", RunStatus::queued, RunStatus::provisioning, 2));
    const auto unknown = tables_.move_run(move("r2", RunStatus::queued, RunStatus::provisioning, 2));

    for (const auto& refused : {again, skipped, repeated, unknown}) {
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Errc::conflict);
    }
    EXPECT_EQ(tables_.find_run(RunId("r1"))->status, RunStatus::queued);
    EXPECT_EQ(tables_.events(RunId("r1"))->size(), 2U);
}

TEST_F(TablesTest, StartedIsTheFirstRunningAndEndedTheTerminalMove) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));

    pass("r1", {RunStatus::running, RunStatus::not_responding});
    EXPECT_EQ(tables_.find_run(RunId("r1"))->before_not_responding, RunStatus::running);
    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::not_responding, RunStatus::running, 4)));
    EXPECT_EQ(tables_.find_run(RunId("r1"))->before_not_responding, RunStatus{});
    EXPECT_FALSE(tables_.find_run(RunId("r1"))->ended);
    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::running, RunStatus::finalizing, 5)));
    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::finalizing, RunStatus::completed, 6)));

    const auto found = tables_.find_run(RunId("r1"));
    EXPECT_EQ(found->started, t0 + Millis(2000));
    EXPECT_EQ(found->ended, t0 + Millis(6000));
}

TEST_F(TablesTest, AnOutcomeStaysWhenLaterMovesHaveNone) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    pass("r1", {RunStatus::running});
    core::MoveRun latch = move("r1", RunStatus::running, RunStatus::finalizing, 3);
    latch.outcome =
        core::Outcome{true, 3, 9, true, true, true, 2, 0, NodeName("node-2"), "UserError", "rank 2 was killed"};
    ASSERT_TRUE(tables_.move_run(latch));

    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::finalizing, RunStatus::failed, 4)));

    EXPECT_EQ(tables_.find_run(RunId("r1"))->outcome, latch.outcome);
}

TEST_F(TablesTest, ASecretIsGoneWithTheMoveThatEndsItsRun) {
    RunRow row = run_row("r1");
    row.sealed_password = "sealed";
    ASSERT_TRUE(tables_.insert_run(row));
    ASSERT_TRUE(tables_.insert_run(run_row("r2")));
    EXPECT_EQ(*tables_.run_secrets(), (std::map<RunId, std::string>{{RunId("r1"), "sealed"}}));
    EXPECT_EQ(tables_.find_run(RunId("r1"))->sealed_password, "");

    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::not_started, RunStatus::queued, 2)));
    EXPECT_EQ(tables_.run_secrets()->size(), 1U);
    ASSERT_TRUE(tables_.move_run(move("r1", RunStatus::queued, RunStatus::canceled, 3)));

    EXPECT_TRUE(tables_.run_secrets()->empty());
}

TEST_F(TablesTest, NothingLeavesATerminalStatus) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    pass("r1", {RunStatus::failed});

    const auto moved = tables_.move_run(move("r1", RunStatus::failed, RunStatus::queued, 3));

    ASSERT_FALSE(moved);
    EXPECT_EQ(moved.error().code(), Errc::conflict);
    EXPECT_EQ(tables_.find_run(RunId("r1"))->status, RunStatus::failed);
}

TEST_F(TablesTest, EventsAreNeverRewritten) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));

    EXPECT_THROW(db_.exec("UPDATE run_events SET reason = 'other'"), SQLite::Exception);
}

TEST_F(TablesTest, NodesAreThoseOfTheLastPlacementOfTheCurrentAttempt) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.assign_run({RunId("r1"), 5, 1, {NodeName("a"), NodeName("b")}}));
    core::MoveRun placed = move("r1", RunStatus::not_started, RunStatus::provisioning, 2);
    placed.fence = 5;
    ASSERT_TRUE(tables_.move_run(placed));
    EXPECT_THAT(tables_.find_run(RunId("r1"))->nodes, ElementsAre(NodeName("a"), NodeName("b")));

    core::MoveRun back = move("r1", RunStatus::provisioning, RunStatus::queued, 3);
    back.attempt = 2;
    ASSERT_TRUE(tables_.move_run(back));
    EXPECT_THAT(tables_.find_run(RunId("r1"))->nodes, IsEmpty());

    ASSERT_TRUE(tables_.assign_run({RunId("r1"), 6, 2, {NodeName("z"), NodeName("b")}}));
    EXPECT_EQ(tables_.find_run(RunId("r1"))->fence, 6U);
    EXPECT_EQ(tables_.find_run(RunId("r1"))->attempt, 2);
    core::MoveRun again = move("r1", RunStatus::queued, RunStatus::provisioning, 4);
    again.attempt = 2;
    again.fence = 6;
    ASSERT_TRUE(tables_.move_run(again));
    EXPECT_THAT(tables_.find_run(RunId("r1"))->nodes, ElementsAre(NodeName("z"), NodeName("b")));
    EXPECT_EQ(db_.execAndGet("SELECT count(*) FROM assignments WHERE attempt = 1").getInt(), 2);
}

TEST_F(TablesTest, AFenceBelongsToOneRunAndAnUnknownRunCannotBeAssigned) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.insert_run(run_row("r2")));
    ASSERT_TRUE(tables_.assign_run({RunId("r1"), 5, 1, {NodeName("a")}}));

    EXPECT_EQ(tables_.assign_run({RunId("r2"), 5, 1, {NodeName("b")}}).error().code(), Errc::conflict);
    EXPECT_EQ(tables_.assign_run({RunId("r3"), 6, 1, {NodeName("b")}}).error().code(), Errc::not_found);
}

TEST_F(TablesTest, TheHighestFenceOutlivesItsRun) {
    EXPECT_EQ(*tables_.highest_fence(), 0U);
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.insert_run(run_row("r2")));
    const Fence high = (Fence{1} << 62U) + 1;
    ASSERT_TRUE(tables_.assign_run({RunId("r1"), high, 1, {NodeName("a")}}));
    ASSERT_TRUE(tables_.assign_run({RunId("r2"), 4, 1, {NodeName("a")}}));

    db_.exec("DELETE FROM runs");

    EXPECT_EQ(*tables_.highest_fence(), high);
    EXPECT_EQ(db_.execAndGet("SELECT count(*) FROM assignments").getInt(), 0);
    EXPECT_EQ(db_.execAndGet("SELECT count(*) FROM run_events").getInt(), 0);
}

TEST_F(TablesTest, RunsAreListedNewestFirstAndPagesNeitherRepeatNorSkip) {
    for (int i = 0; i < 7; ++i) {
        // three at the same instant: the id decides
        ASSERT_TRUE(tables_.insert_run(run_row("r" + std::to_string(i), Millis(i < 4 ? i : 4))));
    }
    RunFilter filter;
    filter.limit = 3;

    std::vector<std::string> all;
    for (;;) {
        const auto page = tables_.list_runs(filter);
        ASSERT_TRUE(page);
        if (page->empty()) {
            break;
        }
        for (const RunRow& row : *page) {
            all.push_back(row.id.str());
        }
        filter.before = page->back().created;
        filter.before_id = page->back().id;
    }

    EXPECT_THAT(all, ElementsAre("r6", "r5", "r4", "r3", "r2", "r1", "r0"));
}

TEST_F(TablesTest, FiltersCombine) {
    RunRow other = run_row("iris_1", Millis(1));
    other.experiment = "iris";
    other.target = "gpu";
    ASSERT_TRUE(tables_.insert_run(other));
    ASSERT_TRUE(tables_.insert_run(run_row("digits_1", Millis(2))));
    ASSERT_TRUE(tables_.insert_run(run_row("digits_2", Millis(3))));
    pass("digits_2", {RunStatus::running, RunStatus::failed});

    RunFilter experiment;
    experiment.experiment = "digits";
    EXPECT_THAT(listed(experiment), ElementsAre("digits_2", "digits_1"));
    RunFilter target;
    target.target = "gpu";
    EXPECT_THAT(listed(target), ElementsAre("iris_1"));
    RunFilter text;
    text.text = "s_1";
    EXPECT_THAT(listed(text), ElementsAre("digits_1", "iris_1"));
    text.experiment = "iris";
    EXPECT_THAT(listed(text), ElementsAre("iris_1"));
    RunFilter failed;
    failed.statuses = {RunStatus::failed, RunStatus::completed};
    EXPECT_THAT(listed(failed), ElementsAre("digits_2"));
    RunFilter waiting;
    waiting.statuses = {RunStatus::not_started, RunStatus::queued};
    EXPECT_THAT(listed(waiting), ElementsAre("digits_1", "iris_1"));
    RunFilter wild;
    wild.text = "%";
    EXPECT_THAT(listed(wild), IsEmpty());
}

TEST_F(TablesTest, ListingsUseTheIndicesInsteadOfSorting) {
    const auto plan = [&](const std::string& where, const std::string& order) {
        std::string out;
        SQLite::Statement query(db_, "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE " + where + " ORDER BY " + order);
        while (query.executeStep()) {
            out += query.getColumn(3).getString() + "\n";
        }
        return out;
    };
    const std::string newest = "created DESC, id DESC LIMIT 100";

    EXPECT_EQ(plan("true", newest).find("TEMP B-TREE"), std::string::npos);
    EXPECT_NE(plan("true AND experiment = 'x' AND (created, id) < (1, 'a')", newest).find("runs_by_experiment"),
              std::string::npos);
    EXPECT_NE(plan("status NOT IN ('Completed', 'Failed', 'Canceled') AND NOT interactive", "created, id")
                  .find("runs_active"),
              std::string::npos);
}

TEST_F(TablesTest, ActiveRunsAreThoseThatHaveNotEndedOldestFirst) {
    for (const char* id : {"a", "b", "c", "d"}) {
        ASSERT_TRUE(tables_.insert_run(run_row(id, Millis('z' - *id))));
    }
    pass("a", {RunStatus::completed});
    pass("b", {RunStatus::running});
    pass("d", {RunStatus::canceled});

    const auto active = tables_.active_runs();

    ASSERT_TRUE(active);
    ASSERT_EQ(active->size(), 2U);
    EXPECT_EQ(active->at(0).id, RunId("c"));
    EXPECT_EQ(active->at(1).id, RunId("b"));
}

TEST_F(TablesTest, TheHistoryIsPleasantToRead) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.assign_run({RunId("r1"), 5, 1, {NodeName("node-2"), NodeName("node-1")}}));
    pass("r1", {RunStatus::running});
    core::MoveRun latch = move("r1", RunStatus::running, RunStatus::failed, 3);
    latch.at = t0 + Millis(2'000 + 3'723'000);
    latch.outcome = core::Outcome{};
    latch.outcome->started = true;
    latch.outcome->exit_code = 3;
    latch.outcome->message = "exit code 3";
    ASSERT_TRUE(tables_.move_run(latch));
    ASSERT_TRUE(tables_.insert_run(run_row("r2", Millis(1))));

    SQLite::Statement view(db_, "SELECT run, experiment, status, exit_code, submitted_utc, started_utc, ended_utc, "
                                "duration, nodes, reason FROM run_history WHERE run = 'r1'");
    ASSERT_TRUE(view.executeStep());
    std::vector<std::string> row;
    row.reserve(10);
    for (int i = 0; i < view.getColumnCount(); ++i) {
        row.push_back(view.getColumn(i).getString());
    }

    EXPECT_THAT(row, ElementsAre("r1", "digits", "Failed", "3", "2026-09-21 14:13:20", "2026-09-21 14:13:22",
                                 "2026-09-21 15:15:25", "1:02:03", "node-2 node-1", "exit code 3"));
    EXPECT_EQ(db_.execAndGet("SELECT run FROM run_history LIMIT 1").getString(), "r2");
    EXPECT_TRUE(db_.execAndGet("SELECT duration FROM run_history WHERE run = 'r2'").isNull());
    EXPECT_TRUE(db_.execAndGet("SELECT exit_code FROM run_history WHERE run = 'r2'").isNull());
}

// ---- artifacts and snapshots ----------------------------------------------------------------------------------------

TEST_F(TablesTest, ArtifactsAreReplacedFoundAndListedByPrefix) {
    ASSERT_TRUE(tables_.insert_run(run_row("r1")));
    ASSERT_TRUE(tables_.insert_run(run_row("r2")));
    const ArtifactRow growing{RunId("r1"), "logs/a.txt", 5, "", t0};
    ArtifactRow whole = growing;
    whole.size = std::uint64_t{1} << 40U;
    whole.sha256 = std::string(64, 'c');
    const ArtifactRow model{RunId("r1"), "outputs/\xC3\xA9.pkl", 1, "", t0};
    const ArtifactRow under{RunId("r1"), "outputs_/x%", 1, "", t0};
    for (const auto& row : {growing, whole, model, under}) {
        ASSERT_TRUE(tables_.put_artifact(row));
    }

    EXPECT_EQ(*tables_.find_artifact(RunId("r1"), "logs/a.txt"), whole);
    EXPECT_THAT(*tables_.list_artifacts(RunId("r1"), ""), ElementsAre(whole, model, under));
    EXPECT_THAT(*tables_.list_artifacts(RunId("r1"), "outputs/"), ElementsAre(model));
    EXPECT_THAT(*tables_.list_artifacts(RunId("r1"), "outputs_"), ElementsAre(under));
    EXPECT_THAT(*tables_.list_artifacts(RunId("r2"), ""), IsEmpty());
    EXPECT_EQ(tables_.find_artifact(RunId("r1"), "logs").error().code(), Errc::not_found);
}

TEST_F(TablesTest, AnArtifactOfAnUnknownRunIsRefused) {
    EXPECT_EQ(tables_.put_artifact({RunId("r1"), "x", 1, "", t0}).error().code(), Errc::not_found);
}

TEST_F(TablesTest, ASnapshotIsStoredOnce) {
    const SnapshotId id(std::string(64, 'a'));
    EXPECT_EQ(tables_.find_snapshot(id).error().code(), Errc::not_found);

    ASSERT_TRUE(tables_.put_snapshot(id, "first", 10, t0));
    ASSERT_TRUE(tables_.put_snapshot(id, "second", 10, t0));

    EXPECT_EQ(*tables_.find_snapshot(id), "first");
}

// ---- nodes and join tokens ------------------------------------------------------------------------------------------

NodeRow node_row(const std::string& name) {
    NodeRow row;
    row.name = NodeName(name);
    row.secret_hash = "secret of " + name;
    row.incarnation = ~std::uint64_t{0};
    row.boot_id = "boot";
    row.host_id = "host";
    row.address = "10.0.0.1";
    row.version = "0.1.0";
    row.cores = 8;
    row.memory_bytes = std::uint64_t{64} << 30U;
    row.gpus = 2;
    row.slots = 3;
    row.labels = {"gpu=\"v100\"", "zone=a"};
    row.joined = t0;
    row.last_seen = t0 + Millis(5);
    return row;
}

TEST_F(TablesTest, NodesAreReplacedFoundAndRemoved) {
    ASSERT_TRUE(tables_.put_node(node_row("n2")));
    ASSERT_TRUE(tables_.put_node(node_row("n1")));
    NodeRow changed = node_row("n1");
    changed.cores = 16;
    ASSERT_TRUE(tables_.put_node(changed));

    const auto found = tables_.find_node(NodeName("n1"));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->secret_hash, changed.secret_hash);
    EXPECT_EQ(found->incarnation, changed.incarnation);
    EXPECT_EQ(found->boot_id, "boot");
    EXPECT_EQ(found->host_id, "host");
    EXPECT_EQ(found->address, "10.0.0.1");
    EXPECT_EQ(found->version, "0.1.0");
    EXPECT_EQ(found->cores, 16);
    EXPECT_EQ(found->memory_bytes, changed.memory_bytes);
    EXPECT_EQ(found->gpus, 2);
    EXPECT_EQ(found->slots, 3);
    EXPECT_EQ(found->labels, changed.labels);
    EXPECT_FALSE(found->drained);
    EXPECT_EQ(found->joined, t0);
    EXPECT_EQ(found->last_seen, t0 + Millis(5));
    EXPECT_EQ(tables_.find_node_by_secret("secret of n2")->name, NodeName("n2"));
    EXPECT_EQ(tables_.list_nodes()->size(), 2U);
    EXPECT_EQ(tables_.list_nodes()->front().name, NodeName("n1"));

    ASSERT_TRUE(tables_.remove_node(NodeName("n1")));
    EXPECT_EQ(tables_.find_node(NodeName("n1")).error().code(), Errc::not_found);
    EXPECT_EQ(tables_.remove_node(NodeName("n1")).error().code(), Errc::not_found);
}

TEST_F(TablesTest, AnEmptySecretFindsNobody) {
    NodeRow open = node_row("n1");
    open.secret_hash = "";
    ASSERT_TRUE(tables_.put_node(open));

    EXPECT_EQ(tables_.find_node_by_secret("").error().code(), Errc::not_found);
}

TEST_F(TablesTest, DrainingIsKept) {
    ASSERT_TRUE(tables_.put_node(node_row("n1")));

    ASSERT_TRUE(tables_.set_drained(NodeName("n1"), true));
    EXPECT_TRUE(tables_.find_node(NodeName("n1"))->drained);
    ASSERT_TRUE(tables_.set_drained(NodeName("n1"), false));
    EXPECT_FALSE(tables_.find_node(NodeName("n1"))->drained);
    EXPECT_EQ(tables_.set_drained(NodeName("n2"), true).error().code(), Errc::not_found);
}

TEST_F(TablesTest, AJoinTokenWorksOnceAndNotAfterItsTime) {
    ASSERT_TRUE(tables_.put_join_token({"one", t0 + Millis(10)}));
    ASSERT_TRUE(tables_.put_join_token({"late", t0}));

    EXPECT_EQ(tables_.use_join_token("late", t0).error().code(), Errc::not_found);
    EXPECT_TRUE(tables_.use_join_token("one", t0));
    EXPECT_EQ(tables_.use_join_token("one", t0).error().code(), Errc::not_found);
    EXPECT_EQ(tables_.use_join_token("never", t0).error().code(), Errc::not_found);
    EXPECT_EQ(db_.execAndGet("SELECT count(*) FROM join_tokens").getInt(), 0);
}

// ---- datastores -----------------------------------------------------------------------------------------------------

TEST_F(TablesTest, ADatastoreKeepsItsPath) {
    ASSERT_TRUE(tables_.put_datastore({"data", "/a", false, true, t0, "", ""}));
    ASSERT_TRUE(tables_.put_datastore({"data", "/a", true, true, t0 + Millis(9), "", ""}));

    EXPECT_EQ(tables_.put_datastore({"data", "/b", false, true, t0, "", ""}).error().code(), Errc::conflict);

    const auto found = tables_.find_datastore("data");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, "/a");
    EXPECT_TRUE(found->shared);
    EXPECT_EQ(found->created, t0);
    EXPECT_EQ(tables_.find_datastore("other").error().code(), Errc::not_found);
}

TEST_F(TablesTest, AMovedDatastoreDiffersInItsPathAlone) {
    ASSERT_TRUE(tables_.put_datastore({"data", "/a", true, true, t0, "", ""}));
    ASSERT_TRUE(tables_.put_datastore({"other", "/o", false, false, t0, "", ""}));

    ASSERT_TRUE(tables_.move_datastore("data", "/b"));

    const auto found = tables_.find_datastore("data");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, "/b");
    EXPECT_TRUE(found->shared && found->is_default);
    EXPECT_EQ(found->created, t0);
    EXPECT_EQ(tables_.find_datastore("other")->path, "/o");
    EXPECT_EQ(tables_.move_datastore("no such", "/c").error().code(), Errc::not_found);
}

TEST_F(TablesTest, OneDatastoreIsTheDefault) {
    ASSERT_TRUE(tables_.put_datastore({"b", "/b", false, true, t0, "", ""}));
    ASSERT_TRUE(tables_.put_datastore({"a", "/a", false, true, t0, "", ""}));

    const auto rows = tables_.list_datastores();

    ASSERT_EQ(rows->size(), 2U);
    EXPECT_EQ(rows->at(0).name, "a");
    EXPECT_TRUE(rows->at(0).is_default);
    EXPECT_FALSE(rows->at(1).is_default);
}

// ---- migrations -----------------------------------------------------------------------------------------------------

TEST(Migrations, AnEmptyDatabaseGetsTheNewestSchemaAndASecondTimeNothing) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);

    ASSERT_TRUE(migrate(db));
    const int changes = db.getTotalChanges();
    ASSERT_TRUE(migrate(db));

    EXPECT_EQ(db.execAndGet("PRAGMA user_version").getInt(), schema_version());
    EXPECT_EQ(db.getTotalChanges(), changes);
    for (const char* table : {"runs", "run_events", "assignments", "artifacts", "snapshots", "nodes", "join_tokens",
                              "datastores", "meta"}) {
        EXPECT_TRUE(db.tableExists(table)) << table;
    }
    EXPECT_EQ(db.execAndGet("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                            "AND NOT strict AND name NOT LIKE 'sqlite_%'")
                  .getInt(),
              0);
}

TEST(Migrations, ADatabaseFromANewerProgramIsRefusedAndLeftAlone) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    db.exec("PRAGMA user_version = 999");

    const auto migrated = migrate(db);

    ASSERT_FALSE(migrated);
    EXPECT_EQ(migrated.error().code(), Errc::conflict);
    EXPECT_NE(migrated.error().detail().find("999"), std::string::npos);
    EXPECT_FALSE(db.tableExists("runs"));
}

TEST(Migrations, AStepThatFailsLeavesNothingBehind) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    db.exec("CREATE TABLE snapshots (id TEXT)"); // in the way of step 1

    EXPECT_FALSE(migrate(db));

    EXPECT_EQ(db.execAndGet("PRAGMA user_version").getInt(), 0);
    EXPECT_FALSE(db.tableExists("runs"));
}

} // namespace
} // namespace linarite::store
