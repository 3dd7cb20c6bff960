#include "unit/server_core/cluster.hpp"

#include <algorithm>

namespace linarite::core {
namespace {

class Lifecycle : public Cluster {
protected:
    /// A gang of two on n1 (lead) and n2, as far as Running.
    void start_gang() {
        add_node("n1");
        add_node("n2");
        submit("r", {.nodes = 2});
        for (const char* each : {"n1", "n2"}) {
            report(each, "r", NodePhase::preparing);
            report(each, "r", NodePhase::ready);
        }
        report("n1", "r", NodePhase::launched);
        ASSERT_EQ(status("r"), RunStatus::running);
    }
};

template <class T>
std::size_t position_of(const Actions& actions) {
    return static_cast<std::size_t>(
        std::find_if(actions.begin(), actions.end(), [](const Action& a) { return std::holds_alternative<T>(a); }) -
        actions.begin());
}

TEST_F(Lifecycle, ARunIsPlacedInTheCallThatSubmitsItIfThereIsRoom) {
    add_node("n1");

    const Actions actions = submit("r");

    ASSERT_EQ(actions.size(), 4U);
    EXPECT_EQ(std::get<MoveRun>(actions[0]).to, RunStatus::queued);
    EXPECT_EQ(std::get<MoveRun>(actions[0]).sequence, 2);
    EXPECT_EQ(std::get<AssignRun>(actions[1]).nodes, std::vector{NodeName("n1")});
    EXPECT_EQ(std::get<MoveRun>(actions[2]).to, RunStatus::provisioning);
    EXPECT_EQ(std::get<MoveRun>(actions[2]).sequence, 3);
    EXPECT_EQ(std::get<MoveRun>(actions[2]).fence, std::get<AssignRun>(actions[1]).fence);
    EXPECT_EQ(std::get<NodeChanged>(actions[3]).node, NodeName("n1"));
}

TEST_F(Lifecycle, ASingleNodeMayLaunchWithoutAskingAgain) {
    add_node("n1");

    submit("r");

    EXPECT_EQ(want("n1", "r"), Want::launch);
}

TEST_F(Lifecycle, ARunThatEndsWellPassesAllStatuses) {
    add_node("n1");
    submit("r");

    for (const NodePhase phase : {NodePhase::preparing, NodePhase::ready, NodePhase::launched}) {
        report("n1", "r", phase);
    }
    report("n1", "r", NodePhase::exited, ended_well());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    EXPECT_TRUE(outcome("r")->ok());
    report("n1", "r", NodePhase::done, ended_well());

    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Preparing Starting Running Finalizing Completed");
    EXPECT_FALSE(desired("n1", "r"));
    EXPECT_TRUE(node("n1").runs.empty());
    EXPECT_FALSE(reactor_->find_run(RunId("r"), now_));
}

TEST_F(Lifecycle, AReportThatJumpsMakesAllMovesInOneCall) {
    add_node("n1");
    submit("r");

    const Actions actions = report("n1", "r", NodePhase::done, ended_well());

    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Preparing Starting Running Finalizing Completed");
    EXPECT_LT(position_of<MoveRun>(actions), position_of<NodeChanged>(actions));
}

TEST_F(Lifecycle, AFailedScriptIsAFailedRunWithItsOutcome) {
    add_node("n1");
    submit("r");

    report("n1", "r", NodePhase::done, failed_with(3, "UserError", 0));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->exit_code, 3);
    EXPECT_EQ(outcome("r")->node, NodeName("n1"));
    EXPECT_EQ(last_move_reason("r"), "exit code 3");
}

TEST_F(Lifecycle, AFailedPreparationNeverShowsRunning) {
    add_node("n1");
    submit("r");
    Outcome broken;
    broken.code = "UserError";
    broken.message = "package 'nope' not found";

    report("n1", "r", NodePhase::done, broken);

    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Preparing Finalizing Failed");
    EXPECT_EQ(outcome("r")->message, "package 'nope' not found");
}

TEST_F(Lifecycle, ALateReportOfAnEarlierPhaseChangesNothing) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::launched);

    EXPECT_TRUE(report("n1", "r", NodePhase::preparing).empty());

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Lifecycle, AReportUnderAStaleFenceChangesNothing) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::launched);

    const Actions actions = report_all("n1", {NodeReport{RunId("r"), 99, NodePhase::done, "", ended_well()}});

    EXPECT_TRUE(actions.empty());
    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Lifecycle, AGangLaunchesWhenAllItsNodesAreReady) {
    add_node("n1");
    add_node("n2");
    submit("r", {.nodes = 2});
    EXPECT_EQ(want("n1", "r"), Want::prepare);
    EXPECT_EQ(desired("n2", "r")->node_index, 1);
    EXPECT_EQ(desired("n2", "r")->gang, (std::vector{NodeName("n1"), NodeName("n2")}));

    report("n2", "r", NodePhase::ready);
    EXPECT_EQ(status("r"), RunStatus::preparing);
    EXPECT_EQ(want("n2", "r"), Want::prepare);
    const Actions actions = report("n1", "r", NodePhase::ready);

    EXPECT_EQ(status("r"), RunStatus::starting);
    EXPECT_EQ(want("n1", "r"), Want::launch);
    EXPECT_EQ(want("n2", "r"), Want::launch);
    EXPECT_EQ(std::count_if(actions.begin(), actions.end(),
                            [](const Action& a) { return std::holds_alternative<NodeChanged>(a); }),
              2);
}

