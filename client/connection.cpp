#include "client/connection.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace linarite::client {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using TlsStream = asio::ssl::stream<tcp::socket>;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t joined_write = 16U << 10U;

tcp::socket& socket_of(tcp::socket& stream) {
    return stream;
}
tcp::socket& socket_of(TlsStream& stream) {
    return stream.next_layer();
}

Error unreachable(const error_code& ec) {
    return {Errc::unavailable, ec.message()};
}

template <class Stream>
class StreamConnection final : public Connection, public std::enable_shared_from_this<StreamConnection<Stream>> {
public:
    template <class... Args>
    StreamConnection(asio::any_io_executor executor, Url url, std::shared_ptr<asio::ssl::context> tls, Args&&... args)
        : url_(std::move(url)),
          tls_(std::move(tls)),
          resolver_(executor),
          timer_(executor),
          stream_(std::forward<Args>(args)...) {}

    asio::awaitable<Result<void>> open() override;
    asio::awaitable<IoResult<std::size_t>> read_some(asio::mutable_buffer into) override;
    asio::awaitable<IoResult<void>> write(std::string_view first, std::string_view second) override;
    bool is_stale() override;
    bool has_answer() override;
    void close() override {
        closed_ = true;
        resolver_.cancel();
        timer_.cancel();
        error_code ignored;
        socket_of(stream_).close(ignored);
    }
    void expire_at(SteadyTime deadline) override;
    [[nodiscard]] bool expired() const override { return expired_; }

private:
    asio::awaitable<Result<void>> shake_hands();

    Url url_;
    std::shared_ptr<asio::ssl::context> tls_; // outlives the stream that was made of it
    tcp::resolver resolver_;
    asio::steady_timer timer_;
    Stream stream_;
    bool expired_ = false;
    bool closed_ = false;
};

/// A network that goes takes along what is under way, and TCP's pauses double each time: what was sent, or the answer
/// to it, would come long after the network is back. The kernel breaks off what is silent for 10 s instead, also if it
/// is the answer that is missing.
void notice_silence(tcp::socket& socket) {
    namespace options = asio::detail::socket_option;
    error_code ignored; // it works without, only later
    socket.set_option(options::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>(10'000), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    socket.set_option(options::integer<IPPROTO_TCP, TCP_KEEPIDLE>(5), ignored);
    socket.set_option(options::integer<IPPROTO_TCP, TCP_KEEPINTVL>(2), ignored);
}

template <class Stream>
void StreamConnection<Stream>::expire_at(SteadyTime deadline) {
    timer_.expires_at(deadline);
    if (deadline == SteadyTime::max()) {
        return;
    }
    timer_.async_wait([weak = this->weak_from_this()](error_code cancelled) {
        const auto self = weak.lock();
        // a wait that had already ended when the deadline was moved must not count
        if (cancelled || !self || std::chrono::steady_clock::now() < self->timer_.expiry()) {
            return;
        }
        self->expired_ = true;
        self->close();
    });
}

template <class Stream>
asio::awaitable<Result<void>> StreamConnection<Stream>::open() {
    error_code ec;
    const auto found =
        co_await resolver_.async_resolve(url_.host, url_.port, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        co_return unreachable(ec);
    }
    for (const auto& candidate : found) {
        if (closed_) {
            co_return unreachable(asio::error::operation_aborted);
        }
        tcp::socket& socket = socket_of(stream_);
        error_code ignored;
        socket.close(ignored);
        socket.open(candidate.endpoint().protocol(), ignored);
        notice_silence(socket);
        co_await socket.async_connect(candidate.endpoint(), asio::redirect_error(asio::use_awaitable, ec));
        if (!ec) {
            socket.set_option(tcp::no_delay(true), ignored);
            co_return co_await shake_hands();
        }
    }
    co_return unreachable(ec);
}

template <>
asio::awaitable<Result<void>> StreamConnection<tcp::socket>::shake_hands() {
    co_return Result<void>();
}

template <>
asio::awaitable<Result<void>> StreamConnection<TlsStream>::shake_hands() {
    error_code ec;
    asio::ip::make_address(url_.host, ec);
    if (ec) { // a name, not an address: the server may choose its certificate by it
        SSL_set_tlsext_host_name(stream_.native_handle(), url_.host.c_str());
    }
    stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host), ec);
    co_await stream_.async_handshake(TlsStream::client, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec) {
        co_return Result<void>();
    }
    const long verdict = SSL_get_verify_result(stream_.native_handle());
    const char* why = verdict == X509_V_OK ? nullptr : X509_verify_cert_error_string(verdict);
    co_return Error(Errc::unavailable, why == nullptr ? "TLS handshake: " + ec.message()
                                                      : std::string("its certificate was not accepted: ") + why);
}

