// cli/terminal.hpp: what the terminal can show, and how times, sizes and foreign text are written for people.
#pragma once

#include "common/clock.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace linarite::cli {

enum class Style { plain, bold, dim, red, green, yellow, cyan };

/// Colours for stdout and stderr, each only if it is a terminal that wants them.
class Terminal {
public:
    /// No colours, no progress, no limit of width: what a file gets.
    Terminal() = default;
    Terminal(bool out_colours, bool err_colours, bool progress, std::size_t width)
        : out_colours_(out_colours), err_colours_(err_colours), progress_(progress), width_(width) {}
    /// Looks at the file descriptors, NO_COLOR and TERM.
    static Terminal detect(bool no_color);

    /// The text in that style, for stdout and for stderr.
    [[nodiscard]] std::string out(Style style, std::string_view text) const;
    [[nodiscard]] std::string err(Style style, std::string_view text) const;
    /// Progress lines that are redrawn make sense on stderr.
    [[nodiscard]] bool progress() const { return progress_; }
    /// Columns of stdout; 0 if it is no terminal.
    [[nodiscard]] std::size_t width() const { return width_; }

private:
    bool out_colours_ = false;
    bool err_colours_ = false;
    bool progress_ = false;
    std::size_t width_ = 0;
};

/// Green for Completed, red for Failed, and so on.
Style style_of_status(std::string_view status);

/// "512 B", "1.5 KiB", "300 MiB".
std::string format_bytes(std::uint64_t bytes);
/// "1 file", "2 files".
std::string format_count(std::uint64_t count, const std::string& noun);
/// What format_time wrote; nothing if it is something else.
std::optional<Time> parse_time(std::string_view text);
/// "12 s ago".
std::string format_ago(Time then, Time now);

/// Columns that UTF-8 text takes (each code point counted as one).
std::size_t display_width(std::string_view text);
/// The text cut to that many columns, the last one "…" if something was cut.
std::string shorten(std::string_view text, std::size_t columns);
/// Text from elsewhere, harmless for a terminal: control characters other than newline and tab become "?".
std::string printable(std::string_view text);

/// Writes to stdout and stderr at once; stdout's buffer goes first, so that both keep their order on one terminal.
void write_out(std::string_view text);
void write_err(std::string_view text);

} // namespace linarite::cli
