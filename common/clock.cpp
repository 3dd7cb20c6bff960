#include "common/clock.hpp"

#include <fmt/chrono.h>
#include <fmt/core.h>

namespace linarite {

namespace {

template <class At>
std::string format_with_digits(At at, int digits) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:0{}d}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                       (at - seconds).count(), digits);
}

} // namespace

std::string format_time(Time at) {
    return format_with_digits(at, 3);
}

std::string format_time(PreciseTime at) {
    return format_with_digits(at, 6);
}

std::string format_duration(Millis span) {
    const std::int64_t ms = span.count();
    if (ms < 1000) {
        return fmt::format("{} ms", ms);
    }
    const std::int64_t s = ms / 1000;
    if (s < 60) {
        return fmt::format("{} s", s);
    }
    if (s < 3600) {
        return s % 60 == 0 ? fmt::format("{} min", s / 60) : fmt::format("{} min {} s", s / 60, s % 60);
    }
    if (s < 86400) {
        return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
    }
    return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

} // namespace linarite
