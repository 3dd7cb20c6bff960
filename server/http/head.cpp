#include "server/http/head.hpp"

#include "common/files.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <charconv>

namespace linarite::http {
namespace {

using beast_http::field;
using beast_http::status;
using Request = beast_http::request_parser<beast_http::buffer_body>;

Refusal bad(std::string message) {
    return {status::bad_request, std::move(message)};
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    return out;
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// Nothing if a '%' is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
            continue;
        }
        const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return out;
}

std::optional<Refusal> check_path_part(std::string_view part) {
    if (part == "." || part == "..") {
        return bad("the path has a part '.' or '..'");
    }
    if (std::any_of(part.begin(), part.end(), [](char c) { return is_control(c) || c == '\\' || c == '/'; })) {
        return bad("the path has a control character, a backslash or an encoded slash");
    }
    if (!is_utf8(part)) {
        return bad("the path is not valid UTF-8");
    }
    return std::nullopt;
}

// Splitting before decoding gives the same parts as after it, because a part that decodes to one with a slash is
// refused.
std::optional<Refusal> decode_path(std::string_view path, std::string& into) {
    into.clear();
    while (!path.empty()) {
        path.remove_prefix(1); // the slash
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end == 0) {
            continue; // the v1 SDK doubles slashes, and ends paths with one: everything behind this sees one spelling
        }
        const std::optional<std::string> part = percent_decode(path.substr(0, end), false);
        if (!part) {
            return bad("bad percent-encoding in the path");
        }
        if (auto refusal = check_path_part(*part)) {
            return refusal;
        }
        into.append("/").append(*part);
        path.remove_prefix(end);
    }
    into = into.empty() ? "/" : std::move(into);
    return std::nullopt;
}

std::optional<Refusal> decode_query(std::string_view query, std::map<std::string, std::string>& into) {
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) {
            continue;
        }
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const auto name = percent_decode(pair.substr(0, equals), true);
        const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
        if (!name || !value) {
            return bad("bad percent-encoding in the query");
        }
        const auto clean = [](const std::string& text) {
            return is_utf8(text) && std::none_of(text.begin(), text.end(), is_control);
        };
        if (!clean(*name) || !clean(*value)) {
            return bad("the query has a control character or is not valid UTF-8");
        }
        if (!into.emplace(*name, *value).second) {
            return bad("the query names '" + *name + "' twice");
        }
    }
    return std::nullopt;
}

// Which framing headers a request has; everything that two servers in a row could understand differently is refused.
std::optional<Refusal> read_framing(const Request::value_type& message, ParsedHead& into) {
    const std::size_t lengths = message.count(field::content_length);
    const std::size_t codings = message.count(field::transfer_encoding);
    if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) {
        return bad("more than one Content-Length or Transfer-Encoding");
    }
    if (codings == 1) {
        if (into.http_1_0 || !boost::beast::iequals(message[field::transfer_encoding], "chunked")) {
            return bad("the only Transfer-Encoding that is understood is 'chunked', in HTTP/1.1");
        }
        into.body = ParsedHead::Body::chunked;
        return std::nullopt;
    }
    if (lengths == 0) {
        return std::nullopt;
    }
    const auto text = message[field::content_length];
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || text.size() > 19 || error != std::errc() || end != text.data() + text.size()) {
        return bad("Content-Length is not one number");
    }
    into.head.content_length = value;
    into.body = value == 0 ? ParsedHead::Body::none : ParsedHead::Body::length;
    return std::nullopt;
}

std::optional<Refusal> check_host(const Request::value_type& message, const HostNames& hosts) {
    if (message.count(field::host) != 1) {
        return bad("exactly one Host header is needed");
    }
    if (!hosts.allows(message[field::host])) {
        return bad("this server does not answer for the name in the Host header");
    }
    return std::nullopt;
}

std::optional<Refusal> read_expectation(const Request::value_type& message, ParsedHead& into) {
    if (message.count(field::expect) == 0 || into.http_1_0) {
        return std::nullopt;
    }
    if (!boost::beast::iequals(message[field::expect], "100-continue")) {
        return Refusal{status::expectation_failed, "the only expectation that is understood is '100-continue'"};
    }
    into.expects_continue = into.body != ParsedHead::Body::none;
    return std::nullopt;
}

std::optional<Refusal> read_headers(const Request::value_type& message, RequestHead& into) {
    if (message.count(field::authorization) > 1 || message.count(field::content_type) > 1) {
        return bad("Authorization or Content-Type is there twice");
    }
    for (const auto& header : message) {
        const auto [at, is_new] = into.headers.emplace(lower(header.name_string()), header.value());
        if (!is_new) {
            at->second.append(", ").append(header.value());
        }
    }
    return std::nullopt;
}

} // namespace

