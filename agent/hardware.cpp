#include "agent/hardware.hpp"

#include "common/host.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/url/parse.hpp>

#include <cctype>
#include <charconv>
#include <filesystem>

namespace linarite::agent {
namespace {

// /dev/nvidia0, /dev/nvidia1, ...: one for each GPU that the driver serves.
int count_nvidia_devices() {
    int count = 0;
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator("/dev", ec)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("nvidia") && name.size() > 6 && std::isdigit(static_cast<unsigned char>(name[6])) != 0) {
            ++count;
        }
    }
    return count;
}

} // namespace

Result<proto::NodeResources> find_resources(int slots, const std::string& gpus, std::vector<std::string> labels) {
    proto::NodeResources resources;
    resources.cores = core_count();
    resources.memory_bytes = memory_bytes();
    resources.slots = slots;
    resources.labels = std::move(labels);
    if (gpus == "auto") {
        resources.gpus = count_nvidia_devices();
        return resources;
    }
    constexpr std::string_view fake = "fake:";
    const char* end = gpus.data() + gpus.size();
    if (!gpus.starts_with(fake) || std::from_chars(gpus.data() + fake.size(), end, resources.gpus).ptr != end) {
        return Error(Errc::invalid_argument, "--gpus '" + gpus + "': expected auto or fake:N");
    }
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
