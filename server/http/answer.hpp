// server/http/answer.hpp: the head of an answer as bytes, and errors as documents.
#pragma once

#include "server/http/exchange.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace linarite::http {

/// What stands in an answer's head.
struct AnswerHead {
    beast_http::status status = beast_http::status::ok;
    std::string_view reason;             // "" for the status' own words
    std::string_view content_type;       // "" for no body
    std::optional<std::uint64_t> length; // Content-Length; nothing: none is sent
    bool chunked = false;
    bool keep_alive = true;
    bool http_1_0 = false; // who asked
    std::string more;      // further header lines, each with its CRLF
};
/// The whole head with its blank line.
std::string print(const AnswerHead& head);

/// "Name: value\r\n"; control characters in the value become spaces.
std::string header_line(std::string_view name, std::string_view value);

/// {"error":{"code","message","details"}}; the code is the status in one word ("NotFound"). What an internal error says
/// is not for clients.
nlohmann::json error_document(beast_http::status code, const Error& error);

} // namespace linarite::http
