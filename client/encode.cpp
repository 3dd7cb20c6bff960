#include "client/http_client.hpp"

namespace linarite::client {
namespace {

// RFC 3986 "unreserved": everything else is encoded, so that no server can take it for syntax.
bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

std::string encode(std::string_view text, bool keep_slashes) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_unreserved(c) || (keep_slashes && c == '/')) {
            out.push_back(c);
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('%');
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

} // namespace

std::string encode_part(std::string_view part) {
    return encode(part, false);
}
std::string encode_path(std::string_view path) {
    return encode(path, true);
}

std::string encode_query(const std::map<std::string, std::string>& parameters) {
    std::string out;
    for (const auto& [name, value] : parameters) {
        out.append(out.empty() ? "?" : "&").append(encode_part(name)).append("=").append(encode_part(value));
    }
    return out;
}

} // namespace linarite::client
