#include "cli/progress.hpp"

#include <fmt/core.h>

namespace linarite::cli {

constexpr std::chrono::milliseconds redraw_every{100};

std::string progress_line(const std::string& label, std::uint64_t done, std::uint64_t total) {
    if (total == 0) {
        return fmt::format("{} {}", label, format_bytes(done));
    }
    const auto percent = static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total));
    return fmt::format("{} {} of {} ({} %)", label, format_bytes(done), format_bytes(total), percent);
}

Progress::Progress(const Terminal& terminal, std::string label, std::uint64_t total_bytes)
    : enabled_(terminal.progress()), label_(std::move(label)), total_(total_bytes) {}

Progress::~Progress() {
    if (drawn_) {
        write_err("\r\x1b[K");
    }
}

void Progress::add(std::uint64_t bytes) {
    done_ += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (!enabled_ || now - drawn_at_ < redraw_every) {
        return;
    }
    drawn_ = true;
    drawn_at_ = now;
    write_err("\r\x1b[K" + progress_line(label_, done_, total_));
}

} // namespace linarite::cli
