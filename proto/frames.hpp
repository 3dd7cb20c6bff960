// proto/frames.hpp: many files in one request or answer. Each frame is one line of JSON (its header), then `size`
// bytes.
#pragma once

#include "common/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace linarite::proto {

/// The header of one frame.
struct FrameHeader {
    std::string path;         // artifact name, or a blob's SHA-256 where blobs are sent
    std::uint64_t offset = 0; // where the bytes belong
    std::uint64_t size = 0;   // how many follow
    bool executable = false;
    /// Set on the last frame of a file: the SHA-256 of all its bytes. The receiver then makes it durable.
    std::string sha256;
    /// Set if nobody had the file open for writing as its bytes up to the end of this frame were read: their SHA-256.
    /// The other nodes of the run may have it then. Not checked where the frame arrives.
    std::string closed;
    bool operator==(const FrameHeader&) const = default;
};

/// A header line is at most this long, without its '\n'.
inline constexpr std::size_t frame_header_limit = 4096;

/// The header as one line, ending in '\n'.
std::string print_frame_header(const FrameHeader& header);

/// Cuts a byte stream into frames. Feed it with what arrives; headers are at most 4 KiB.
class FrameReader {
public:
    /// What the reader found next.
    struct Piece {
        bool is_header = false;
        std::string_view bytes; // payload; valid until the next call of next() or feed()
    };
    void feed(std::string_view bytes);
    /// A header (then read header()), a piece of the payload, or nothing until more is fed. A malformed header is
    /// invalid_argument, and the reader is of no use after it.
    Result<std::optional<Piece>> next();
    [[nodiscard]] const FrameHeader& header() const { return header_; }
    /// All of the current frame's payload has been given out.
    [[nodiscard]] bool frame_complete() const { return left_ == 0; }
    /// Nothing is half-read: the stream may end here.
    [[nodiscard]] bool at_boundary() const { return left_ == 0 && at_ == buffer_.size(); }

private:
    std::string buffer_;
    std::size_t at_ = 0;      // what lies before has been given out
    std::size_t scanned_ = 0; // no end of line lies between at_ and here
    FrameHeader header_;
    std::uint64_t left_ = 0;
};

/// Feeds the reader: `begin` gets each header, `take` each piece of payload, `end` is called after the last of a frame.
/// The first of their errors, or of the reader's, ends it.
template <class Begin, class Take, class End>
Result<void> read_frames(FrameReader& reader, std::string_view bytes, Begin begin, Take take, End end) {
    reader.feed(bytes);
    for (;;) {
        const auto piece = reader.next();
        if (!piece) {
            return piece.error();
        }
        if (!*piece) {
            return {};
        }
        Result<void> done = (*piece)->is_header ? begin(reader.header()) : take((*piece)->bytes);
        if (done && reader.frame_complete()) {
            done = end();
        }
        if (!done) {
            return done;
        }
    }
}

} // namespace linarite::proto
