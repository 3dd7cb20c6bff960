#include "unit/server_core/cluster.hpp"

namespace linarite::core {
namespace {

class Leases : public Cluster {
protected:
    void start(const std::string& id, const RunOptions& options = {}) {
        submit(id, options);
        for (const std::string& each : nodes_of(id)) {
            report(each, id, NodePhase::ready);
        }
        report(nodes_of(id).front(), id, NodePhase::launched);
        ASSERT_EQ(status(id), RunStatus::running);
    }
};

TEST_F(Leases, ASilentNodeIsDownAndItsRunsDoNotRespond) {
    add_node("n1");
    start("r");

    pass(limits_.lease);

    EXPECT_FALSE(node("n1").up);
    EXPECT_EQ(node("n1").down_since, now_);
    EXPECT_EQ(status("r"), RunStatus::not_responding);
    EXPECT_EQ(last_move_reason("r"), "no word from node 'n1' for 30 s");
    EXPECT_EQ(want("n1", "r"), Want::launch) << "nothing is killed";
}

TEST_F(Leases, ANodeThatTalksKeepsItsLease) {
    add_node("n1");
    start("r");

    pass(10min, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Leases, ANodeThatComesBackBringsTheStatusBack) {
    add_node("n1");
    start("r");
    pass(45s);

    heartbeat("n1");

    EXPECT_EQ(status("r"), RunStatus::running);
    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Preparing Starting Running NotResponding Running");
    EXPECT_TRUE(node("n1").up);
    run_to_end("n1", "r");
    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Leases, AGangRespondsAgainWhenAllItsNodesDo) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    pass(45s);

    heartbeat("n1");
    EXPECT_EQ(status("r"), RunStatus::not_responding);
    heartbeat("n2");

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Leases, ALostNodeFailsARunWithoutAttemptsLeftAndIsNamed) {
    add_node("n1");
    start("r");

    pass(limits_.lost_after);

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
    EXPECT_EQ(outcome("r")->message, "node 'n1' was lost: no word for 10 min");
    EXPECT_EQ(outcome("r")->node, NodeName("n1"));
}

TEST_F(Leases, ALostNodeCostsAnAttemptIfThereAreMore) {
    add_node("n1");
    start("r", {.max_attempts = 2});
    const Fence fence = desired("n1", "r")->fence;
    add_node("n2");

    pass(limits_.lost_after, {"n2"});

    EXPECT_EQ(status("r"), RunStatus::provisioning);
    EXPECT_EQ(nodes_of("r"), std::vector<std::string>{"n2"});
    EXPECT_EQ(desired("n2", "r")->attempt, 2);
    EXPECT_GT(desired("n2", "r")->fence, fence);
    EXPECT_EQ(want("n1", "r"), Want::stop) << "in case that it comes back";
}

TEST_F(Leases, WhatIsNotTheScriptsFaultCostsAnAttempt) {
    add_node("n1");
    start("r", {.max_attempts = 2});
    EXPECT_FALSE(desired("n1", "r")->last_attempt);

    report("n1", "r", NodePhase::exited, failed_with(137, "ServiceError", -1));

    EXPECT_EQ(status("r"), RunStatus::queued);
    report("n1", "r", NodePhase::done, failed_with(137, "ServiceError", -1));
    ASSERT_EQ(status("r"), RunStatus::provisioning);
    EXPECT_EQ(desired("n1", "r")->attempt, 2);
    EXPECT_TRUE(desired("n1", "r")->last_attempt);
}

TEST_F(Leases, AScriptThatFailsHasNoOtherAttempt) {
    add_node("n1");
    start("r", {.max_attempts = 2});

    report("n1", "r", NodePhase::done, failed_with(3, "UserError", 0));

    EXPECT_EQ(status("r"), RunStatus::failed);
}

TEST_F(Leases, TheOtherNodesOfALostGangKeepTheirSlotsUntilTheyAreDone) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});

    pass(limits_.lost_after, {"n1"});
    ASSERT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(want("n1", "r"), Want::stop);
    submit("next");
    EXPECT_EQ(status("next"), RunStatus::queued);
    report("n1", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("next"), RunStatus::provisioning);
}

