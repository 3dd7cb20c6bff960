#include "agent/launch/interfaces.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::HasSubstr;

const Interface docker{"docker0", "172.17.0.1", 16, false, true};
const Interface office{"eth0", "192.168.1.7", 24, false, false};
const Interface cluster{"eth1", "10.77.0.3", 24, false, false};
const Interface loopback{"lo", "127.0.0.1", 8, true, false};
const std::vector<Interface> all{docker, office, cluster, loopback};

TEST(Interfaces, TheOneTowardsTheCoordinatorIsChosen) {
    const auto chosen = choose_interface(all, "10.77.0.3", "192.168.1.7");

    EXPECT_EQ(chosen.interface, cluster);
    EXPECT_EQ(chosen.reason, "the coordinator is reached through it");
}

TEST(Interfaces, BesideTheCoordinatorTheDefaultRouteDecides) {
    EXPECT_EQ(choose_interface(all, "127.0.0.1", "192.168.1.7").interface, office);
    EXPECT_EQ(choose_interface(all, "", "192.168.1.7").interface, office);
}

TEST(Interfaces, WithoutAnyRouteABridgeIsTakenOnlyIfThereIsNothingElse) {
    EXPECT_EQ(choose_interface(all, "", "").interface, office);
    EXPECT_EQ(choose_interface({docker, loopback}, "", "").interface, docker);
    EXPECT_EQ(choose_interface({loopback}, "", "").interface.address, "127.0.0.1");
    EXPECT_EQ(choose_interface({}, "", "").interface.address, "127.0.0.1");
}

TEST(Interfaces, APinIsANameAnAddressOrANetwork) {
    EXPECT_EQ(pinned_interface(all, "eth1").value(), cluster);
    EXPECT_EQ(pinned_interface(all, "10.77.0.3").value(), cluster);
    EXPECT_EQ(pinned_interface(all, "10.77.0.0/24").value(), cluster);
    EXPECT_EQ(pinned_interface(all, "10.0.0.0/8").value(), cluster);
    EXPECT_EQ(pinned_interface(all, "docker0").value(), docker);
    EXPECT_EQ(pinned_interface({{"eth0", "fd00::3", 64}, loopback}, "fd00::/16").value().name, "eth0");
}

TEST(Interfaces, APinThatMeansNothingIsRefusedWithWhatThereIs) {
    for (const std::string pin : {"eth7", "10.78.0.0/24", "10.77.0.4", "10.77.0.0/33", "/", ""}) {
        const auto pinned = pinned_interface(all, pin);

        ASSERT_FALSE(pinned) << pin;
        EXPECT_EQ(pinned.error().code(), Errc::invalid_argument);
        EXPECT_THAT(pinned.error().detail(), HasSubstr("--mpi-interface '" + pin + "'"));
        EXPECT_THAT(pinned.error().detail(), HasSubstr("eth0 (192.168.1.7/24), eth1 (10.77.0.3/24)"));
    }
}

TEST(Interfaces, ThisHostHasLoopback) {
    const auto found = list_interfaces();

    const auto lo = std::ranges::find(found, "127.0.0.1", &Interface::address);
    ASSERT_NE(lo, found.end());
    EXPECT_TRUE(lo->loopback);
    EXPECT_EQ(lo->prefix, 8);
    EXPECT_EQ(interface_of("127.0.0.1"), lo->name);
    EXPECT_EQ(interface_of("192.0.2.77"), "");
    EXPECT_EQ(source_address("127.0.0.1"), "127.0.0.1");
}

} // namespace
} // namespace linarite::agent
