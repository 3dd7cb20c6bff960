#include "fmt/core.h"
#include "proto/run_definition.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string unspecified = "'distributed_backend' or 'distributed_training' must be specified when node_count > 1 "
                                "or process_count_per_node > 1.";

struct Spelling {
    const char* framework;
    const char* communicator;
    const char* canonical_framework;
    const char* canonical_communicator;
    LaunchKind launch;
};

TEST(Distribution, EverySpellingOfTheWireIsUnderstood) {
    for (const Spelling& spelling : {
             Spelling{"Python", "None", "Python", "None", LaunchKind::single},
             Spelling{"", "", "Python", "None", LaunchKind::single},
             Spelling{"python", "none", "Python", "None", LaunchKind::single},
             Spelling{"Python", "IntelMpi", "Python", "IntelMpi", LaunchKind::mpi},
             Spelling{"python", "Mpi", "Python", "Mpi", LaunchKind::mpi},
             Spelling{"python", "mpi", "Python", "Mpi", LaunchKind::mpi},
             Spelling{"Python", "MPI", "Python", "Mpi", LaunchKind::mpi},
             Spelling{"Python", "OpenMpi", "Python", "OpenMpi", LaunchKind::mpi},
             Spelling{"PyTorch", "Mpi", "PyTorch", "Mpi", LaunchKind::mpi},
             Spelling{"pytorch", "Nccl", "PyTorch", "Nccl", LaunchKind::process_group},
             Spelling{"pytorch", "Gloo", "PyTorch", "Gloo", LaunchKind::process_group},
             Spelling{"PyTorch", "nccl", "PyTorch", "Nccl", LaunchKind::process_group},
             Spelling{"PyTorch", "gloo", "PyTorch", "Gloo", LaunchKind::process_group},
             Spelling{"Python", "Nccl", "Python", "Nccl", LaunchKind::process_group},
             Spelling{"tensorflow", "ParameterServer", "TensorFlow", "ParameterServer", LaunchKind::parameter_server},
             Spelling{"TensorFlow", "parameterserver", "TensorFlow", "ParameterServer", LaunchKind::parameter_server},
             Spelling{"TensorFlow", "ps", "TensorFlow", "ParameterServer", LaunchKind::parameter_server},
         }) {
        const bool alone = spelling.launch == LaunchKind::single;
        const auto run = definition(fmt::format(R"({{"framework":"{}","communicator":"{}","nodeCount":{}}})",
                                                spelling.framework, spelling.communicator, alone ? 1 : 2));

        EXPECT_EQ(run.launch, spelling.launch) << spelling.communicator;
        EXPECT_EQ(run.communicator, spelling.canonical_communicator);
        EXPECT_EQ(run.framework, spelling.canonical_framework);
        EXPECT_EQ(run.node_count, alone ? 1 : 2);
    }
}

TEST(Distribution, OnlyTheTopLevelNodeCountCounts) {
    const auto run = definition(R"({"communicator":"Mpi","nodeCount":3,"mpi":{"nodeCount":1,"processCountPerNode":4},
                                    "pytorch":{"nodeCount":7},"amlcompute":{"clusterMaxNodeCount":9}})");

    EXPECT_EQ(run.node_count, 3);
    EXPECT_EQ(run.processes_per_node, 4);
}

TEST(Distribution, CountsHaveLimits) {
    EXPECT_THAT(definition_faults(R"({"nodeCount":0})"),
                ElementsAre(Fault{"/nodeCount", "Node count should be at least 1."}));
    EXPECT_THAT(definition_faults(R"({"nodeCount":-3})"),
                ElementsAre(Fault{"/nodeCount", "Node count should be at least 1."}));
    EXPECT_THAT(definition_faults(R"({"communicator":"mpi","nodeCount":513})"),
                ElementsAre(Fault{"/nodeCount", "Node count should be at most 512."}));
    EXPECT_THAT(definition_faults(R"({"communicator":"mpi","mpi":{"processCountPerNode":0}})"),
                ElementsAre(Fault{"/mpi/processCountPerNode", "Process count per node should be at least 1."}));
    EXPECT_THAT(definition_faults(R"({"communicator":"mpi","mpi":{"processCountPerNode":18446744073709551615}})"),
                ElementsAre(Fault{"/mpi/processCountPerNode", "Process count per node should be at most 256."}));
    EXPECT_THAT(definition_faults(R"({"nodeCount":"2"})"),
                ElementsAre(Fault{"/nodeCount", "must be a whole number from 1 to 512"}));
    EXPECT_THAT(definition_faults(R"({"nodeCount":1.5})"),
                ElementsAre(Fault{"/nodeCount", "must be a whole number from 1 to 512"}));
    EXPECT_THAT(definition_faults(R"({"communicator":"mpi","nodeCount":512,"mpi":{"processCountPerNode":256}})"),
                IsEmpty());
}