TEST_F(Lifecycle, TheEndOfTheLeadStopsTheOthersAndTheRunWaitsForTheirLastFiles) {
    start_gang();
    report("n2", "r", NodePhase::launched);

    report("n1", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    EXPECT_EQ(want("n2", "r"), Want::stop);
    EXPECT_EQ(desired("n2", "r")->stop_reason, "the run has ended on node 'n1'");
    report("n2", "r", NodePhase::exited, stopped_outcome());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    report("n2", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::completed);
    EXPECT_EQ(outcome("r")->node, NodeName("n1"));
}

TEST_F(Lifecycle, ADaemonThatEndsWellBeforeTheLeadIsNoFailure) {
    start_gang();

    report("n2", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::running);
    EXPECT_TRUE(node("n2").runs.empty()) << "its slot is free";
    report("n1", "r", NodePhase::done, ended_well());

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Lifecycle, TheFailureOfAnyNodeStopsTheOthersAndIsTheOutcome) {
    start_gang();

    report("n2", "r", NodePhase::exited, failed_with(9, "ServiceError"));
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    EXPECT_EQ(want("n1", "r"), Want::stop);
    EXPECT_EQ(desired("n1", "r")->stop_reason, "node 'n2' failed: exit code 9");
    report("n1", "r", NodePhase::done, stopped_outcome());
    report("n2", "r", NodePhase::done, failed_with(9, "ServiceError"));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->node, NodeName("n2"));
    EXPECT_EQ(outcome("r")->exit_code, 9);
}

TEST_F(Lifecycle, TheLeadsWordOnARankIsPreferredToADaemonsFailure) {
    start_gang();

    report("n2", "r", NodePhase::done, failed_with(1, "ServiceError"));
    report("n1", "r", NodePhase::done, failed_with(7, "UserError", 3));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->exit_code, 7);
    EXPECT_EQ(outcome("r")->rank, 3);
}

TEST_F(Lifecycle, TheFirstOfTwoEqualFailuresStays) {
    start_gang();

    report("n2", "r", NodePhase::done, failed_with(1, "UserError", 2));
    report("n1", "r", NodePhase::done, failed_with(7, "UserError", -1));

    EXPECT_EQ(outcome("r")->exit_code, 1);
}

TEST_F(Lifecycle, TheRankThatTheLauncherNamesDecides) {
    start_gang();

    report("n2", "r", NodePhase::done, failed_with(143, "UserError", 2)); // ended because of rank 0
    report("n1", "r", NodePhase::done, failed_with(7, "UserError", 0));

    EXPECT_EQ(outcome("r")->exit_code, 7);
    EXPECT_EQ(outcome("r")->node, NodeName("n1"));
}

TEST_F(Lifecycle, TheOwnNodeOfTheRankThatTheLauncherNamesTellsMore) {
    start_gang();

    report("n2", "r", NodePhase::done, failed_with(5, "UserError", 2));
    report("n1", "r", NodePhase::done, failed_with(5, "UserError", 2));

    EXPECT_EQ(outcome("r")->node, NodeName("n2"));
}

TEST_F(Lifecycle, AnEndingWithoutAnOutcomeIsAServiceError) {
    add_node("n1");
    submit("r");

    report("n1", "r", NodePhase::done);

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
    EXPECT_EQ(outcome("r")->message, "node 'n1' did not say how the run ended");
}

