// server/http/head.hpp: from the raw bytes of a request's head to a RequestHead, or the reason to refuse it. Pure.
#pragma once

#include "server/http/exchange.hpp"
#include "server/http/server.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::http {

/// Why a request is not even looked at. The connection is closed after it: what follows cannot be trusted.
struct Refusal {
    beast_http::status status = beast_http::status::bad_request;
    std::string message;
};

/// Looks at a head's bytes as they arrive: line endings, folded lines, control characters and sizes, which the parser
/// behind it forgives or hides. Remembers how far it has come, so that a head that drips in costs no more than one at
/// once.
class HeadScanner {
public:
    explicit HeadScanner(const ServerLimits& limits) : limits_(&limits) {}
    /// `arrived` is everything since the head's first byte. Gives the head's length (blank line included), or nothing
    /// while more must arrive or once there is a refusal.
    std::optional<std::size_t> scan(std::string_view arrived);
    [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }

private:
    bool end_line(std::string_view line);
    void check_size();
    bool refuse(beast_http::status why, std::string message);

    const ServerLimits* limits_;
    std::size_t at_ = 0;
    std::size_t line_start_ = 0;
    std::size_t fields_start_ = 0; // 0: still in the request line
    std::size_t fields_ = 0;
    std::optional<Refusal> refusal_;
};

/// The names that a Host header may carry, in lower case; "*" allows any.
class HostNames {
public:
    explicit HostNames(const std::vector<std::string>& more);
    /// `host` as in the header: a name, an IPv4 address or an IPv6 address in brackets, with or without a port.
    [[nodiscard]] bool allows(std::string_view host) const;

private:
    std::vector<std::string> names_;
    bool any_ = false;
};

/// A head that was accepted.
struct ParsedHead {
    enum class Body { none, length, chunked };
    RequestHead head;
    Body body = Body::none;
    bool keep_alive = true;
    bool http_1_0 = false;
    bool expects_continue = false;
};
/// `raw` is one whole head that the scanner let through.
std::optional<Refusal> parse_head(std::string_view raw, const HostNames& hosts, ParsedHead& into);

/// Decodes once, then splits, then checks every part. `target` is what stands in the request line ("/a/b%20c?x=1").
std::optional<Refusal> decode_target(std::string_view target, RequestHead& into);

} // namespace linarite::http
