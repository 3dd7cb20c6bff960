#include "server/blob/shared_key.hpp"

#include "common/hash.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace linarite::blob {
namespace {

constexpr const char* date_format = "%a, %d %b %Y %H:%M:%S GMT";

std::string value(const http::RequestHead& head, const std::string& name) {
    const auto found = head.headers.find(name);
    return found == head.headers.end() ? "" : found->second;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    return out;
}

std::string canonical_headers(const http::RequestHead& head) {
    std::string out;
    for (const auto& [name, text] : head.headers) { // sorted, and in lower case
        if (name.starts_with("x-ms-")) {
            out.append(name).append(":").append(text).append("\n");
        }
    }
    return out;
}

// The path as sent, not as we understand it: the client signs what it sends.
std::string canonical_resource(const http::RequestHead& head, std::string_view account) {
    std::string out("/");
    out.append(account).append(head.target.substr(0, head.target.find('?')));
    std::map<std::string, std::string> query;
    for (const auto& [name, text] : head.query) {
        query[lower(name)] = text;
    }
    for (const auto& [name, text] : query) {
        out.append("\n").append(name).append(":").append(text);
    }
    return out;
}

} // namespace

std::optional<SharedKey> parse_shared_key(std::string_view authorization) {
    constexpr std::string_view scheme = "SharedKey ";
    if (!authorization.starts_with(scheme)) {
        return std::nullopt;
    }
    authorization.remove_prefix(scheme.size());
    const std::size_t colon = authorization.find(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    return SharedKey{std::string(authorization.substr(0, colon)), std::string(authorization.substr(colon + 1))};
}

std::string string_to_sign(const http::RequestHead& head, std::string_view account) {
    std::string out(http::beast_http::to_string(head.method));
    const std::string length = value(head, "content-length");
    out.append("\n").append(value(head, "content-encoding"));
    out.append("\n").append(value(head, "content-language"));
    out.append("\n").append(length == "0" ? "" : length);
    out.append("\n").append(value(head, "content-md5"));
    out.append("\n").append(value(head, "content-type"));
    out.append("\n").append(value(head, "x-ms-date").empty() ? value(head, "date") : "");
    for (const char* name : {"if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"}) {
        out.append("\n").append(value(head, name));
    }
    return out.append("\n").append(canonical_headers(head)).append(canonical_resource(head, account));
}

std::string sign(const std::string& key, const std::string& text) {
    const auto raw = base64_decode(key);
    const auto mac = hmac_sha256(raw ? *raw : "", text);
    return base64_encode(std::string_view(reinterpret_cast<const char*>(mac.data()), mac.size()));
}

std::string print_http_date(Time at) {
    const std::time_t seconds = to_ms(at) / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), date_format, &parts)};
}

std::optional<Time> parse_http_date(const std::string& text) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), date_format, &parts);
    if (end == nullptr || *end != '\0') {
        return std::nullopt;
    }
    return from_ms(std::int64_t{::timegm(&parts)} * 1000);
}

} // namespace linarite::blob
