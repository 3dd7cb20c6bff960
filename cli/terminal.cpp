#include "cli/terminal.hpp"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace linarite::cli {
namespace {

bool is_set(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return value != nullptr && *value != '\0';
}

std::string_view escape_of(Style style) {
    switch (style) {
    case Style::plain: return "";
    case Style::bold: return "\x1b[1m";
    case Style::dim: return "\x1b[2m";
    case Style::red: return "\x1b[31m";
    case Style::green: return "\x1b[32m";
    case Style::yellow: return "\x1b[33m";
    case Style::cyan: return "\x1b[36m";
    }
    return "";
}

std::string paint(bool colours, Style style, std::string_view text) {
    if (!colours || style == Style::plain) {
        return std::string(text);
    }
    return std::string(escape_of(style)) + std::string(text) + "\x1b[0m";
}

bool continues_a_code_point(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

// Digits only, so that "+1" or " 1" are no part of a time.
std::optional<int> digits(std::string_view text) {
    int value = 0;
    const char* end = text.data() + text.size();
    const bool read = !text.empty() && text.front() >= '0' && text.front() <= '9' &&
                      std::from_chars(text.data(), end, value).ptr == end;
    return read ? std::optional<int>(value) : std::nullopt;
}

} // namespace

Terminal Terminal::detect(bool no_color) {
    const bool out = isatty(STDOUT_FILENO) == 1;
    const bool err = isatty(STDERR_FILENO) == 1;
    const char* term = std::getenv("TERM"); // NOLINT(concurrency-mt-unsafe): one thread
    const bool dumb = term != nullptr && std::string_view(term) == "dumb";
    const bool colours = !no_color && !is_set("NO_COLOR") && !dumb;
    winsize size{};
    const bool sized = out && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return {out && colours, err && colours, err && !dumb, sized ? size.ws_col : std::size_t{0}};
}

std::string Terminal::out(Style style, std::string_view text) const {
    return paint(out_colours_, style, text);
}

std::string Terminal::err(Style style, std::string_view text) const {
    return paint(err_colours_, style, text);
}

Style style_of_status(std::string_view status) {
    if (status == "Completed") {
        return Style::green;
    }
    if (status == "Failed" || status == "NotResponding") {
        return Style::red;
    }
    if (status == "Canceled" || status == "CancelRequested") {
        return Style::yellow;
    }
    return status == "Running" || status == "Finalizing" ? Style::cyan : Style::plain;
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) {
        return fmt::format("{} B", bytes);
    }
    auto value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    return value < 99.95 ? fmt::format("{:.1f} {}", value, units.at(unit))
                         : fmt::format("{:.0f} {}", value, units.at(unit));
}

std::string format_count(std::uint64_t count, const std::string& noun) {
    const bool hisses = noun.ends_with('s');
    return std::to_string(count) + " " + noun + (count == 1 ? "" : hisses ? "es" : "s");
}

std::optional<Time> parse_time(std::string_view text) {
    // 2026-11-23T20:15:03.123Z
    if (text.size() != 24 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
        text[16] != ':' || text[19] != '.' || text[23] != 'Z') {
        return std::nullopt;
    }
    const auto year = digits(text.substr(0, 4));
    const auto month = digits(text.substr(5, 2));
    const auto day = digits(text.substr(8, 2));
    const auto hour = digits(text.substr(11, 2));
    const auto minute = digits(text.substr(14, 2));
    const auto second = digits(text.substr(17, 2));
    const auto milli = digits(text.substr(20, 3));
    if (!year || !month || !day || !hour || !minute || !second || !milli) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) {
        return std::nullopt;
    }
    return std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
           std::chrono::seconds(*second) + Millis(*milli);
}

std::string format_ago(Time then, Time now) {
    const Millis span = now - then;
    // clocks of two machines differ a little; that is no news
    return span < std::chrono::seconds(1) ? "just now" : format_duration(span) + " ago";
}

std::size_t display_width(std::string_view text) {
    std::size_t columns = 0;
    for (const char c : text) {
        columns += continues_a_code_point(c) ? 0 : 1;
    }
    return columns;
}

std::string shorten(std::string_view text, std::size_t columns) {
    if (columns == 0 || display_width(text) <= columns) {
        return std::string(text);
    }
    std::size_t end = 0;
    for (std::size_t taken = 0; end < text.size(); ++end) {
        if (!continues_a_code_point(text[end]) && ++taken == columns) {
            break;
        }
    }
    return std::string(text.substr(0, end)) + "…";
}

std::string printable(std::string_view text) {
    std::string safe(text);
    for (char& c : safe) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
            c = '?';
        }
    }
    return safe;
}

void write_out(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void write_err(std::string_view text) {
    std::fflush(stdout);
    std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace linarite::cli
