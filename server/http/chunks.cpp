#include "server/http/chunks.hpp"

#include <algorithm>
#include <charconv>

namespace linarite::http {
namespace {

constexpr std::size_t max_digits = 15; // fits 63 bits with room
constexpr std::size_t max_extension = 256;
constexpr std::size_t max_trailers = 8U << 10U;

bool is_plain(char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
}
bool is_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_plain(c) || c == '\t'; });
}
Error broken(const char* what) {
    return {Errc::invalid_argument, std::string("malformed chunked body: ") + what};
}

} // namespace

void ChunkDecoder::took(std::uint64_t bytes) {
    left_ -= bytes;
    if (left_ == 0 && state_ == State::data) {
        state_ = State::data_end;
    }
}

std::size_t ChunkDecoder::longest() const {
    switch (state_) {
    case State::size: return max_digits + 1 + max_extension;
    case State::trailer: return max_trailers;
    case State::data:
    case State::data_end:
    case State::done: return 0;
    }
    return 0;
}

Result<std::size_t> ChunkDecoder::skip(std::string_view arrived) {
    std::size_t used = 0;
    while (state_ != State::data && state_ != State::done) {
        const std::string_view rest = arrived.substr(used);
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) {
            if (rest.size() > longest() + 1) {
                return broken("a line is too long");
            }
            return used;
        }
        if (end == 0 || rest[end - 1] != '\r') {
            return broken("a line does not end with CRLF");
        }
        const Result<void> good = line(rest.substr(0, end - 1));
        if (!good) {
            return good.error();
        }
        used += end + 1;
    }
    return used;
}

Result<void> ChunkDecoder::line(std::string_view text) {
    if (text.size() > longest()) {
        return broken("a line is too long");
    }
    switch (state_) {
    case State::size: return size_line(text);
    case State::data_end: state_ = State::size; return {};
    case State::trailer:
        if (text.empty()) {
            state_ = State::done;
            return {};
        }
        trailer_bytes_ += text.size();
        // trailers are dropped, so their names do not matter; one that is folded or has control characters is an attack
        if (trailer_bytes_ > max_trailers || !is_plain(text.front()) || text.front() == ' ' || !is_text(text)) {
            return broken("bad trailer");
        }
        return {};
    case State::data:
    case State::done: break;
    }
    return broken("unexpected line");
}

Result<void> ChunkDecoder::size_line(std::string_view text) {
    const auto is_hex = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    };
    const auto end_of_size = std::find_if_not(text.begin(), text.end(), is_hex);
    const auto digits = static_cast<std::size_t>(end_of_size - text.begin());
    if (digits == 0 || digits > max_digits) {
        return broken("bad chunk size");
    }
    const std::string_view extension = text.substr(digits);
    if (!extension.empty() && (extension.front() != ';' || extension.size() > max_extension || !is_text(extension))) {
        return broken("bad chunk extension");
    }
    std::from_chars(text.data(), text.data() + digits, left_, 16);
    state_ = left_ == 0 ? State::trailer : State::data;
    return {};
}

} // namespace linarite::http
