#include "unit/server_core/cluster.hpp"

namespace linarite::core {
namespace {

class Scheduling : public Cluster {
protected:
    explicit Scheduling(Limits limits = {}) : Cluster(limits) {}
    void add_nodes(int n, int slots = 1) {
        for (int i = 1; i <= n; ++i) {
            add_node("n" + std::to_string(i), slots);
        }
    }
    void start(const std::string& id, const RunOptions& options = {}) {
        submit(id, options);
        ASSERT_EQ(status(id), RunStatus::provisioning) << id;
        for (const std::string& each : nodes_of(id)) {
            report(each, id, NodePhase::launched);
        }
    }
    void finish(const std::string& id) {
        for (const std::string& each : nodes_of(id)) {
            report(each, id, NodePhase::done, ended_well());
        }
        ASSERT_EQ(status(id), RunStatus::completed) << id;
    }
    bool waits(const std::string& id) { return status(id) == RunStatus::queued; }
};

TEST_F(Scheduling, PriorityGoesFirstThenAge) {
    add_nodes(1);
    start("busy");
    submit("old");
    now_ += 1s;
    submit("young");
    submit("urgent", {.priority = 1});

    finish("busy");
    EXPECT_FALSE(waits("urgent"));
    finish("urgent");
    EXPECT_FALSE(waits("old"));
    finish("old");

    EXPECT_FALSE(waits("young"));
}

TEST_F(Scheduling, EqualAgeGoesById) {
    add_nodes(1);
    start("busy");
    submit("b");
    submit("a");

    finish("busy");

    EXPECT_FALSE(waits("a"));
    EXPECT_TRUE(waits("b"));
}

TEST_F(Scheduling, AGangTakesDistinctNodesThoughOneHasSlotsForAll) {
    add_nodes(2, 4);

    submit("gang", {.nodes = 2});

    EXPECT_EQ(nodes_of("gang"), (std::vector<std::string>{"n1", "n2"}));
}

TEST_F(Scheduling, TheEmptiestNodesAreTaken) {
    add_nodes(3, 2);
    submit("a");

    submit("gang", {.nodes = 2});

    EXPECT_EQ(nodes_of("gang"), (std::vector<std::string>{"n2", "n3"}));
}

TEST_F(Scheduling, AGangThatDoesNotFitTakesNothing) {
    add_nodes(2);
    start("busy");

    submit("gang", {.nodes = 2});

    EXPECT_TRUE(waits("gang"));
    EXPECT_TRUE(nodes_of("gang").empty());
    EXPECT_TRUE(node("n2").runs.empty());
}

TEST_F(Scheduling, NodesThatBecomeFreeAreKeptForTheLargeRun) {
    add_nodes(3);
    start("a");
    start("b");
    start("c");
    submit("large", {.nodes = 3});
    now_ += 1s;
    submit("small");

    finish("a");
    EXPECT_TRUE(waits("small"));
    finish("b");
    EXPECT_TRUE(waits("small"));
    finish("c");

    EXPECT_FALSE(waits("large"));
    finish("large");
    EXPECT_FALSE(waits("small"));
}

TEST_F(Scheduling, AYoungerRunPassesOnANodeThatTheReservationDoesNotNeed) {
    add_nodes(2);
    add_node("n3", 1, {"local"});
    start("busy");
    submit("large", {.nodes = 2});
    now_ += 1s;

    submit("small", {.target = "local"});

    EXPECT_TRUE(waits("large"));
    EXPECT_FALSE(waits("small"));
}

TEST_F(Scheduling, ASpareSlotOnAReservedNodeIsUsed) {
    add_node("n1", 2);
    add_node("n2", 1);
    submit("pin", {.nodes = 2});
    ASSERT_EQ(nodes_of("pin").size(), 2U);
    submit("large", {.nodes = 2});
    now_ += 1s;
    submit("small");

    EXPECT_TRUE(waits("large"));
    EXPECT_TRUE(waits("small")) << "the second slot of n1 is reserved";
    NodeSpec more = specs_.at("n1");
    more.slots = 3;
    apply(reactor_->node_up(more, now_).value());

    EXPECT_TRUE(waits("large"));
    EXPECT_FALSE(waits("small")) << "the third is spare";
}

TEST_F(Scheduling, ARunThatIsOverInTimeBorrowsAReservedNode) {
    add_nodes(2);
    start("busy", {.max_duration = 1h});
    submit("large", {.nodes = 2});
    now_ += 1s;

    submit("too-long", {.max_duration = 2h});
    submit("unknown");
    submit("short", {.max_duration = 30min});

    EXPECT_TRUE(waits("large"));
    EXPECT_TRUE(waits("too-long"));
    EXPECT_TRUE(waits("unknown"));
    EXPECT_EQ(nodes_of("short"), std::vector<std::string>{"n2"});
}

TEST_F(Scheduling, AFreeNodeIsKeptRatherThanOneWhoseRunIsOverdue) {
    add_nodes(3);
    start("overdue", {.max_duration = 1min});
    start("overdue2", {.max_duration = 1min});
    start("busy");
    pass(2min, {"n1", "n2", "n3"});
    submit("large", {.nodes = 2});
    now_ += 1s;
    submit("small");

    finish("busy");

    EXPECT_TRUE(waits("large"));
    EXPECT_TRUE(waits("small"));
}

TEST_F(Scheduling, NobodyBorrowsIfItIsNotKnownWhenTheLargeRunCanStart) {
    add_nodes(2);
    start("busy");
    submit("large", {.nodes = 2});
    now_ += 1s;

    submit("short", {.max_duration = 1min});

    EXPECT_TRUE(waits("short"));
}

TEST_F(Scheduling, ALargeRunThatLacksNodesHoldsNobodyUp) {
    add_nodes(3);
    pass(limits_.lease, {"n1", "n2"});
    ASSERT_FALSE(node("n3").up);
    submit("large", {.nodes = 3});
    now_ += 1s;

    submit("small");

    EXPECT_TRUE(waits("large"));
    EXPECT_FALSE(waits("small"));
}

TEST_F(Scheduling, ADrainedNodeGetsNothingNewAndFinishesWhatItHas) {
    add_nodes(1);
    start("a");
    drain("n1");
    submit("b");

    finish("a");
    EXPECT_TRUE(waits("b"));
    drain("n1", false);

    EXPECT_FALSE(waits("b"));
}

TEST_F(Scheduling, PoolsShareNodes) {
    add_node("both", 1, {"cpu-cluster", "local"});
    add_node("gpu", 1, {"gpu-cluster"});
    submit("a", {.target = "local"});
    submit("b");

    EXPECT_FALSE(waits("a"));
    EXPECT_TRUE(waits("b"));
    finish("a");

    EXPECT_EQ(nodes_of("b"), std::vector<std::string>{"both"});
    EXPECT_EQ(reactor_->targets(), (std::set<std::string>{"cpu-cluster", "gpu-cluster", "local"}));
}

TEST_F(Scheduling, AReservationHoldsAgainstRunsOfAnotherPool) {
    add_node("n1", 1, {"cpu-cluster", "local"});
    add_node("n2", 1, {"cpu-cluster", "local"});
    start("busy", {.target = "local"});
    submit("large", {.nodes = 2});
    now_ += 1s;

    submit("small", {.target = "local"});

    EXPECT_TRUE(waits("small"));
}

TEST_F(Scheduling, ANodeThatChangesItsPoolsServesTheNewOnes) {
    add_nodes(1);
    add_node("n2", 1, {"other"});
    start("busy");
    submit("r");
    NodeSpec moved = specs_.at("n2");
    moved.targets = {"cpu-cluster"};

    apply(reactor_->node_up(moved, now_).value());

    EXPECT_EQ(nodes_of("r"), std::vector<std::string>{"n2"});
    EXPECT_EQ(reactor_->targets(), std::set<std::string>{"cpu-cluster"});
}

TEST_F(Scheduling, AnUnknownTargetIsRefusedWithTheKnownOnes) {
    add_node("n1", 1, {"local", "cpu-cluster"});
    RunSpec spec;
    spec.target = "gpu";

    const auto refused = reactor_->check_submit(spec);

    EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
    EXPECT_EQ(refused.error().faults(),
              (std::vector<Fault>{{"/target", "compute target 'gpu' does not exist; there are: cpu-cluster, local"}}));
}

TEST_F(Scheduling, AGangThatIsLargerThanItsPoolIsRefused) {
    add_nodes(2);
    drain("n2");
    RunSpec spec;
    spec.target = "cpu-cluster";
    spec.node_count = 2;
    EXPECT_TRUE(reactor_->check_submit(spec)) << "a drained node counts";
    spec.node_count = 5;

    const auto refused = reactor_->check_submit(spec);

    EXPECT_EQ(
        refused.error().faults(),
        (std::vector<Fault>{{"/nodeCount", "nodeCount 5 is more than the 2 nodes of compute target 'cpu-cluster'"}}));
}

TEST_F(Scheduling, ASubmitThatNoLongerFitsIsAFailedRun) {
    submit("r");

    EXPECT_EQ(history("r"), "NotStarted Failed");
    EXPECT_EQ(outcome("r")->code, "UserError");
    EXPECT_EQ(outcome("r")->message, "compute target 'cpu-cluster' does not exist; there are none yet");
}

TEST_F(Scheduling, TheSameRunTwiceIsOneRun) {
    add_nodes(2);
    submit("r");
    RunSpec again;
    again.id = RunId("r");
    again.target = "cpu-cluster";

    EXPECT_TRUE(reactor_->submit(again, now_).empty());
}

class ShortQueue : public Scheduling {
protected:
    ShortQueue() : Scheduling(small()) {}
    static Limits small() {
        Limits limits;
        limits.queue_length = 3;
        limits.backfill_depth = 1;
        return limits;
    }
};

TEST_F(ShortQueue, AFullQueueRefuses) {
    add_nodes(1);
    start("busy");
    submit("a");
    RunSpec spec;
    spec.target = "cpu-cluster";
    EXPECT_TRUE(reactor_->check_submit(spec));
    submit("b");
    submit("c");

    EXPECT_EQ(reactor_->check_submit(spec).error().code(), Errc::resource_exhausted);
}

TEST_F(ShortQueue, BehindTheLastReservationNothingStartsOutOfOrder) {
    add_nodes(3);
    start("a", {.max_duration = 1h});
    start("b", {.max_duration = 1h});
    submit("large", {.nodes = 3});
    now_ += 1s;
    submit("large2", {.nodes = 3});
    now_ += 1s;

    submit("short", {.max_duration = 1min});
    EXPECT_TRUE(waits("short")) << "it could borrow n3, but is behind the depth";
    cancel("large2");

    EXPECT_FALSE(waits("short"));
    EXPECT_TRUE(waits("large"));
}

TEST_F(Scheduling, AHundredThousandWaitingRunsCostNothingPerEvent) {
    add_nodes(2);
    start("a");
    start("b");
    for (int i = 0; i < 100'000; ++i) {
        RunSpec spec;
        spec.id = RunId("w" + std::to_string(i));
        spec.target = "cpu-cluster";
        spec.node_count = 1 + i % 2;
        spec.submitted = now_ + Millis(i);
        static_cast<void>(reactor_->submit(spec, now_));
    }
    // a walk over the queue in each of these would take minutes
    NodeName lead("n1");
    for (int i = 0; i < 2'000; ++i) {
        std::vector<NodeReport> reports;
        for (const Desired& each : reactor_->desired(lead)) {
            reports.push_back({each.run, each.fence, NodePhase::done, "", ended_well()});
        }
        static_cast<void>(reactor_->report(lead, reports, now_));
        lead = lead == NodeName("n1") ? NodeName("n2") : NodeName("n1");
    }

    EXPECT_LT(reactor_->queue_length(), 99'000U);
    EXPECT_GT(reactor_->queue_length(), 90'000U);
}

} // namespace
} // namespace linarite::core