TEST_F(Leases, ALostNodeThatReturnsGetsNewRunsOnlyAfterItStoppedTheOldOne) {
    add_node("n1");
    start("r", {.max_attempts = 2});
    pass(limits_.lost_after);
    ASSERT_EQ(status("r"), RunStatus::queued);

    const Fence old = desired("n1", "r")->fence;
    report_all("n1", {NodeReport{RunId("r"), old, NodePhase::launched, "", {}}});
    EXPECT_EQ(status("r"), RunStatus::queued);
    report_all("n1", {NodeReport{RunId("r"), old, NodePhase::done, "", stopped_outcome()}});

    EXPECT_EQ(status("r"), RunStatus::provisioning);
    EXPECT_GT(desired("n1", "r")->fence, old);
}

TEST_F(Leases, ALostNodeThatReturnsWithoutTheOldRunIsFree) {
    add_node("n1");
    start("r", {.max_attempts = 2});
    pass(limits_.lost_after);

    report_all("n1", {});
    EXPECT_EQ(status("r"), RunStatus::queued);
    report_all("n1", {});

    EXPECT_EQ(status("r"), RunStatus::provisioning);
}

TEST_F(Leases, ANodeThatVanishesBeforeItTookTheRunGivesItBack) {
    add_node("n1");
    submit("r");
    add_node("n2");

    pass(limits_.lease, {"n2"});

    EXPECT_EQ(history("r"), "NotStarted Queued Provisioning Queued Provisioning");
    EXPECT_EQ(nodes_of("r"), std::vector<std::string>{"n2"});
    EXPECT_EQ(desired("n2", "r")->attempt, 1);
    EXPECT_GT(desired("n2", "r")->fence, desired("n1", "r")->fence);
}

TEST_F(Leases, AGangThatOneNodeTookDoesNotRespondWhenAnotherVanishes) {
    add_node("n1");
    add_node("n2");
    submit("r", {.nodes = 2});
    report("n1", "r", NodePhase::preparing);

    pass(limits_.lease, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::not_responding);
    heartbeat("n2");
    EXPECT_EQ(status("r"), RunStatus::preparing);
}

TEST_F(Leases, ARebootLosesTheAttemptAtOnce) {
    add_node("n1");
    start("r");

    reboot("n1");

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->message, "node 'n1' was lost: it was restarted");
    EXPECT_FALSE(desired("n1", "r"));
    EXPECT_TRUE(node("n1").runs.empty());
}

TEST_F(Leases, ARebootOfOneNodeLetsAGangStartAgainWhenTheOtherHasStopped) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2, .max_attempts = 2});

    reboot("n2");
    EXPECT_EQ(status("r"), RunStatus::queued);
    EXPECT_EQ(want("n1", "r"), Want::stop);
    report("n1", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::provisioning);
    EXPECT_EQ(desired("n1", "r")->attempt, 2);
}

TEST_F(Leases, ARebootInFinalizingFailsTheRunSinceItsLastFilesAreGone) {
    add_node("n1");
    start("r");
    report("n1", "r", NodePhase::exited, ended_well());

    reboot("n1");

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->message, "node 'n1' was restarted before the last files of the run were sent");
}

TEST_F(Leases, ARebootWhileStoppingProvesThatNothingRuns) {
    add_node("n1");
    start("r");
    cancel("r");

    reboot("n1");

    EXPECT_EQ(status("r"), RunStatus::canceled);
}

TEST_F(Leases, ARestartedAgentGoesOnWithItsRuns) {
    add_node("n1");
    start("r");

    NodeSpec next = specs_.at("n1");
    next.incarnation = 2;
    apply(reactor_->node_up(next, now_).value());

    EXPECT_EQ(status("r"), RunStatus::running);
    EXPECT_EQ(want("n1", "r"), Want::launch);
}

TEST_F(Leases, AnOlderIncarnationIsGone) {
    add_node("n1");
    NodeSpec next = specs_.at("n1");
    next.incarnation = 2;
    apply(reactor_->node_up(next, now_).value());

    const auto old = reactor_->node_up(specs_.at("n1"), now_);

    EXPECT_EQ(old.error().code(), Errc::gone);
}

TEST_F(Leases, FinalizingAndStoppingGoOnWhileTheirNodeIsSilent) {
    add_node("n1");
    add_node("n2");
    start("a");
    start("b");
    report("n1", "a", NodePhase::exited, ended_well());
    cancel("b");

    pass(limits_.lease);
    EXPECT_EQ(status("a"), RunStatus::finalizing);
    EXPECT_EQ(status("b"), RunStatus::cancel_requested);
    pass(limits_.stop);

    EXPECT_EQ(status("a"), RunStatus::finalizing);
    EXPECT_EQ(status("b"), RunStatus::canceled);
    EXPECT_NE(last_move_reason("b").find("orphan suspected"), std::string::npos);
}

