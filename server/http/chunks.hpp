// server/http/chunks.hpp: the framing of a chunked body, byte-exact: nothing is tolerated that two parsers could read
// differently.
#pragma once

#include "common/error.hpp"

#include <cstdint>
#include <string_view>

namespace linarite::http {

/// Walks through a chunked body. The caller alternates: `skip` the framing at the front of what has arrived, then take
/// up to `data_left` bytes of data and say so with `took`.
class ChunkDecoder {
public:
    /// How many bytes of framing lie at the front of `arrived`; 0 with data_left() == 0 and not done() means that more
    /// must arrive. invalid_argument if the framing is broken, has an extension over 256 bytes or trailers over 8 KiB.
    Result<std::size_t> skip(std::string_view arrived);
    [[nodiscard]] std::uint64_t data_left() const { return left_; }
    void took(std::uint64_t bytes);
    [[nodiscard]] bool done() const { return state_ == State::done; }

private:
    enum class State { size, data, data_end, trailer, done };
    Result<void> size_line(std::string_view text);
    Result<void> line(std::string_view text);
    /// The longest line that may come now.
    [[nodiscard]] std::size_t longest() const;

    State state_ = State::size;
    std::uint64_t left_ = 0;
    std::size_t trailer_bytes_ = 0;
};

} // namespace linarite::http
