// agent/launch/interfaces.hpp: the network interfaces of this host, and which of them MPI uses between hosts.
#pragma once

#include "common/error.hpp"

#include <string>
#include <vector>

namespace linarite::agent {

/// One address of an interface that is up.
struct Interface {
    std::string name;
    std::string address;
    int prefix = 0;
    bool loopback = false;
    bool bridge = false; // as container engines make them: their addresses are the same on many hosts
    bool operator==(const Interface&) const = default;
};

/// IPv4 first, then IPv6, then loopback; without link-local addresses.
std::vector<Interface> list_interfaces();

/// "eth0 (10.77.0.2)".
std::string describe(const Interface& interface);

/// What an operator wrote: an interface's name, an address, or a network ("10.77.0.0/24"). invalid_argument, naming
/// what there is, if nothing of this host is meant by it.
Result<Interface> pinned_interface(const std::vector<Interface>& all, const std::string& pin);

/// An interface, and why it is this one.
struct ChosenInterface {
    Interface interface;
    std::string reason;
};

/// Without a pin: that through which the coordinator is reached, else that of the default route, else the first that
/// is a way out at all, else loopback. "" stands for a route that leads nowhere.
ChosenInterface choose_interface(const std::vector<Interface>& all, const std::string& towards_coordinator,
                                 const std::string& default_route);

/// Which of our addresses packets to `host` would come from, by the routing table; "" if there is no way or no such
/// host. Nothing is sent.
std::string source_address(const std::string& host);

/// The interface for MPI on this host: `pin` ("" is none), or found. Error: the pin means nothing here.
Result<ChosenInterface> mpi_interface(const std::string& pin, const std::string& coordinator_url);

/// The name of the interface with this address; "" if there is none.
std::string interface_of(const std::string& address);

} // namespace linarite::agent