TEST_F(Leases, ANodeThatIsLostWhileItSendsItsLastFilesEndsTheRun) {
    add_node("n1");
    start("r");
    report("n1", "r", NodePhase::exited, ended_well());

    pass(limits_.lost_after - 1s);
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    pass(2s);

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->code, "ServiceError");
    EXPECT_EQ(outcome("r")->message, "node 'n1' was lost before the last files of the run were sent");
    heartbeat("n1");
    EXPECT_EQ(want("n1", "r"), Want::stop) << "what is left there is to end";
}

TEST_F(Leases, AFailedGangDoesNotWaitForTheNodeThatWasCutOff) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    report("n1", "r", NodePhase::done, failed_with(205)); // mpirun has lost its connection to the other node
    ASSERT_EQ(status("r"), RunStatus::finalizing);

    pass(limits_.lost_after + 1s, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->exit_code, 205) << "how it ended is known";
}

TEST_F(Leases, ANodeThatComesBackInTimeStillSendsItsLastFiles) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    report("n1", "r", NodePhase::exited, ended_well());
    pass(limits_.lost_after + 1s, {"n1"});
    ASSERT_EQ(status("r"), RunStatus::finalizing);

    report("n2", "r", NodePhase::exited, stopped_outcome());
    report("n1", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    report("n2", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Leases, ALauncherThatEndedWellNeedsNoWordFromASilentNode) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    pass(limits_.lease, {"n1"});
    ASSERT_EQ(status("r"), RunStatus::not_responding);

    report("n1", "r", NodePhase::done, ended_well());
    EXPECT_EQ(status("r"), RunStatus::finalizing);
    report("n2", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Leases, ALauncherThatFailedWhileANodeIsSilentIsALostAttemptAndIsTriedAgain) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2, .max_attempts = 2});
    pass(limits_.lease, {"n1"});

    report("n1", "r", NodePhase::done, failed_with(1, "UserError"));
    EXPECT_EQ(status("r"), RunStatus::not_responding);
    pass(limits_.lost_after, {"n1"});

    EXPECT_EQ(status("r"), RunStatus::queued);
}

TEST_F(Leases, ASuspendedCoordinatorGivesItsNodesTimeToSpeakUp) {
    add_node("n1");
    start("r");

    now_ += 2h;
    apply(reactor_->tick(now_));
    EXPECT_EQ(status("r"), RunStatus::not_responding);
    heartbeat("n1");

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Leases, AClockThatGoesBackHarmsNothing) {
    add_node("n1");
    start("r");

    now_ -= 24h;
    heartbeat("n1");
    apply(reactor_->tick(now_));
    run_to_end("n1", "r");

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Leases, ANodeIsRemovedOnlyWithoutRuns) {
    add_node("n1");
    start("r");
    EXPECT_EQ(reactor_->remove_node(NodeName("n1"), now_).error().code(), Errc::conflict);
    EXPECT_EQ(reactor_->remove_node(NodeName("n9"), now_).error().code(), Errc::not_found);
    run_to_end("n1", "r");

    EXPECT_TRUE(reactor_->remove_node(NodeName("n1"), now_));

    EXPECT_TRUE(reactor_->nodes().empty());
    EXPECT_TRUE(reactor_->targets().empty());
    EXPECT_EQ(reactor_->next_deadline(), std::nullopt);
}

TEST_F(Leases, ALostNodeMayBeRemovedThoughItWasNeverHeardToStop) {
    add_node("n1");
    start("r");
    pass(limits_.lost_after);

    EXPECT_TRUE(reactor_->remove_node(NodeName("n1"), now_));
}

// ---- after a restart of the coordinator -----------------------------------------------------------------------------

TEST_F(Leases, AfterARestartARunGoesOnWhereItWas) {
    add_node("n1");
    start("r");
    const Fence fence = desired("n1", "r")->fence;

    restart();
    EXPECT_EQ(status("r"), RunStatus::running);
    EXPECT_EQ(desired("n1", "r")->fence, fence);
    EXPECT_EQ(want("n1", "r"), Want::launch);
    report("n1", "r", NodePhase::launched);
    EXPECT_EQ(status("r"), RunStatus::running);
    run_to_end("n1", "r");

    EXPECT_EQ(status("r"), RunStatus::completed);
}

