// agent/launch/network_probe.hpp: whether the nodes of a run reach each other, asked before mpirun would hang on it.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;

/// A port of this host that is open for one run: whoever connects gets one line, which says where they are. An address
/// may lead to another host than was meant.
class ProbeListener {
public:
    /// unavailable: nothing can be opened at the address.
    static Result<std::unique_ptr<ProbeListener>> open(asio::any_io_executor executor, const std::string& address,
                                                       std::string greeting);
    ~ProbeListener();
    ProbeListener(const ProbeListener&) = delete;
    ProbeListener& operator=(const ProbeListener&) = delete;

    [[nodiscard]] unsigned short port() const;

private:
    struct State;
    explicit ProbeListener(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

/// Where another node listens.
struct ProbeTarget {
    std::string node;
    std::string interface;
    std::string address;
    unsigned short port = 0;
    std::string greeting; // what must come back
};

/// Connects to all of them at once, from `own_address`, until they have answered or `limit` has passed. Gives one line
/// for each that was not reached: "node 'b' cannot reach node 'c' at 10.77.0.3 (interface eth0): No route to host".
asio::awaitable<std::vector<std::string>> probe(asio::any_io_executor executor, std::string own_node,
                                                std::string own_address, std::vector<ProbeTarget> targets,
                                                Millis limit);

} // namespace linarite::agent
