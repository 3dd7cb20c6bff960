#include "agent/launch/port_lease.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <sys/socket.h>

namespace linarite::agent {
namespace {

/// A listener on loopback; invalid if the port is taken.
UniqueFd listen_at(int port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    return bound && ::listen(fd.get(), 1) == 0 ? std::move(fd) : UniqueFd();
}

TEST(PortLease, TwoLeasesWithTheSameHintAreDisjoint) {
    const auto one = PortLease::take(3, 4711);
    const auto other = PortLease::take(3, 4711);

    ASSERT_TRUE(one && other);
    EXPECT_GE(std::abs(one->first() - other->first()), 3);
}

TEST(PortLease, ThePortIsFreeForTheRunItself) {
    const auto lease = PortLease::take(1, 99);

    ASSERT_TRUE(lease);
    EXPECT_TRUE(listen_at(lease->first()));
}

TEST(PortLease, PortsThatSomebodyListensAtAreLeftOut) {
    int first = 0;
    {
        const auto lease = PortLease::take(2, 123);
        ASSERT_TRUE(lease);
        first = lease->first();
    }
    const UniqueFd listener = listen_at(first + 1);
    ASSERT_TRUE(listener);

    const auto lease = PortLease::take(2, 123);

    ASSERT_TRUE(lease);
    EXPECT_TRUE(lease->first() > first + 1 || lease->first() + 1 < first + 1) << lease->first();
}

TEST(PortLease, WhatIsTakenAgainIsKeptFromOthers) {
    int first = 0;
    {
        const auto lease = PortLease::take(1, 5);
        ASSERT_TRUE(lease);
        first = lease->first();
    }
    const PortLease again = PortLease::take_again(first, 1);

    const auto other = PortLease::take(1, 5);

    ASSERT_TRUE(other);
    EXPECT_NE(other->first(), again.first());
}

} // namespace
} // namespace linarite::agent
