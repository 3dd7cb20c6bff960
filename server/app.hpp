// server/app.hpp: the coordinator, put together. The only place of the server where objects meet.
#pragma once

#include "common/data_dir.hpp"
#include "common/error.hpp"
#include "server/core/reactor.hpp"
#include "server/http/server.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::server {

namespace asio = boost::asio;

struct Options {
    DataDir data{""};
    std::string listen_host = "127.0.0.1"; // for https; any other than loopback is "cluster mode"
    unsigned short https_port = 8443;      // 0: any free one
    unsigned short http_port = 8080;       // plain http on loopback; 0: any free one
    std::vector<std::string> names;        // more names for the certificate and the Host header
    std::string version;
    core::Limits limits;
    Millis stop_grace{30'000}; // between TERM and KILL of a run that is stopped; limits.stop must be longer
    http::ServerLimits http_limits;
};

/// A running coordinator.
class App {
public:
    ~App();
    App(const App&) = delete;
    App& operator=(const App&) = delete;

    /// Locks the data directory, opens the history, reads back what was active, listens, and writes endpoint.json and
    /// (once) the admin token. Errors say what is wrong and the way out ("port 8443 is taken ...").
    static asio::awaitable<Result<std::unique_ptr<App>>> start(asio::io_context& io, Options options);

    [[nodiscard]] const std::string& https_url() const;
    [[nodiscard]] const std::string& http_url() const;
    /// A fresh join string for one agent.
    asio::awaitable<Result<std::string>> make_join_string();
    /// The node `name`'s row exists: its agent has joined before.
    asio::awaitable<bool> knows_node(std::string name);

    /// Stops listening, lets what is under way end, closes the history, removes endpoint.json.
    asio::awaitable<void> stop();

private:
    struct Parts;
    explicit App(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

} // namespace linarite::server
