#include "server/http/answer.hpp"

#include <algorithm>

namespace linarite::http {
namespace {

using beast_http::status;

std::string one_word(status value) {
    std::string word(beast_http::obsolete_reason(value));
    std::erase_if(word, [](char c) { return c == ' ' || c == '-'; });
    return word;
}

/// One line of it at most: control characters become spaces.
void append_line(std::string& out, std::string_view text) {
    for (const char c : text) {
        out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
    }
    out.append("\r\n");
}

} // namespace

status to_http(Errc code) {
    switch (code) {
    case Errc::invalid_argument: return status::bad_request;
    case Errc::unauthorized: return status::unauthorized;
    case Errc::forbidden: return status::forbidden;
    case Errc::not_found: return status::not_found;
    case Errc::conflict: return status::conflict;
    case Errc::gone: return status::gone;
    case Errc::too_large: return status::payload_too_large;
    case Errc::resource_exhausted: return status::too_many_requests;
    case Errc::unavailable: return status::service_unavailable;
    case Errc::no_space: return status::insufficient_storage;
    case Errc::internal: return status::internal_server_error;
    }
    return status::internal_server_error;
}

std::string header_line(std::string_view name, std::string_view value) {
    std::string line;
    line.reserve(name.size() + value.size() + 4);
    line.append(name).append(": ");
    append_line(line, value);
    return line;
}

std::string print(const AnswerHead& head) {
    std::string out;
    out.reserve(256 + head.more.size());
    out.append("HTTP/1.1 ").append(std::to_string(static_cast<unsigned>(head.status))).append(" ");
    append_line(out, head.reason.empty() ? std::string_view(beast_http::obsolete_reason(head.status)) : head.reason);
    if (!head.content_type.empty()) {
        out.append(header_line("Content-Type", head.content_type));
        if (head.content_type == "application/json") {
            out.append("Cache-Control: no-store\r\n");
        }
    }
    if (head.length) {
        out.append("Content-Length: ").append(std::to_string(*head.length)).append("\r\n");
    }
    if (head.chunked) {
        out.append("Transfer-Encoding: chunked\r\n");
    }
    out.append("X-Content-Type-Options: nosniff\r\n");
    if (!head.keep_alive) {
        out.append("Connection: close\r\n");
    } else if (head.http_1_0) {
        out.append("Connection: keep-alive\r\n");
    }
    return out.append(head.more).append("\r\n");
}

nlohmann::json error_document(status code, const Error& error) {
    nlohmann::json details = nlohmann::json::array();
    for (const Fault& fault : error.faults()) {
        details.push_back({{"target", fault.pointer}, {"message", fault.message}});
    }
    const bool hidden = error.code() == Errc::internal;
    return {{"error",
             {{"code", one_word(code)},
              {"message", hidden ? std::string("internal error") : error.detail()},
              {"details", std::move(details)}}}};
}

} // namespace linarite::http
