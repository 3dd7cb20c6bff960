// The last lines of a log, fit to be shown in a message.
#include "agent/launch/ending.hpp"
#include "common/files.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t tail_limit = std::size_t{8} << 10U;
constexpr std::size_t line_limit = 400;
constexpr std::size_t read_limit = std::size_t{64} << 10U; // enough for twenty lines that are not themselves monsters
constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// How many bytes a well-formed UTF-8 sequence at the front of `text` has; 0 if it has none.
std::size_t sequence(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t size = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
    return size > 0 && size <= text.size() && is_utf8(text.substr(0, size)) ? size : 0;
}

/// Valid UTF-8 without control characters, at most `line_limit` bytes.
std::string clean_line(std::string_view line) {
    std::string out;
    while (!line.empty()) {
        const std::size_t size = sequence(line);
        const auto c = static_cast<unsigned char>(line.front());
        const bool control = size == 1 && (c < 0x20 || c == 0x7F) && c != '\t';
        const std::string_view piece = size == 0 ? replacement : control ? std::string_view(" ") : line.substr(0, size);
        if (out.size() + piece.size() > line_limit - 3) {
            return out + "...";
        }
        out += piece;
        line.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out;
}

std::string read_end(const fs::path& log) {
    const UniqueFd fd(::open(log.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat about {};
    if (!fd || ::fstat(fd.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return "";
    }
    const auto size = static_cast<std::size_t>(about.st_size);
    std::string text(std::min(size, read_limit), '\0');
    const ssize_t n = ::pread(fd.get(), text.data(), text.size(), static_cast<off_t>(size - text.size()));
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

bool is_ours(std::string_view line) {
    return line.starts_with('[') && line.find("Finalizing run...") != std::string_view::npos;
}

} // namespace

std::string log_tail(const fs::path& log, std::size_t lines) {
    const std::string text = read_end(log);
    std::vector<std::string> kept; // last one first
    std::size_t bytes = 0;
    std::string_view rest(text);
    while (!rest.empty() && kept.size() < lines) {
        if (rest.back() == '\n') {
            rest.remove_suffix(1);
        }
        const auto from = rest.rfind('\n') + 1; // npos + 1 is 0: the first line
        const std::string_view line = rest.substr(from);
        rest = rest.substr(0, from);
        if (kept.empty() && is_ours(line)) {
            continue;
        }
        kept.push_back(clean_line(line));
        bytes += kept.back().size() + 1;
        if (bytes > tail_limit) {
            kept.pop_back();
            break;
        }
    }
    std::string out;
    for (auto line = kept.rbegin(); line != kept.rend(); ++line) {
        out += *line + "\n";
    }
    return out;
}

} // namespace linarite::agent