TEST(Distribution, SeveralProcessesNeedABackend) {
    EXPECT_THAT(definition_faults(R"({"nodeCount":2})"), ElementsAre(Fault{"/communicator", unspecified}));
    EXPECT_THAT(definition_faults(R"({"mpi":{"processCountPerNode":2}})"),
                ElementsAre(Fault{"/communicator", unspecified}));
    EXPECT_THAT(definition_faults(R"({"framework":"TensorFlow","communicator":"None","nodeCount":2})"),
                ElementsAre(Fault{"/communicator", unspecified}));
}

TEST(Distribution, UnknownBackendsAreNamedWithTheSupportedOnes) {
    for (const std::string name : {"ParallelTask", "horovod", "carrier pigeon"}) {
        EXPECT_THAT(definition_faults(fmt::format(R"({{"communicator":"{}","nodeCount":2}})", name)),
                    ElementsAre(Fault{"/communicator", "Unsupported distributed backend value: " + name +
                                                           ". Supported backend(s): ['mpi', 'gloo', 'nccl', 'ps']."}));
    }
    EXPECT_THAT(definition_faults(R"({"communicator":5})"), ElementsAre(Fault{"/communicator", "must be a string"}));
}

TEST(Distribution, UnknownFrameworksAreRefused) {
    const auto faults = definition_faults(R"({"framework":"PySpark"})");

    ASSERT_THAT(faults, ElementsAre(Field(&Fault::pointer, "/framework")));
    EXPECT_THAT(faults[0].message, HasSubstr("Unsupported framework value: PySpark."));
}

TEST(Distribution, BackendsOfOtherFrameworksAreRefused) {
    EXPECT_THAT(definition_faults(R"({"framework":"tensorflow","communicator":"nccl"})"),
                ElementsAre(Fault{"/framework", "Unsupported framework for Nccl distributed training type. Supported "
                                                "frameworks are: ['pytorch', 'estimator']"}));
    EXPECT_THAT(definition_faults(R"({"framework":"PyTorch","communicator":"ps"})"),
                ElementsAre(Fault{"/framework", "Unsupported framework for ParameterServer distributed training type. "
                                                "Supported frameworks are: ['tensorflow', 'estimator']"}));
}

TEST(Distribution, ProcessCountOfPyTorchIsTheTotal) {
    const std::string nccl = R"({"framework":"PyTorch","communicator":"nccl","nodeCount":2)";

    EXPECT_EQ(definition(nccl + R"(,"pytorch":{"processCount":8}})").processes_per_node, 4);
    EXPECT_EQ(definition(nccl + R"(,"pytorch":{"processCount":null}})").processes_per_node, 1);
    EXPECT_EQ(definition(nccl + R"(,"mpi":{"processCountPerNode":4}})").processes_per_node, 1);
    for (const char* count : {"3", "1", "1024"}) {
        EXPECT_THAT(definition_faults(nccl + R"(,"pytorch":{"processCount":)" + count + "}}"),
                    ElementsAre(Field(&Fault::pointer, "/pytorch/processCount")));
    }
}

TEST(Distribution, TasksOfAParameterServerRunAreCountedByTheirOwnSection) {
    const std::string tensorflow = R"({"framework":"TensorFlow","communicator":"ParameterServer","nodeCount":2)";

    const auto given = definition(tensorflow + R"(,"tensorflow":{"workerCount":3,"parameterServerCount":2}})");
    EXPECT_EQ(given.worker_count, 3);
    EXPECT_EQ(given.parameter_server_count, 2);
    EXPECT_EQ(given.processes_per_node, 3);
    const auto unsaid = definition(tensorflow + "}");
    EXPECT_EQ(unsaid.worker_count, 2);
    EXPECT_EQ(unsaid.parameter_server_count, 1);
    EXPECT_EQ(definition(tensorflow + R"(,"tensorflow":{"workerCount":2,"parameterServerCount":0}})").worker_count, 2);
    EXPECT_THAT(definition_faults(tensorflow + R"(,"tensorflow":{"workerCount":1,"parameterServerCount":0}})"),
                ElementsAre(Field(&Fault::message, HasSubstr("cannot be shared out over 2 nodes"))));
}

} // namespace
} // namespace linarite::proto
