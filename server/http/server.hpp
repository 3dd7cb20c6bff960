// server/http/server.hpp: the listeners, https and plain http, and everything that a request passes before its handler.
#pragma once

#include "server/http/router.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::http {

/// The bearer token's owner, or unauthorized. Called once per request; may ask the store.
using Authenticate = std::function<asio::awaitable<Result<Principal>>(std::string token)>;

/// Numbers of the reliability contract, section 6; tests shrink them.
struct ServerLimits {
    std::size_t request_line = 8U << 10U;
    std::size_t header_block = 16U << 10U;
    std::size_t header_fields = 100;
    std::chrono::milliseconds header_time{10'000};
    std::chrono::milliseconds handshake_time{10'000};
    std::chrono::milliseconds json_time{30'000};
    std::size_t json_body = 4U << 20U;
    std::uint64_t blob_body = std::uint64_t{64} << 30U;
    std::uint64_t slow_bytes = 30U << 10U; // a streamed body must bring this many bytes in `slow_window`
    std::chrono::milliseconds slow_window{30'000};
    std::chrono::milliseconds idle{60'000};
    std::chrono::milliseconds write_time{30'000}; // without any progress of an answer
    std::size_t unread_body =
        64U << 10U; // of a body that nobody wanted is read and dropped, else the connection is closed
    std::size_t requests_per_connection = 10'000;
    std::size_t connections = 10'000;
    std::size_t connections_per_address = 1'024;
    int failed_logins_per_minute = 10; // per address, then 429; valid tokens pass
};

struct ListenAddress {
    std::string host; // numeric address
    unsigned short port = 0;
};

class Server {
public:
    /// `hosts`: the names that the Host header may carry besides localhost, 127.0.0.1 and [::1] ("*" allows any).
    Server(asio::io_context& io, Router router, Authenticate authenticate, ServerLimits limits,
           std::vector<std::string> hosts);
    ~Server();

    /// Binds and accepts; gives the port that was chosen. `tls` null is plain http, refused for non-loopback addresses.
    Result<unsigned short> listen(const ListenAddress& address, std::shared_ptr<asio::ssl::context> tls);
    /// Stops accepting, tells streams that the server stops, closes idle connections; returns when all are gone or
    /// after `grace`.
    asio::awaitable<void> stop(std::chrono::milliseconds grace);

    struct Counters {
        std::uint64_t connections_open = 0;
        std::uint64_t connections_total = 0;
        std::uint64_t requests_total = 0;
        std::map<std::string, std::uint64_t> by_route_and_status; // "GET /api/v1/runs/{id} 200"
    };
    [[nodiscard]] Counters counters() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

/// Makes ca.pem, ca.key, server.pem and server.key below `folder` if they are missing, keys 0600, valid for localhost,
/// 127.0.0.1,
/// ::1, this host's name and `names`; the server certificate is made anew if it lacks a name or ends within 30 days.
Result<void> ensure_certificates(const std::filesystem::path& folder, const std::vector<std::string>& names);
/// A server context, TLS 1.2 or newer, of the certificates below `folder`.
Result<std::shared_ptr<asio::ssl::context>> load_certificates(const std::filesystem::path& folder);

} // namespace linarite::http
