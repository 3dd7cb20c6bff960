#include "unit/server_core/cluster.hpp"

namespace linarite::core {
namespace {

class Explain : public Cluster {
protected:
    void start(const std::string& id, const RunOptions& options = {}) {
        submit(id, options);
        for (const std::string& each : nodes_of(id)) {
            report(each, id, NodePhase::launched);
        }
    }
};

TEST_F(Explain, AWaitingRunNamesWhatKeepsEachNodeOfItsPool) {
    add_node("n1");
    add_node("n2");
    start("x");
    pass(3min, {"n1", "n2"});
    pass(1min, {"n1"});

    submit("r", {.nodes = 2});

    EXPECT_EQ(reason("r"), "waiting for 2 nodes of compute target 'cpu-cluster': 1 is busy with run 'x' (4 min), "
                           "1 is down since 12:03 UTC");
}

TEST_F(Explain, ADayIsNamedIfItIsNotToday) {
    add_node("n1");
    pass(24h);

    submit("r");

    EXPECT_EQ(reason("r"), "waiting for 1 node of compute target 'cpu-cluster': 1 is down since 2026-11-23 12:00 UTC");
}

TEST_F(Explain, AWaitingRunKnowsWhoIsBeforeIt) {
    add_node("n1");
    start("x");
    now_ += 2s;
    submit("y");
    now_ += 1s;
    submit("z");
    now_ += 1s;
    submit("r");

    EXPECT_EQ(reason("y"), "waiting for 1 node of compute target 'cpu-cluster': 1 is busy with run 'x' (4 s)");
    EXPECT_EQ(reason("z"), "waiting for 1 node of compute target 'cpu-cluster': 1 is busy with run 'x' (4 s); "
                           "behind 1 run with higher priority or age: 'y'");
    EXPECT_EQ(reason("r"), "waiting for 1 node of compute target 'cpu-cluster': 1 is busy with run 'x' (4 s); "
                           "behind 2 runs with higher priority or age; first of them is 'y'");
}

TEST_F(Explain, ANodeThatIsKeptFreeIsExplained) {
    for (const char* each : {"n1", "n2", "n3", "n4"}) {
        add_node(each);
    }
    start("x");
    submit("z", {.nodes = 4});
    now_ += 1s;
    submit("r");

    EXPECT_EQ(reason("r"), "waiting for 1 node of compute target 'cpu-cluster': 1 is busy with run 'x' (1 s), "
                           "3 are kept free for run 'z', which needs 4 nodes; "
                           "behind 1 run with higher priority or age: 'z'");
}

TEST_F(Explain, DrainedAndUnheardNodesAreCounted) {
    add_node("n1");
    add_node("n2");
    add_node("n3");
    submit("r", {.nodes = 3});
    cancel("r");
    drain("n1");
    restart();
    report_all("n2", {});
    report_all("n2", {});
    drain("n2");
    submit("s", {.nodes = 3});

    EXPECT_EQ(reason("s"), "waiting for 3 nodes of compute target 'cpu-cluster': 1 is drained, "
                           "2 have not reported since the coordinator started");
}

TEST_F(Explain, ManyRunsAreNotAllNamed) {
    for (int i = 1; i <= 6; ++i) {
        add_node("n" + std::to_string(i));
        start("x" + std::to_string(i));
    }
    submit("r");

    EXPECT_EQ(reason("r"), "waiting for 1 node of compute target 'cpu-cluster': 6 are busy with runs 'x1' (0 ms), "
                           "'x2' (0 ms), 'x3' (0 ms) and 3 more");
}

TEST_F(Explain, ALeftoverThatIsBeingStoppedIsSaid) {
    add_node("n1");
    start("x");
    cancel("x");
    pass(limits_.stop, {"n1"});
    submit("r");

    EXPECT_EQ(reason("r"),
              "waiting for 1 node of compute target 'cpu-cluster': 1 is busy with run 'x' (being stopped, 2 min)");
}

TEST_F(Explain, ProvisioningNamesTheNodesThatHaveNotAnswered) {
    add_node("n1");
    add_node("n2");
    submit("r", {.nodes = 2});

    EXPECT_EQ(reason("r"), "waiting for nodes 'n1' and 'n2' to take the run");
}

TEST_F(Explain, PreparingNamesTheLaggardAndWhatItDoes) {
    add_node("n1");
    add_node("n2");
    submit("r", {.nodes = 2});
    report("n1", "r", NodePhase::ready);
    report("n2", "r", NodePhase::preparing, std::nullopt, "building the environment: 12 s");

    EXPECT_EQ(reason("r"), "node 'n2' is not ready yet: building the environment: 12 s (1 of 2 nodes ready)");
}

TEST_F(Explain, ANewDetailTellsTheFollowers) {
    add_node("n1");
    submit("r");
    report("n1", "r", NodePhase::preparing, std::nullopt, "fetching the snapshot");

    const Actions actions = report("n1", "r", NodePhase::preparing, std::nullopt, "building the environment");

    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(std::get<WaitChanged>(actions[0]).run, RunId("r"));
    EXPECT_TRUE(report("n1", "r", NodePhase::preparing, std::nullopt, "building the environment").empty());
}

TEST_F(Explain, NotRespondingNamesTheNodeAndTheDeadline) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    heartbeat("n1");
    pass(45s, {"n1"});

    EXPECT_EQ(reason("r"), "no word from node 'n2' for 45 s; given up after 10 min");
}

TEST_F(Explain, FinalizingNamesTheNodeThatStillSends) {
    add_node("n1");
    add_node("n2");
    start("r", {.nodes = 2});
    report("n1", "r", NodePhase::done, ended_well());
    EXPECT_EQ(reason("r"), "waiting for node 'n2' to stop and to send the last files");

    report("n2", "r", NodePhase::exited, stopped_outcome());

    EXPECT_EQ(reason("r"), "node 'n2' still sends the last files");
}

TEST_F(Explain, CancelRequestedNamesWhoAskedAndWhoMustStop) {
    add_node("n1");
    start("r");
    cancel("r");

    EXPECT_EQ(reason("r"), "canceled by 'ada'; waiting for node 'n1' to stop");
}

TEST_F(Explain, TheListOfActiveRunsHasTheSameReasonsAndTheOrderOfTheQueue) {
    add_node("n1");
    start("x");
    submit("b");
    now_ += 1s;
    submit("a");
    submit("urgent", {.priority = 1});

    const std::vector<RunView> runs = reactor_->active_runs(now_);

    ASSERT_EQ(runs.size(), 4U);
    std::vector<std::string> ids;
    for (const RunView& each : runs) {
        ids.push_back(each.spec.id.str());
        EXPECT_EQ(each.reason, reason(each.spec.id.str()));
    }
    EXPECT_EQ(ids, (std::vector<std::string>{"x", "urgent", "b", "a"}));
}

TEST_F(Explain, TheHeadOfAQueueLearnsThatItsReasonChanged) {
    add_node("n1");
    add_node("n2");
    start("x");
    submit("r", {.nodes = 2});

    const Actions actions = apply(reactor_->set_drained(NodeName("n2"), true, now_));

    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(std::get<WaitChanged>(actions[0]).run, RunId("r"));
}

} // namespace
} // namespace linarite::core