template <class Stream>
asio::awaitable<IoResult<std::size_t>> StreamConnection<Stream>::read_some(asio::mutable_buffer into) {
    error_code ec;
    const std::size_t count = co_await stream_.async_read_some(into, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        co_return ec;
    }
    co_return count;
}

template <class Stream>
asio::awaitable<IoResult<void>> StreamConnection<Stream>::write(std::string_view first, std::string_view second) {
    std::string joined;
    if (!second.empty() && first.size() + second.size() <= joined_write) {
        joined.append(first).append(second);
        first = joined;
        second = {};
    }
    const std::array<asio::const_buffer, 2> both{asio::buffer(first), asio::buffer(second)};
    error_code ec;
    co_await asio::async_write(stream_, both, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        co_return ec;
    }
    co_return IoResult<void>();
}

template <class Stream>
bool StreamConnection<Stream>::is_stale() {
    if (!socket_of(stream_).is_open()) {
        return true;
    }
    char byte = 0;
    const ssize_t count = ::recv(socket_of(stream_).native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count > 0) {
        // TLS sends session tickets after the handshake; on a plain connection nothing may come unasked
        return !std::is_same_v<Stream, TlsStream>;
    }
    return count == 0 || (errno != EAGAIN && errno != EINTR);
}

template <class Stream>
bool StreamConnection<Stream>::has_answer() {
    error_code ec;
    return !std::is_same_v<Stream, TlsStream> && socket_of(stream_).available(ec) > 0;
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

std::string Url::authority() const {
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

Result<Url> parse_url(std::string_view text) {
    const Error bad(Errc::invalid_argument,
                    "'" + std::string(text) + "' is not an address of the form https://host:port");
    Url url;
    std::string_view rest = text;
    if (rest.starts_with("https://")) {
        url.tls = true;
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        return bad;
    }
    if (rest.ends_with('/')) {
        rest.remove_suffix(1);
    }
    std::size_t host_end = rest.find(':');
    if (rest.starts_with('[')) {
        const std::size_t bracket = rest.find(']');
        if (bracket == std::string_view::npos) {
            return bad;
        }
        url.host = rest.substr(1, bracket - 1);
        host_end = bracket + 1;
    } else {
        url.host = rest.substr(0, host_end);
    }
    const std::string_view tail = rest.substr(std::min(host_end, rest.size()));
    url.port = tail.empty() ? (url.tls ? "443" : "80") : std::string(tail.substr(1));
    const bool bad_host = url.host.empty() || url.host.find_first_of("/?#@ \t\r\n") != std::string::npos;
    if (bad_host || !is_port(url.port) || (!tail.empty() && tail.front() != ':')) {
        return bad;
    }
    return url;
}

std::shared_ptr<Connection> make_connection(asio::any_io_executor executor, Url url,
                                            std::shared_ptr<asio::ssl::context> tls) {
    if (!tls) {
        return std::make_shared<StreamConnection<tcp::socket>>(executor, std::move(url), nullptr, executor);
    }
    asio::ssl::context& context = *tls;
    return std::make_shared<StreamConnection<TlsStream>>(executor, std::move(url), std::move(tls), executor, context);
}

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const std::string& ca_pem) {
    auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    error_code ec;
    context->set_verify_mode(asio::ssl::verify_peer, ec);
    if (ca_pem.empty()) {
        context->set_default_verify_paths(ec);
    } else {
        context->add_certificate_authority(asio::buffer(ca_pem), ec);
    }
    if (ec) {
        return Error(Errc::invalid_argument, "the CA certificate cannot be used: " + ec.message());
    }
    return context;
}

} // namespace linarite::client
