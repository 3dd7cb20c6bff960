// server/http/wire.hpp: one accepted connection as bytes, plain or TLS, with deadlines. Hides the stream's type so that
// everything above it is compiled once.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/system/result.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

namespace linarite::http {

namespace asio = boost::asio;

/// Where a socket failed, its error code.
template <class T>
using IoResult = boost::system::result<T>;
using SteadyTime = std::chrono::steady_clock::time_point;

/// Bytes in and out. One operation at a time; the operations end with operation_aborted when the deadline passes (then
/// `expired()`) or after `cancel()`. All members belong to the io_context's thread.
class Wire {
public:
    Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
    virtual ~Wire() = default;

    /// TLS: the handshake; plain: nothing.
    virtual asio::awaitable<IoResult<void>> handshake() = 0;
    /// At least one byte, or an error (eof at the end).
    virtual asio::awaitable<IoResult<std::size_t>> read_some(asio::mutable_buffer into) = 0;
    /// All bytes of all parts. Whenever `patience` passes without progress the write fails; replaces the deadline.
    virtual asio::awaitable<IoResult<void>> write(std::array<std::string_view, 3> parts,
                                                  std::chrono::milliseconds patience) = 0;
    /// `length` bytes of an open file from `offset`; bad_file if the file is shorter. Patience as for write.
    virtual asio::awaitable<IoResult<void>> send_file(int file, std::uint64_t offset, std::uint64_t length,
                                                      std::chrono::milliseconds patience) = 0;
    /// Says goodbye (TLS: close_notify). `linger`: the peer may still be sending; what it sends is read and dropped for
    /// a moment, since closing at once would reset the connection and with it the answer that is under way.
    virtual asio::awaitable<void> finish(bool linger) = 0;

    virtual void expire_at(SteadyTime deadline) = 0;
    virtual void never_expire() = 0;
    /// The last operation that failed did so because its deadline had passed.
    [[nodiscard]] virtual bool expired() const = 0;
    /// Ends a pending operation with operation_aborted.
    virtual void cancel() = 0;
    /// Closes the socket; every further operation fails.
    virtual void abort() = 0;

    void expire_after(std::chrono::milliseconds span) { expire_at(std::chrono::steady_clock::now() + span); }
};

std::unique_ptr<Wire> make_plain_wire(asio::ip::tcp::socket socket);
std::unique_ptr<Wire> make_tls_wire(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls);

} // namespace linarite::http
