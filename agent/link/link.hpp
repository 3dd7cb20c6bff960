// agent/link/link.hpp: the agent's connections to the coordinator: one that is held open for what is wanted, one to say
// what is.
#pragma once

#include "client/http_client.hpp"
#include "common/error.hpp"
#include "proto/agent_protocol.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace linarite::agent {

namespace asio = boost::asio;

/// What the link asks its owner for and tells it.
struct LinkCallbacks {
    /// Where the coordinator is now; asked before each new connection, since a restarted one may listen elsewhere.
    std::function<Result<client::Address>()> address;
    /// The full picture, without `seen` and `wait`.
    std::function<proto::SyncRequest()> picture;
    /// What is wanted. Called only with answers that are not older than the last one.
    std::function<void(proto::SyncAnswer)> wanted;
    /// The coordinator refuses this agent for good ("gone": a newer incarnation; "unauthorized": it was removed).
    std::function<void(Error)> refused;
};

/// Keeps asking "this is my state; what is wanted of me?". Both connections carry the full picture, so any message may
/// be lost or repeated. Reconnects with a back-off of 50 ms to 2 s while the coordinator is away.
class Link {
public:
    Link(asio::any_io_executor executor, LinkCallbacks callbacks);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// Runs until stop(). Spawn both loops by calling it once.
    void start();
    /// Something changed: the coordinator is told at once, or right after the report that is under way.
    void report();
    /// Whether everything that was asked to be reported has been taken by the coordinator.
    [[nodiscard]] bool idle() const;
    /// Since the last word that the coordinator has answered was sent, or since the link was made. Goes on while the
    /// machine is suspended.
    [[nodiscard]] Millis silence() const;
    void stop();

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace linarite::agent
