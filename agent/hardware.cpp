#include "agent/hardware.hpp"

#include "common/host.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/url/parse.hpp>

namespace linarite::agent {

proto::NodeResources find_resources(int slots, int gpus, std::vector<std::string> labels) {
    proto::NodeResources resources;
    resources.cores = core_count();
    resources.memory_bytes = memory_bytes();
    resources.gpus = gpus;
    resources.slots = slots;
    resources.labels = std::move(labels);
    return resources;
}

std::string find_address(const std::string& coordinator_url) {
    std::string loopback = "127.0.0.1";
    const auto url = boost::urls::parse_uri(coordinator_url);
    if (!url) {
        return loopback;
    }
    // connecting a datagram socket sends nothing; it only asks the routing table which of our addresses would be used
    namespace ip = boost::asio::ip;
    boost::asio::io_context io;
    boost::system::error_code ec;
    const auto found = ip::udp::resolver(io).resolve(std::string(url->encoded_host()), "9", ec);
    if (ec || found.empty()) {
        return loopback;
    }
    ip::udp::socket socket(io);
    socket.connect(found.begin()->endpoint(), ec);
    return ec ? loopback : socket.local_endpoint(ec).address().to_string();
}

} // namespace linarite::agent
