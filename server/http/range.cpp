#include "server/http/range.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace linarite::http {
namespace {

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

Range last_bytes(std::uint64_t count, std::uint64_t size) {
    if (count == 0 || size == 0) {
        return {Range::Kind::unsatisfiable, 0, 0};
    }
    const std::uint64_t length = std::min(count, size);
    return {Range::Kind::part, size - length, length};
}

} // namespace

Range parse_range(std::string_view header, std::uint64_t size) {
    const Range whole{Range::Kind::whole, 0, size};
    constexpr std::string_view unit = "bytes=";
    if (!header.starts_with(unit)) {
        return whole;
    }
    const std::string_view spec = trim(header.substr(unit.size()));
    const std::size_t dash = spec.find('-');
    if (dash == std::string_view::npos) {
        return whole;
    }
    const std::string_view end_text = spec.substr(dash + 1);
    const std::optional<std::uint64_t> last = number(end_text);
    if (dash == 0) {
        return last ? last_bytes(*last, size) : whole;
    }
    const std::optional<std::uint64_t> first = number(spec.substr(0, dash));
    if (!first || (!last && !end_text.empty()) || (last && *last < *first)) {
        return whole;
    }
    if (*first >= size) {
        return {Range::Kind::unsatisfiable, 0, 0};
    }
    const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
    return {Range::Kind::part, *first, end - *first + 1};
}

bool names_etag(std::string_view header, std::string_view etag) {
    if (etag.empty()) {
        return false;
    }
    while (!header.empty()) {
        const std::size_t comma = std::min(header.find(','), header.size());
        std::string_view tag = trim(header.substr(0, comma));
        header.remove_prefix(std::min(comma + 1, header.size()));
        if (tag == "*") {
            return true;
        }
        if (tag.starts_with("W/")) {
            tag.remove_prefix(2);
        }
        if (tag.size() == etag.size() + 2 && tag.front() == '"' && tag.back() == '"' &&
            tag.substr(1, etag.size()) == etag) {
            return true;
        }
    }
    return false;
}

bool shown_inline(std::string_view content_type) {
    const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
    // an SVG is a document with scripts
    return type == "text/plain" || type == "application/json" ||
           (type.starts_with("image/") && type.find("svg") == std::string_view::npos);
}

} // namespace linarite::http
