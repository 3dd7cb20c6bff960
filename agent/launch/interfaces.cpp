#include "agent/launch/interfaces.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/url/parse.hpp>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <filesystem>
#include <ifaddrs.h>

namespace linarite::agent {

namespace {

namespace ip = boost::asio::ip;

constexpr const char* somewhere = "192.0.2.1"; // TEST-NET-1: only the default route leads there

ip::address address_of(const sockaddr* raw) {
    if (raw->sa_family == AF_INET) {
        return ip::address_v4(ntohl(reinterpret_cast<const sockaddr_in*>(raw)->sin_addr.s_addr));
    }
    ip::address_v6::bytes_type bytes{};
    const auto& given = reinterpret_cast<const sockaddr_in6*>(raw)->sin6_addr;
    std::copy(std::begin(given.s6_addr), std::end(given.s6_addr), bytes.begin());
    return ip::address_v6(bytes);
}

/// Netmasks are so many ones, then zeros.
int prefix_of(const sockaddr* mask) {
    if (mask == nullptr) {
        return 0;
    }
    if (mask->sa_family == AF_INET) {
        return __builtin_popcount(reinterpret_cast<const sockaddr_in*>(mask)->sin_addr.s_addr);
    }
    int ones = 0;
    for (const unsigned char byte : reinterpret_cast<const sockaddr_in6*>(mask)->sin6_addr.s6_addr) {
        ones += __builtin_popcount(byte);
    }
    return ones;
}

bool is_wanted(const ifaddrs& entry) {
    const bool is_ip =
        entry.ifa_addr != nullptr && (entry.ifa_addr->sa_family == AF_INET || entry.ifa_addr->sa_family == AF_INET6);
    if (!is_ip || (entry.ifa_flags & IFF_UP) == 0) {
        return false;
    }
    const auto address = address_of(entry.ifa_addr);
    return !address.is_v6() || !address.to_v6().is_link_local();
}

template <class Network>
bool same_network(const Network& one, const Network& other) {
    return one.canonical() == other;
}

/// Whether the address lies in the network that is written as "10.77.0.0/24".
bool lies_in(const Interface& interface, const std::string& network) {
    boost::system::error_code ec;
    const auto address = ip::make_address(interface.address, ec);
    if (ec) {
        return false;
    }
    if (address.is_v4()) {
        const auto v4 = ip::make_network_v4(network, ec);
        return !ec && same_network(ip::network_v4(address.to_v4(), v4.prefix_length()), v4.canonical());
    }
    const auto v6 = ip::make_network_v6(network, ec);
    return !ec && same_network(ip::network_v6(address.to_v6(), v6.prefix_length()), v6.canonical());
}

std::string list_of(const std::vector<Interface>& all) {
    std::string out;
    for (const auto& each : all) {
        out += (out.empty() ? "" : ", ") + each.name + " (" + each.address + "/" + std::to_string(each.prefix) + ")";
    }
    return out.empty() ? "none that is up" : out;
}

/// Loopback does not lead to other hosts, whatever route it is on.
const Interface* with_address(const std::vector<Interface>& all, const std::string& address) {
    const auto found = std::ranges::find_if(
        all, [&](const auto& each) { return !address.empty() && each.address == address && !each.loopback; });
    return found == all.end() ? nullptr : &*found;
}

} // namespace

std::vector<Interface> list_interfaces() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) {
        return {};
    }
    std::vector<Interface> all;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        if (is_wanted(*at)) {
            std::error_code ec;
            const bool bridge = std::filesystem::exists(std::string("/sys/class/net/") + at->ifa_name + "/bridge", ec);
            all.push_back({at->ifa_name, address_of(at->ifa_addr).to_string(), prefix_of(at->ifa_netmask),
                           (at->ifa_flags & IFF_LOOPBACK) != 0, bridge});
        }
    }
    ::freeifaddrs(list);
    std::ranges::stable_sort(all, {}, [](const Interface& each) {
        return std::pair(each.loopback, each.address.find(':') != std::string::npos);
    });
    return all;
}

std::string describe(const Interface& interface) {
    return interface.name + " (" + interface.address + ")";
}

Result<Interface> pinned_interface(const std::vector<Interface>& all, const std::string& pin) {
    for (const auto& each : all) {
        if (each.name == pin || each.address == pin || lies_in(each, pin)) {
            return each;
        }
    }
    return Error(Errc::invalid_argument, "--mpi-interface '" + pin +
                                             "' is neither the name of an interface of this host that is up, nor an "
                                             "address of one, nor a network (10.0.0.0/8) that one is in; there is " +
                                             list_of(all));
}

ChosenInterface choose_interface(const std::vector<Interface>& all, const std::string& towards_coordinator,
                                 const std::string& default_route) {
    if (const auto* found = with_address(all, towards_coordinator)) {
        return {*found, "the coordinator is reached through it"};
    }
    if (const auto* found = with_address(all, default_route)) {
        return {*found, "the default route leads through it"};
    }
    for (const bool bridges : {false, true}) {
        for (const auto& each : all) {
            if (!each.loopback && each.bridge == bridges) {
                return {each, "it is the first that leads out of this host"};
            }
        }
    }
    return {Interface{"lo", "127.0.0.1", 8, true, false}, "this host has no other"};
}

std::string source_address(const std::string& host) {
    // connecting a datagram socket sends nothing; it only asks the routing table which of our addresses would be used
    boost::asio::io_context io;
    boost::system::error_code ec;
    const auto found = ip::udp::resolver(io).resolve(host, "9", ec);
    if (ec || found.empty()) {
        return "";
    }
    ip::udp::socket socket(io);
    socket.connect(found.begin()->endpoint(), ec);
    return ec ? "" : socket.local_endpoint(ec).address().to_string();
}

Result<ChosenInterface> mpi_interface(const std::string& pin, const std::string& coordinator_url) {
    const auto all = list_interfaces();
    if (!pin.empty()) {
        auto pinned = pinned_interface(all, pin);
        if (!pinned) {
            return pinned.error();
        }
        return ChosenInterface{std::move(*pinned), "--mpi-interface " + pin};
    }
    const auto url = boost::urls::parse_uri(coordinator_url);
    const std::string coordinator = url ? source_address(std::string(url->host_address())) : "";
    return choose_interface(all, coordinator, source_address(somewhere));
}

std::string interface_of(const std::string& address) {
    const auto all = list_interfaces();
    const auto found = std::ranges::find(all, address, &Interface::address);
    return found == all.end() ? "" : found->name;
}

} // namespace linarite::agent
