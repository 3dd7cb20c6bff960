// server/http/body.hpp: a request's body as a stream of pieces, with the limits on its size and on the sender's
// slowness.
#pragma once

#include "server/http/chunks.hpp"
#include "server/http/head.hpp"
#include "server/http/wire.hpp"

#include <boost/beast/core/flat_buffer.hpp>

namespace linarite::http {

/// Reads one body after the other from a connection. Bytes that arrived with the head are in `buffer`; what belongs to
/// the next request stays there. Bytes of known length go from the socket straight to the reader's memory.
class BodyReader {
public:
    BodyReader(Wire& wire, boost::beast::flat_buffer& buffer, const ServerLimits& limits)
        : wire_(&wire), buffer_(&buffer), limits_(&limits) {}

    /// A new request's body begins. The total time for it is bounded only by the slow-body rule until limit_time is
    /// called.
    void start(const ParsedHead& parsed);
    void limit_time(SteadyTime until) { until_ = until; }

    /// The next bytes; 0 at the end. Sends "100 Continue" first where the client waits for it.
    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer into);
    /// Reads and drops up to `most` bytes; true if that was all.
    asio::awaitable<bool> drop(std::size_t most);

    [[nodiscard]] bool complete() const;
    /// Bytes that are certainly still to come; for a chunked body 1 until its end is seen.
    [[nodiscard]] std::uint64_t at_least_left() const;
    /// The client was not yet told to go on, so it may never send the body.
    [[nodiscard]] bool waits_for_continue() const { return waits_for_continue_; }
    /// The status that says best why the last read failed, where the error's code alone does not.
    [[nodiscard]] std::optional<beast_http::status> failure() const { return failure_; }
    /// Gives the body up: nothing more is read of it.
    Error fail(beast_http::status why, Errc code, std::string message);

private:
    asio::awaitable<Result<std::size_t>> read_known(asio::mutable_buffer into);
    asio::awaitable<Result<std::size_t>> read_chunked(asio::mutable_buffer into);
    /// From the buffer if it has something, else from the socket.
    asio::awaitable<Result<std::size_t>> take(asio::mutable_buffer into);
    asio::awaitable<Result<void>> fill_buffer();
    asio::awaitable<Result<std::size_t>> receive(asio::mutable_buffer into);
    Wire* wire_;
    boost::beast::flat_buffer* buffer_;
    const ServerLimits* limits_;
    ParsedHead::Body kind_ = ParsedHead::Body::none;
    std::uint64_t left_ = 0; // of a body of known length
    std::uint64_t total_ = 0;
    ChunkDecoder chunks_;
    bool waits_for_continue_ = false;
    SteadyTime until_ = SteadyTime::max();
    std::chrono::steady_clock::duration waited_{}; // for the sender, in this window
    std::uint64_t window_bytes_ = 0;
    std::optional<beast_http::status> failure_;
};

} // namespace linarite::http