bool HeadScanner::refuse(status why, std::string message) {
    refusal_ = Refusal{why, std::move(message)};
    return false;
}

// Called without the line's CRLF. False once the head is refused.
bool HeadScanner::end_line(std::string_view line) {
    if (fields_start_ == 0) {
        fields_start_ = at_ + 1;
        return true;
    }
    if (line.front() == ' ' || line.front() == '\t') {
        return refuse(status::bad_request, "folded header lines are not understood");
    }
    if (++fields_ > limits_->header_fields) {
        return refuse(status::request_header_fields_too_large, "too many header fields");
    }
    return true;
}

void HeadScanner::check_size() {
    if (fields_start_ == 0 && at_ > limits_->request_line) {
        refuse(status::uri_too_long, "the request line is too long");
    } else if (fields_start_ != 0 && at_ - fields_start_ > limits_->header_block) {
        refuse(status::request_header_fields_too_large, "the header is too large");
    }
}

std::optional<std::size_t> HeadScanner::scan(std::string_view arrived) {
    for (; at_ < arrived.size() && !refusal_; ++at_) {
        const char c = arrived[at_];
        if (c != '\n') {
            // a CR is right only before LF; it is judged when the next byte is there
            const bool after_cr = at_ > line_start_ && arrived[at_ - 1] == '\r';
            if (after_cr || (is_control(c) && c != '\t' && c != '\r')) {
                refuse(status::bad_request, "control character in the header");
            }
            check_size();
            continue;
        }
        if (at_ == line_start_ || arrived[at_ - 1] != '\r') {
            refuse(status::bad_request, "a header line does not end with CRLF");
            break;
        }
        const std::string_view line = arrived.substr(line_start_, at_ - 1 - line_start_);
        if (line.empty() && fields_start_ != 0) {
            return at_ + 1;
        }
        if (line.empty()) {
            refuse(status::bad_request, "the request line is empty");
            break;
        }
        if (!end_line(line)) {
            break;
        }
        line_start_ = at_ + 1;
    }
    return std::nullopt;
}

HostNames::HostNames(const std::vector<std::string>& more) : names_{"localhost", "127.0.0.1", "[::1]"} {
    for (const std::string& name : more) {
        any_ = any_ || name == "*";
        const bool bare_v6 = name.find(':') != std::string::npos && name.front() != '[';
        names_.push_back(lower(bare_v6 ? "[" + name + "]" : name));
    }
}

bool HostNames::allows(std::string_view host) const {
    const std::size_t bracket = host.find(']');
    const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
    if (colon != std::string_view::npos) {
        const std::string_view port = host.substr(colon + 1);
        if (port.size() > 5 || !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
            return false;
        }
    }
    const std::string name = lower(host.substr(0, colon));
    return !name.empty() && (any_ || std::find(names_.begin(), names_.end(), name) != names_.end());
}

std::optional<Refusal> decode_target(std::string_view target, RequestHead& into) {
    if (target.empty() || target.front() != '/') {
        return bad("the request target must be a path");
    }
    const auto is_allowed = [](char c) { return c > 0x20 && c < 0x7f && c != '#'; };
    if (!std::all_of(target.begin(), target.end(), is_allowed)) {
        return bad("the request target has a character that must be percent-encoded");
    }
    const std::size_t mark = std::min(target.find('?'), target.size());
    if (auto refusal = decode_path(target.substr(0, mark), into.path)) {
        return refusal;
    }
    return decode_query(target.substr(std::min(mark + 1, target.size())), into.query);
}

std::optional<Refusal> parse_head(std::string_view raw, const HostNames& hosts, ParsedHead& into) {
    Request parser;
    parser.header_limit(static_cast<std::uint32_t>(raw.size() + 1));
    parser.body_limit(boost::none);
    boost::system::error_code ec;
    const std::size_t used = parser.put(asio::buffer(raw), ec);
    if (ec || used != raw.size() || !parser.is_header_done()) {
        return bad("malformed request" + (ec ? ": " + ec.message() : ""));
    }
    const Request::value_type& message = parser.get();
    into.http_1_0 = message.version() < 11;
    into.keep_alive = parser.keep_alive();
    into.head.method = message.method();
    if (auto refusal = read_framing(message, into)) {
        return refusal;
    }
    if (auto refusal = check_host(message, hosts)) {
        return refusal;
    }
    into.head.target = message.target();
    if (auto refusal = decode_target(message.target(), into.head)) {
        return refusal;
    }
    if (auto refusal = read_expectation(message, into)) {
        return refusal;
    }
    return read_headers(message, into.head);
}

} // namespace linarite::http
