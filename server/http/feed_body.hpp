// server/http/feed_body.hpp: a request's body, piece by piece, into something that takes it.
#pragma once

#include "server/http/exchange.hpp"

#include <string>

namespace linarite::http {

inline constexpr std::size_t body_piece_bytes = std::size_t{128} << 10U;
inline constexpr std::size_t first_piece_bytes = std::size_t{8} << 10U; // most bodies end in it

/// Calls receiver.feed(bytes) with all of the body; both outlive the coroutine. Memory does not depend on the body's
/// size.
template <class Receiver>
asio::awaitable<Result<void>> feed_body(Exchange& exchange, Receiver& receiver) {
    std::string piece(first_piece_bytes, '\0');
    for (;;) {
        const auto read = co_await exchange.read_some(asio::buffer(piece));
        if (!read) {
            co_return read.error();
        }
        if (*read == 0) {
            co_return Result<void>{};
        }
        if (auto fed = co_await receiver.feed(std::string_view(piece).substr(0, *read)); !fed) {
            co_return fed;
        }
        if (*read == piece.size()) {
            piece.resize(body_piece_bytes);
        }
    }
}

} // namespace linarite::http
