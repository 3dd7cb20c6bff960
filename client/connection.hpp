// client/connection.hpp: one connection to the coordinator as bytes, plain or TLS, with a deadline.
#pragma once

#include "common/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace linarite::client {

namespace asio = boost::asio;

/// Where a connection goes.
struct Url {
    bool tls = false;
    std::string host; // without brackets
    std::string port;
    /// As it stands in a Host header.
    [[nodiscard]] std::string authority() const;
};
/// "http://host[:port][/]" or https; an IPv6 address stands in brackets.
Result<Url> parse_url(std::string_view text);

/// What became of an operation on a socket.
template <class T>
using IoResult = boost::system::result<T>;

/// One attempt at a connection: open it once, use it, drop it. When the deadline passes the socket is closed, so that
/// whatever is pending fails.
class Connection {
public:
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;

    /// Resolves, connects and, for TLS, checks the server. The error says in words what went wrong.
    virtual asio::awaitable<Result<void>> open() = 0;
    virtual asio::awaitable<IoResult<std::size_t>> read_some(asio::mutable_buffer into) = 0;
    /// Both, in one packet if they are small.
    virtual asio::awaitable<IoResult<void>> write(std::string_view first, std::string_view second) = 0;
    /// The peer has closed it, or sent what nobody asked for; found without waiting.
    virtual bool is_stale() = 0;
    /// Bytes have arrived that nobody has read. TLS: always false, they need not be an answer.
    virtual bool has_answer() = 0;
    virtual void close() = 0;
    virtual void expire_at(std::chrono::steady_clock::time_point deadline) = 0;
    [[nodiscard]] virtual bool expired() const = 0;
};

/// `tls` null is plain.
std::shared_ptr<Connection> make_connection(asio::any_io_executor executor, Url url,
                                            std::shared_ptr<asio::ssl::context> tls);
/// Checks servers against `ca_pem`, or against the system's store if that is "".
Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& ca_pem);

} // namespace linarite::client
