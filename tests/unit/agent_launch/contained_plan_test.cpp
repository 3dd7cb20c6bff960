// Plans of runs that are in a container of an image.
#include "agent/launch/plan.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::Pair;

LaunchOrder contained() {
    LaunchOrder order;
    order.run = RunId("run_1");
    order.fence = 42;
    order.definition.script = "train.py";
    order.definition.launch = proto::LaunchKind::mpi;
    order.definition.processes_per_node = 2;
    order.gang = {{.node = NodeName("node-1"), .host_id = "host-a", .address = "127.0.0.1"}};
    order.inherited = {{"PATH", "/only/in/the/image"}};
    order.python = "python3";
    order.work_dir = "/work/run_1/wd";
    order.run_dir = "/work/run_1";
    order.facts_dir = "/work/run_1/state";
    order.shim = "/opt/linarite/linarite-shim";
    order.contained = true;
    order.mpirun = "/opt/image/bin/mpirun";
    return order;
}

TEST(ContainedPlan, MpirunIsTheImagesAndNotLookedForOnTheNode) {
    auto order = contained();
    ASSERT_TRUE(plan_launch(order)) << plan_launch(order).error().detail();

    order.contained = false;
    EXPECT_FALSE(plan_launch(order));
}

TEST(ContainedPlan, RanksDoNotReadEachOthersMemory) {
    const auto plan = plan_launch(contained());

    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->job.env, Contains(Pair("OMPI_MCA_btl_vader_single_copy_mechanism", "none")));
    EXPECT_THAT(plan->ranks->env, Contains(Pair("OMPI_MCA_btl_vader_single_copy_mechanism", "none")));
    EXPECT_THAT(plan->ranks->env, Contains(Pair("OMPI_MCA_smsc", "^cma")));
}

} // namespace
} // namespace linarite::agent