TEST_F(Leases, AfterARestartAnEarlierPhaseDoesNotBringTheStatusBack) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});

    restart();
    report("n2", "r", NodePhase::ready);
    report("n1", "r", NodePhase::preparing);

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Leases, AfterARestartASilentNodeHasOneLease) {
    add_node("n1");
    start("r");
    now_ += 1h;

    restart();
    pass(limits_.lease - 1ms);
    EXPECT_EQ(status("r"), RunStatus::running);
    pass(1ms);

    EXPECT_EQ(status("r"), RunStatus::not_responding);
    pass(limits_.lost_after);
    EXPECT_EQ(status("r"), RunStatus::failed);
}

TEST_F(Leases, AfterARestartNothingIsPlacedOnANodeThatHasNotSaidWhatItHas) {
    add_node("n1");
    submit("a");
    submit("b");
    report("n1", "a", NodePhase::launched);
    cancel("a");
    pass(limits_.stop, {"n1"});
    const Fence fence = desired("n1", "a")->fence;
    ASSERT_EQ(status("a"), RunStatus::canceled);
    ASSERT_EQ(status("b"), RunStatus::queued);

    restart();
    apply(reactor_->node_up(specs_.at("n1"), now_).value());
    EXPECT_EQ(status("b"), RunStatus::queued);
    report_all("n1", {NodeReport{RunId("a"), fence, NodePhase::launched, "", {}}});
    EXPECT_EQ(status("b"), RunStatus::queued) << "what is left of 'a' has the slot";
    EXPECT_FALSE(desired("n1", "a")) << "what is not wanted is ended by the agent";
    report_all("n1", {});
    report_all("n1", {});

    EXPECT_EQ(status("b"), RunStatus::provisioning);
}

TEST_F(Leases, AfterARestartANodeThatWasSilentBringsBackTheStatusBeforeThat) {
    add_node("n1");
    start("r");
    pass(limits_.lease);
    ASSERT_EQ(status("r"), RunStatus::not_responding);

    restart();
    EXPECT_EQ(status("r"), RunStatus::not_responding);
    heartbeat("n1");

    EXPECT_EQ(status("r"), RunStatus::running);
}

TEST_F(Leases, AfterARestartACancelGoesOn) {
    add_node("n1");
    start("r");
    cancel("r");

    restart();
    EXPECT_EQ(want("n1", "r"), Want::stop);
    report("n1", "r", NodePhase::done, stopped_outcome());

    EXPECT_EQ(status("r"), RunStatus::canceled);
}

TEST_F(Leases, AfterARestartALatchedFailureStays) {
    add_node("n1");
    start("r");
    report("n1", "r", NodePhase::exited, failed_with(4));

    restart();
    report("n1", "r", NodePhase::done, failed_with(4));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->exit_code, 4);
}

TEST_F(Leases, AfterARestartTheQueueHasItsOrder) {
    add_node("n1");
    start("busy");
    submit("late", {.priority = 0});
    submit("urgent", {.priority = 5});

    restart();
    EXPECT_EQ(reactor_->queue_length(), 2U);
    report("n1", "busy", NodePhase::done, ended_well());

    EXPECT_EQ(status("urgent"), RunStatus::provisioning);
    EXPECT_EQ(status("late"), RunStatus::queued);
}

TEST_F(Leases, AfterARestartARunThatNobodyTookGoesBackToTheQueue) {
    add_node("n1");
    submit("r");

    restart();
    pass(limits_.lease);

    EXPECT_EQ(status("r"), RunStatus::queued);
    EXPECT_EQ(ledger_.find(RunId("r"))->attempt, 1);
}

TEST_F(Leases, APlacementThatIsNotInTheHistoryIsGivenUp) {
    add_node("n1");
    start("r");
    StoredRun damaged = *ledger_.find(RunId("r"));
    damaged.nodes.clear();

    reactor_ = std::make_unique<Reactor>(limits_, ledger_.highest_fence() + 1);
    reactor_->restore_run(damaged, now_);
    apply(reactor_->tick(now_));

    EXPECT_EQ(status("r"), RunStatus::failed);
    EXPECT_EQ(outcome("r")->message, "its nodes are not in the run history");
}

TEST_F(Leases, ARunThatWasStoredButNeverQueuedIsQueuedAfterARestart) {
    add_node("n1");
    RunSpec spec;
    spec.id = RunId("r");
    spec.target = "cpu-cluster";
    ledger_.insert(spec, now_);

    restart();

    EXPECT_EQ(status("r"), RunStatus::queued);
}

} // namespace
} // namespace linarite::core
