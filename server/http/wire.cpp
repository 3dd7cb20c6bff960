#include "server/http/wire.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sys/sendfile.h>
#include <unistd.h>
#include <vector>

namespace linarite::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using TlsStream = asio::ssl::stream<tcp::socket>;
using std::chrono::milliseconds;

constexpr std::size_t file_piece = 256U << 10U;
constexpr std::size_t joined_write = 16U << 10U; // one TLS record
constexpr milliseconds goodbye_time{1'000};
constexpr milliseconds linger_time{2'000};
constexpr std::size_t linger_bytes = 16U << 20U;
constexpr milliseconds still_overdue{100};

/// Cancels a socket's operations when the deadline passes. Moving the deadline is an assignment: the timer is touched
/// only when it must ring earlier than it is set to, so a busy connection does not pay for a timer with every
/// operation.
class Watch : public std::enable_shared_from_this<Watch> {
public:
    explicit Watch(tcp::socket& socket) : timer_(socket.get_executor()), socket_(&socket) {}

    void set(SteadyTime deadline) {
        deadline_ = deadline;
        expired_ = false;
        if (deadline < rings_at_) {
            ring_at(deadline);
        }
    }
    [[nodiscard]] bool expired() const { return expired_; }
    void let_go() {
        socket_ = nullptr;
        timer_.cancel();
    }

private:
    void ring_at(SteadyTime when) {
        rings_at_ = when;
        timer_.expires_at(when);
        timer_.async_wait([self = shared_from_this()](error_code cancelled) {
            if (!cancelled && self->socket_ != nullptr) {
                self->ring();
            }
        });
    }
    void ring() {
        rings_at_ = SteadyTime::max();
        const SteadyTime now = std::chrono::steady_clock::now();
        if (now < deadline_) {
            if (deadline_ != SteadyTime::max()) {
                ring_at(deadline_);
            }
            return;
        }
        expired_ = true;
        error_code ignored;
        socket_->cancel(ignored);
        // a composed operation that was between two steps has not noticed: ask again until the deadline is moved
        ring_at(now + still_overdue);
    }

    asio::steady_timer timer_;
    tcp::socket* socket_;
    SteadyTime deadline_ = SteadyTime::max();
    SteadyTime rings_at_ = SteadyTime::max();
    bool expired_ = false;
};

tcp::socket& socket_of(tcp::socket& stream) {
    return stream;
}
tcp::socket& socket_of(TlsStream& stream) {
    return stream.next_layer();
}

/// The one implementation, for both kinds of stream.
template <class Stream>
class StreamWire final : public Wire {
public:
    template <class... Args>
    explicit StreamWire(std::shared_ptr<asio::ssl::context> tls, Args&&... args)
        : tls_(std::move(tls)),
          stream_(std::forward<Args>(args)...),
          watch_(std::make_shared<Watch>(socket_of(stream_))) {}
    StreamWire(const StreamWire&) = delete;
    StreamWire& operator=(const StreamWire&) = delete;
    ~StreamWire() override { watch_->let_go(); }

    asio::awaitable<IoResult<void>> handshake() override;
    asio::awaitable<IoResult<std::size_t>> read_some(asio::mutable_buffer into) override;
    asio::awaitable<IoResult<void>> write(std::array<std::string_view, 3> parts, milliseconds patience) override;
    asio::awaitable<IoResult<void>> send_file(int file, std::uint64_t offset, std::uint64_t length,
                                              milliseconds patience) override;
    asio::awaitable<void> finish(bool linger) override;

    void expire_at(SteadyTime deadline) override { watch_->set(deadline); }
    void never_expire() override { watch_->set(SteadyTime::max()); }
    [[nodiscard]] bool expired() const override { return watch_->expired(); }
    void cancel() override {
        error_code ignored;
        socket_of(stream_).cancel(ignored);
    }
    void abort() override {
        error_code ignored;
        socket_of(stream_).close(ignored);
    }

private:
    asio::awaitable<void> drop_what_comes();

    std::shared_ptr<asio::ssl::context> tls_; // outlives the stream that was made of it
    Stream stream_;
    std::shared_ptr<Watch> watch_;
};

template <>
asio::awaitable<IoResult<void>> StreamWire<tcp::socket>::handshake() {
    co_return IoResult<void>();
}

template <>
asio::awaitable<IoResult<void>> StreamWire<TlsStream>::handshake() {
    error_code ec;
    co_await stream_.async_handshake(TlsStream::server, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        co_return ec;
    }
    co_return IoResult<void>();
}

template <class Stream>
asio::awaitable<IoResult<std::size_t>> StreamWire<Stream>::read_some(asio::mutable_buffer into) {
    error_code ec;
    const std::size_t count = co_await stream_.async_read_some(into, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        co_return ec;
    }
    co_return count;
}

template <class Stream>
asio::awaitable<IoResult<void>> StreamWire<Stream>::write(std::array<std::string_view, 3> parts,
                                                          milliseconds patience) {
    const std::size_t whole = parts[0].size() + parts[1].size() + parts[2].size();
    std::string joined;
    if (whole > parts[0].size() && whole <= joined_write) {
        joined.reserve(whole);
        joined.append(parts[0]).append(parts[1]).append(parts[2]);
        parts = {joined, "", ""};
    }
    std::size_t left = whole;
    while (left > 0) {
        expire_after(patience);
        const std::array<asio::const_buffer, 3> buffers{asio::buffer(parts[0]), asio::buffer(parts[1]),
                                                        asio::buffer(parts[2])};
        error_code ec;
        std::size_t sent = co_await stream_.async_write_some(buffers, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) {
            co_return ec;
        }
        left -= sent;
        for (std::string_view& part : parts) {
            const std::size_t of_this = std::min(sent, part.size());
            part.remove_prefix(of_this);
            sent -= of_this;
        }
    }
    never_expire();
    co_return IoResult<void>();
}

template <>
asio::awaitable<IoResult<void>> StreamWire<tcp::socket>::send_file(int file, std::uint64_t offset, std::uint64_t length,
                                                                   milliseconds patience) {
    error_code ec;
    stream_.native_non_blocking(true, ec);
    auto at = static_cast<off_t>(offset);
    while (length > 0) {
        const ssize_t sent = ::sendfile(stream_.native_handle(), file, &at, std::min<std::uint64_t>(length, 1U << 20U));
        if (sent > 0) {
            length -= static_cast<std::uint64_t>(sent);
            co_await asio::post(asio::use_awaitable); // a fast reader must not keep everybody else waiting
            continue;
        }
        if (sent == 0) {
            co_return make_error_code(boost::system::errc::bad_file_descriptor);
        }
        if (errno != EAGAIN && errno != EINTR) {
            co_return error_code(errno, boost::system::system_category());
        }
        expire_after(patience);
        co_await stream_.async_wait(tcp::socket::wait_write, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) {
            co_return ec;
        }
    }
    never_expire();
    co_return IoResult<void>();
}

template <>
asio::awaitable<IoResult<void>> StreamWire<TlsStream>::send_file(int file, std::uint64_t offset, std::uint64_t length,
                                                                 milliseconds patience) {
    std::vector<char> piece(std::min<std::uint64_t>(length, file_piece));
    while (length > 0) {
        const std::size_t wanted = std::min<std::uint64_t>(length, piece.size());
        const ssize_t got = ::pread(file, piece.data(), wanted, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            co_return make_error_code(boost::system::errc::bad_file_descriptor);
        }
        const std::array<std::string_view, 3> parts{std::string_view(piece.data(), static_cast<std::size_t>(got)), "",
                                                    ""};
        const IoResult<void> written = co_await write(parts, patience);
        if (!written) {
            co_return written.error();
        }
        offset += static_cast<std::uint64_t>(got);
        length -= static_cast<std::uint64_t>(got);
    }
    co_return IoResult<void>();
}

template <class Stream>
asio::awaitable<void> StreamWire<Stream>::drop_what_comes() {
    std::array<char, 4096> dropped{};
    std::size_t total = 0;
    expire_after(linger_time);
    error_code ec;
    while (!ec && total < linger_bytes) {
        total += co_await socket_of(stream_).async_read_some(asio::buffer(dropped),
                                                             asio::redirect_error(asio::use_awaitable, ec));
    }
}

template <class Stream>
asio::awaitable<void> StreamWire<Stream>::finish(bool linger) {
    error_code ec;
    if constexpr (std::is_same_v<Stream, TlsStream>) {
        expire_after(goodbye_time);
        co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, ec));
    }
    socket_of(stream_).shutdown(tcp::socket::shutdown_send, ec);
    if (linger) {
        co_await drop_what_comes();
    }
    abort();
}

template class StreamWire<tcp::socket>;
template class StreamWire<TlsStream>;

} // namespace

std::unique_ptr<Wire> make_plain_wire(tcp::socket socket) {
    return std::make_unique<StreamWire<tcp::socket>>(nullptr, std::move(socket));
}

std::unique_ptr<Wire> make_tls_wire(tcp::socket socket, std::shared_ptr<asio::ssl::context> tls) {
    asio::ssl::context& context = *tls;
    return std::make_unique<StreamWire<TlsStream>>(std::move(tls), std::move(socket), context);
}

} // namespace linarite::http
