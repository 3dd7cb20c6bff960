#include "agent/launch/port_lease.hpp"

#include <netinet/in.h>

#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace linarite::agent {

namespace {

constexpr int range_begin = 20'000;
constexpr int range_end = 32'000;     // Linux hands out ports from 32768 on
constexpr std::uint64_t stride = 613; // coprime to the range: hints one apart land far from each other

/// The name of a port among the abstract Unix sockets; invalid if another agent has it.
UniqueFd take_name(int port) {
    const std::string name = "linarite-port-" + std::to_string(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(&address.sun_path[1], name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0 ? std::move(fd) : UniqueFd();
}

/// Nobody has it on any of our addresses.
bool is_free(int port) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

Result<PortLease> PortLease::take(int count, std::uint64_t hint) {
    constexpr int span = range_end - range_begin;
    int at = static_cast<int>(hint * stride % span);
    for (int tried = 0; tried < span;) {
        PortLease lease(range_begin + at);
        int row = 0;
        while (row < count && lease.first_ + row < range_end) {
            UniqueFd name = take_name(lease.first_ + row);
            if (!name || !is_free(lease.first_ + row)) {
                break;
            }
            lease.names_.push_back(std::move(name));
            ++row;
        }
        if (row == count) {
            return lease;
        }
        tried += row + 1;
        at = (at + row + 1) % span;
    }
    return Error(Errc::resource_exhausted, "there are no " + std::to_string(count) +
                                               " free ports one after the other from " + std::to_string(range_begin) +
                                               " to " + std::to_string(range_end - 1));
}

PortLease PortLease::take_again(int first, int count) {
    PortLease lease(first);
    for (int port = first; port < first + count; ++port) {
        lease.names_.push_back(take_name(port)); // if somebody was quicker, the run has the port all the same
    }
    return lease;
}

} // namespace linarite::agent