TEST_F(Lifecycle, AStopThatNobodyAskedForIsAServiceError) {
    add_node("n1");
    submit("r");

    report("n1", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
}

TEST_F(Lifecycle, AWaitingRunIsCanceledAtOnce) {
    add_node("n1");
    submit("first");
    submit("r");

    cancel("r");

    EXPECT_EQ(history("r"), "NotStarted Queued CancelRequested Canceled");
    EXPECT_EQ(last_move_reason("r"), "canceled by 'ada'");
    EXPECT_EQ(reactor_->queue_length(), 0U);
}

TEST_F(Lifecycle, ARunOnNodesIsCanceledWhenAllOfThemAreDone) {
    start_gang();

    cancel("r");
    EXPECT_EQ(status("r"), RunStatus::cancel_requested);
    EXPECT_EQ(want("n1", "r"), Want::stop);
    EXPECT_EQ(desired("n1", "r")->stop_reason, "canceled by 'ada'");
    report("n1", "r", NodePhase::done, stopped_outcome());
    EXPECT_EQ(status("r"), RunStatus::cancel_requested);
    report("n2", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::canceled);
}

TEST_F(Lifecycle, ARunThatEndedBeforeTheCancelReachedItIsCanceledToo) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::launched);

    cancel("r");
    report("n1", "r", NodePhase::done, ended_well());

    EXPECT_EQ(status("r"), RunStatus::canceled);
    EXPECT_TRUE(outcome("r")->ok());
}

TEST_F(Lifecycle, ACancelInFinalizingChangesNothing) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::exited, ended_well());

    EXPECT_TRUE(cancel("r").empty());
    report("n1", "r", NodePhase::done, ended_well());

    EXPECT_EQ(status("r"), RunStatus::completed);
    EXPECT_TRUE(cancel("r").empty());
}

TEST_F(Lifecycle, ACancelOfAnUnknownRunChangesNothing) {
    EXPECT_TRUE(cancel("nobody").empty());
}

TEST_F(Lifecycle, ACancelTwiceIsOneCancel) {
    add_node("n1");
    submit("r");
    cancel("r");

    EXPECT_TRUE(cancel("r").empty());
}

TEST_F(Lifecycle, ACanceledRunThatItsNodeNeverHeardOfEndsWhenTheNodeDoesNotMentionIt) {
    add_node("n1");
    submit("r");
    cancel("r");

    report_all("n1", {});
    EXPECT_EQ(status("r"), RunStatus::cancel_requested) << "that report may have been under way";
    report_all("n1", {});

    EXPECT_EQ(status("r"), RunStatus::canceled);
    EXPECT_TRUE(node("n1").runs.empty());
}

TEST_F(Lifecycle, AStopThatTakesTooLongEndsTheRunButKeepsTheSlot) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::launched);
    cancel("r");

    pass(limits_.stop, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::canceled);
    EXPECT_NE(last_move_reason("r").find("orphan suspected: node 'n1'"), std::string::npos);
    EXPECT_EQ(want("n1", "r"), Want::stop);
    submit("next");
    EXPECT_EQ(status("next"), RunStatus::queued);
    report("n1", "r", NodePhase::done, stopped_outcome());
    EXPECT_EQ(status("next"), RunStatus::provisioning);
    EXPECT_FALSE(desired("n1", "r"));
}

TEST_F(Lifecycle, ARunOverItsTimeLimitIsCanceledAndSaysSo) {
    add_node("n1");
    submit("r", {.max_duration = 60s});
    report("n1", "r", NodePhase::launched);
    Outcome late = stopped_outcome();
    late.timed_out = true;

    report("n1", "r", NodePhase::exited, late);
    EXPECT_EQ(status("r"), RunStatus::cancel_requested);
    EXPECT_EQ(last_move_reason("r"), "over its time limit of 60 s");
    report("n1", "r", NodePhase::done, late);

    EXPECT_EQ(status("r"), RunStatus::canceled);
    EXPECT_TRUE(outcome("r")->timed_out);
    EXPECT_EQ(outcome("r")->message, "the run was stopped: it was over its time limit of 60 s");
}

TEST_F(Lifecycle, ATimeLimitThatIsReportedInOneJumpStillPassesRunning) {
    add_node("n1");
    submit("r", {.max_duration = 60s});
    Outcome late = stopped_outcome();
    late.timed_out = true;

    report("n1", "r", NodePhase::done, late);

    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Preparing Starting Running CancelRequested Canceled");
}

