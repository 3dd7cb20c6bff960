#include "agent/container/output_frames.hpp"

#include <algorithm>
#include <utility>

namespace linarite::agent {

namespace {

constexpr std::size_t head_size = 8;
constexpr std::size_t longest_line = std::size_t{64} << 10U;

} // namespace

void OutputFrames::feed(std::string_view piece) {
    while (!piece.empty()) {
        if (left_ == 0) {
            const std::size_t count = std::min(head_size - head_.size(), piece.size());
            head_ += piece.substr(0, count);
            piece.remove_prefix(count);
            if (head_.size() == head_size) {
                for (std::size_t at = 4; at < head_size; ++at) {
                    left_ = (left_ << 8U) | static_cast<unsigned char>(head_[at]);
                }
                head_.clear();
            }
            continue;
        }
        const std::size_t count = std::min(left_, piece.size());
        take(piece.substr(0, count));
        piece.remove_prefix(count);
        left_ -= count;
    }
}

void OutputFrames::take(std::string_view bytes) {
    for (const char c : bytes) {
        if (c == '\n' || text_.size() == longest_line) {
            line_(std::exchange(text_, std::string()));
        }
        if (c != '\n' && c != '\r') {
            text_ += c;
        }
    }
}

void OutputFrames::finish() {
    if (!text_.empty()) {
        line_(std::exchange(text_, std::string()));
    }
}

} // namespace linarite::agent
