#include "proto/process_layout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;

TEST(ProcessLayout, RanksArePlacedByNode) {
    RunDefinition definition;
    definition.launch = LaunchKind::process_group;
    definition.node_count = 2;
    definition.processes_per_node = 2;

    EXPECT_THAT(process_layout(definition),
                ElementsAre(ProcessPlace{0, ProcessRole::rank, 0, 0, 0}, ProcessPlace{1, ProcessRole::rank, 1, 0, 1},
                            ProcessPlace{2, ProcessRole::rank, 2, 1, 0}, ProcessPlace{3, ProcessRole::rank, 3, 1, 1}));
}

TEST(ProcessLayout, ParameterServersComeFirstToTheNodesAndLastInRank) {
    RunDefinition definition;
    definition.launch = LaunchKind::parameter_server;
    definition.node_count = 2;
    definition.worker_count = 2;
    definition.parameter_server_count = 1;

    EXPECT_THAT(process_layout(definition), ElementsAre(ProcessPlace{0, ProcessRole::worker, 0, 1, 0},
                                                        ProcessPlace{1, ProcessRole::worker, 1, 0, 1},
                                                        ProcessPlace{2, ProcessRole::parameter_server, 0, 0, 0}));
}

TEST(ProcessLayout, LogsAreCalledAsOnTheService) {
    EXPECT_EQ(driver_log_name(file_word({0, ProcessRole::rank, 0, 0, 0}, 1)), "70_driver_log.txt");
    EXPECT_EQ(driver_log_name(file_word({3, ProcessRole::rank, 3, 1, 1}, 4)), "70_driver_log_3.txt");
    EXPECT_EQ(driver_log_name(file_word({0, ProcessRole::worker, 0, 0, 0}, 1)), "70_driver_log_worker_0.txt");
    EXPECT_EQ(driver_log_name(file_word({5, ProcessRole::parameter_server, 1, 0, 0}, 6)), "70_driver_log_ps_1.txt");
}

TEST(ProcessLayout, PeopleReadWhatItIs) {
    EXPECT_EQ(describe({3, ProcessRole::rank, 3, 1, 1}), "rank 3");
    EXPECT_EQ(describe({0, ProcessRole::worker, 0, 0, 0}), "worker 0");
    EXPECT_EQ(describe({4, ProcessRole::parameter_server, 1, 0, 0}), "parameter server 1");
}

} // namespace
} // namespace linarite::proto
