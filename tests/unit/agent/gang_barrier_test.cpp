#include "agent/gang_barrier.hpp"
#include "agent/mpi_version.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<proto::GangMember> gang_of(const std::vector<std::string>& versions) {
    std::vector<proto::GangMember> gang;
    for (const auto& version : versions) {
        proto::GangMember member;
        member.node = NodeName("n" + std::to_string(gang.size()));
        member.host_id = member.node.str();
        member.network = proto::NodeNetwork{"eth0", "10.0.0.1", 1000, version, true};
        gang.push_back(member);
    }
    return gang;
}

TEST(GangBarrier, OneVersionOfOpenMpiIsAsItShouldBe) {
    EXPECT_TRUE(check_versions(gang_of({"Open MPI 4.1.4", "Open MPI 4.1.4"})));
    EXPECT_TRUE(check_versions(gang_of({"Open MPI 4.1.4", ""}))) << "one that is not known";
    EXPECT_TRUE(check_versions({}));
}

TEST(GangBarrier, DifferentVersionsAreNamedWithTheirNodesAndWhatToDo) {
    const auto checked = check_versions(gang_of({"Open MPI 4.1.4", "Open MPI 5.0.11", "Open MPI 4.1.4"}));

    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code(), Errc::invalid_argument);
    EXPECT_THAT(checked.error().detail(), HasSubstr("Open MPI 4.1.4 on 'n0', 'n2'; Open MPI 5.0.11 on 'n1'"));
    EXPECT_THAT(checked.error().detail(), HasSubstr("install the same one"));
}

TEST(GangBarrier, NodesThatHaveNotReachedAllOthersAreNamed) {
    auto gang = gang_of({"a", "a", "a"});
    EXPECT_THAT(unproven_nodes(gang), IsEmpty());

    gang[1].network->reaches_all = false;
    gang[2].network.reset();

    EXPECT_THAT(unproven_nodes(gang), ElementsAre("'n1'", "'n2'"));
}

TEST(GangBarrier, TheVersionIsReadFromWhatMpirunPrints) {
    EXPECT_EQ(mpi_version_in("mpirun (Open MPI) 4.1.4"), "Open MPI 4.1.4");
    EXPECT_EQ(mpi_version_in("Intel(R) MPI Library for Linux* OS, Version 2021.6"),
              "Intel(R) MPI Library for Linux* OS, Version 2021.6");
}

} // namespace
} // namespace linarite::agent
