// agent/container/output_frames.hpp: the output of a container without a terminal, cut into lines.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace linarite::agent {

/// The engine sends stdout and stderr in frames: one byte that says which, three that are nothing, four with the size
/// (big-endian), then the bytes. A frame is no line.
class OutputFrames {
public:
    explicit OutputFrames(std::function<void(std::string)> line) : line_(std::move(line)) {}
    void feed(std::string_view piece);
    /// The last line, if it was not ended.
    void finish();

private:
    void take(std::string_view bytes);
    std::function<void(std::string)> line_;
    std::string head_;
    std::size_t left_ = 0; // of the frame's bytes
    std::string text_;
};

} // namespace linarite::agent