TEST_F(Lifecycle, ANodeThatDoesNotGetReadyFailsTheRunAndIsNamed) {
    add_node("n1");
    add_node("n2");
    submit("r", {.nodes = 2});
    report("n1", "r", NodePhase::ready);
    report("n2", "r", NodePhase::preparing, std::nullopt, "building the environment");

    pass(limits_.prepare_barrier, {"n1", "n2"});
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    EXPECT_EQ(outcome("r")->message, "node 'n2' did not get ready within 1 h 0 min (building the environment)");
    EXPECT_EQ(outcome("r")->node, NodeName("n2"));
    report("n1", "r", NodePhase::done, stopped_outcome());
    report("n2", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::failed);
}

TEST_F(Lifecycle, LastFilesThatNeverComeFailTheRun) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::exited, ended_well());

    pass(limits_.finalize, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
    EXPECT_EQ(outcome("r")->message, "node 'n1' did not send the last files of the run within 1 h 0 min");
}

TEST_F(Lifecycle, AFinishedRunLeavesNoDeadlineButTheLeases) {
    add_node("n1");
    submit("r");
    run_to_end("n1", "r");

    EXPECT_EQ(reactor_->next_deadline(), now_ + limits_.lease);
}

class WithoutLauncher : public Cluster {
protected:
    void start(std::set<int> deciders) {
        add_node("n1");
        add_node("n2");
        submit("r", {.nodes = 2, .deciders = std::move(deciders)});
        for (const NodePhase phase : {NodePhase::ready, NodePhase::launched}) {
            report("n1", "r", phase);
            report("n2", "r", phase);
        }
        ASSERT_EQ(status("r"), RunStatus::running);
    }

    void say_work_done(const std::string& node) {
        report_all(node,
                   {NodeReport{RunId("r"), desired(node, "r")->fence, NodePhase::launched, "", std::nullopt, true}});
    }

    static Outcome failed_at(int exit_code, int rank, std::int64_t at) {
        Outcome outcome = failed_with(exit_code, "UserError", rank);
        outcome.rank_ended_us = at;
        return outcome;
    }
};

TEST_F(WithoutLauncher, TheRunEndsWellOnlyOnceAllItsNodesHave) {
    start({0, 1});

    report("n1", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::running);
    EXPECT_EQ(want("n2", "r"), Want::launch);
    report("n2", "r", NodePhase::done, ended_well());

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(WithoutLauncher, ANodeThatFailsFailsTheRunThoughTheLeadEndedWell) {
    start({0, 1});
    report("n1", "r", NodePhase::done, ended_well());

    report("n2", "r", NodePhase::done, failed_with(5, "UserError", 3));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->rank, 3);
    EXPECT_EQ(outcome("r")->node, NodeName("n2"));
}

TEST_F(WithoutLauncher, OfTwoNodesThatFailTheClocksSayWhichWasFirst) {
    start({0, 1});

    report("n1", "r", NodePhase::exited, failed_at(1, 0, 2'000));
    EXPECT_EQ(want("n2", "r"), Want::stop);
    report("n2", "r", NodePhase::done, failed_at(5, 3, 1'000)); // it had, before the order to stop
    report("n1", "r", NodePhase::done, failed_at(1, 0, 2'000));

    EXPECT_EQ(outcome("r")->rank, 3);
    EXPECT_EQ(outcome("r")->exit_code, 5);
}

TEST_F(WithoutLauncher, ParameterServersAreStoppedOnceTheWorkersAreDone) {
    start({0, 1});
    say_work_done("n1"); // its parameter server goes on for the worker of n2
    EXPECT_EQ(status("r"), RunStatus::running);

    report("n2", "r", NodePhase::done, ended_well());

    EXPECT_EQ(status("r"), RunStatus::finalizing);
    EXPECT_TRUE(outcome("r")->ok());
    EXPECT_EQ(want("n1", "r"), Want::stop);
    report("n1", "r", NodePhase::done, stopped_outcome());
    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(WithoutLauncher, ANodeWithoutWorkersNeedNotEndForTheRunToHave) {
    start({1});

    report("n2", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    report("n1", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(WithoutLauncher, AParameterServerThatDiesFailsTheRun) {
    start({1});

    report("n1", "r", NodePhase::done, failed_with(4, "UserError", 2));

    EXPECT_EQ(want("n2", "r"), Want::stop);
    report("n2", "r", NodePhase::done, stopped_outcome());
    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->exit_code, 4);
}

TEST_F(WithoutLauncher, ANodeThatNeverSaysHowItEndedIsMissed) {
    start({0, 1});
    report("n1", "r", NodePhase::done, ended_well());

    report("n2", "r", NodePhase::done);

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
}

} // namespace
} // namespace linarite::core
