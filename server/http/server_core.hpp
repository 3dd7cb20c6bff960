// server/http/server_core.hpp: what all connections of one server share. Belongs to the io_context's thread.
#pragma once

#include "server/http/head.hpp"
#include "server/http/server.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace linarite::http {

class Session;

/// Counts wrong tokens per address; who brings a right one is never asked about.
class LoginLimiter {
public:
    explicit LoginLimiter(int per_minute) : per_minute_(per_minute) {}
    /// Notes one failure; true if this address has had too many of them within a minute.
    bool too_many(const std::string& address, std::chrono::steady_clock::time_point now);

private:
    struct Failures {
        std::chrono::steady_clock::time_point since;
        int count = 0;
    };
    int per_minute_;
    std::unordered_map<std::string, Failures> failures_;
};

/// Configuration, connections and counters.
struct ServerCore {
    ServerCore(asio::io_context& context, Router routes, Authenticate check, ServerLimits limit,
               const std::vector<std::string>& names);

    asio::io_context& io;
    Router router;
    Authenticate authenticate;
    ServerLimits limits;
    HostNames hosts;
    LoginLimiter logins;
    bool stopping = false;

    std::unordered_set<Session*> sessions;
    std::unordered_map<std::string, std::size_t> per_address;
    asio::steady_timer all_gone; // cancelled when the last session ends
    std::uint64_t connections_total = 0;
    std::uint64_t requests_total = 0;
    std::size_t turned_away = 0; // connections over the limit that are still being told so

    /// One more answered request.
    void count(beast_http::verb method, const std::string& route, beast_http::status status);
    std::unordered_map<std::string, std::uint64_t> by_route_and_status;

private:
    std::string counter_name_; // kept for its memory
};

} // namespace linarite::http
