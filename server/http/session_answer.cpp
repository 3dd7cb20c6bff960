#include "common/files.hpp"
#include "proto/json_reader.hpp"
#include "server/http/range.hpp"
#include "server/http/session.hpp"

#include <spdlog/spdlog.h>

#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>

namespace linarite::http {
namespace {

using beast_http::status;

std::string chunk_size_line(std::size_t size) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
    return std::string(digits.data(), end).append("\r\n");
}

/// Opened without following a link; a regular file of at least `size` bytes.
Result<UniqueFd> open_for_reading(const std::filesystem::path& file, std::uint64_t size) {
    UniqueFd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!opened) {
        return errno_error("open '" + file.string() + "'", errno);
    }
    struct stat facts {};
    if (::fstat(opened.get(), &facts) != 0) {
        return errno_error("look at '" + file.string() + "'", errno);
    }
    if (!S_ISREG(facts.st_mode) || static_cast<std::uint64_t>(facts.st_size) < size) {
        return Error(Errc::internal,
                     "'" + file.string() + "' is not a regular file of " + std::to_string(size) + " bytes");
    }
    return opened;
}

/// The header's value, or "".
std::string_view header(const RequestHead& head, const std::string& name) {
    const auto found = head.headers.find(name);
    return found == head.headers.end() ? std::string_view() : found->second;
}

Range wanted_range(const RequestHead& head, std::string_view range, std::uint64_t size, std::string_view etag) {
    const std::string_view condition = header(head, "if-range");
    const bool still_the_same = condition.empty() || (!condition.starts_with("W/") && names_etag(condition, etag));
    const bool ask = head.method == beast_http::verb::get && still_the_same;
    return parse_range(!ask ? std::string_view() : range.empty() ? header(head, "range") : range, size);
}

} // namespace

bool Session::begin_answer(status code) {
    if (answer_ != Answer::none) {
        spdlog::error("second answer to one request route=\"{}\" peer={}", route_, peer_);
        broken_ = true;
        return false;
    }
    answer_ = Answer::complete;
    status_ = code;
    core_->count(request_.head.method, route_, code);
    const bool body_can_be_dropped = body_.at_least_left() <= core_->limits.unread_body && !body_.failure() &&
                                     (body_.complete() || !body_.waits_for_continue());
    keep_alive_ = request_.keep_alive && body_can_be_dropped && !core_->stopping &&
                  requests_ < core_->limits.requests_per_connection;
    return true;
}

AnswerHead Session::answer_head(status code, std::string more) const {
    AnswerHead head;
    head.more = more_headers_ + more;
    head.status = code;
    head.reason = reason_;
    head.keep_alive = keep_alive_;
    head.http_1_0 = request_.http_1_0;
    return head;
}

asio::awaitable<Result<void>> Session::send_raw(std::array<std::string_view, 3> parts) {
    if (broken_) {
        co_return Error(Errc::unavailable, "the client is gone");
    }
    const IoResult<void> written = co_await wire_->write(parts, core_->limits.write_time);
    if (!written) {
        broken_ = true;
        co_return Error(Errc::unavailable, "the client is gone: " + written.error().message());
    }
    co_return Result<void>();
}

asio::awaitable<void> Session::send(status code, std::string_view content_type, std::string_view body,
                                    std::string more) {
    if (!begin_answer(code)) {
        co_return;
    }
    AnswerHead head = answer_head(code, std::move(more));
    head.content_type = content_type;
    const bool bodiless = code == status::no_content || code == status::not_modified;
    if (!bodiless) {
        head.length = body.size();
    }
    const std::string text = print(head);
    const std::array<std::string_view, 3> parts{text, is_head() || bodiless ? std::string_view() : body, ""};
    co_await send_raw(parts); // a failure marks the connection as broken
}

asio::awaitable<void> Session::reply_failure(status code, const Error& error, std::string more) {
    const std::string body = proto::print_json(error_document(code, error));
    co_await send(code, "application/json", body, std::move(more));
}

void Session::add_header(std::string_view name, std::string_view value) {
    more_headers_ += header_line(name, value);
}

asio::awaitable<void> Session::reply_empty(status code) {
    co_await send(code, "", "");
}

asio::awaitable<void> Session::reply_json(status code, const nlohmann::json& body) {
    const std::string text = proto::print_json(body);
    co_await send(code, "application/json", text);
}

asio::awaitable<void> Session::reply_text(status code, std::string content_type, std::string body) {
    co_await send(code, content_type, body);
}

asio::awaitable<void> Session::reply_error(const Error& error) {
    if (error.code() == Errc::internal) {
        spdlog::error("internal error route=\"{}\" peer={} error=\"{}\"", route_, peer_, error.detail());
    }
    status code = to_http(error.code());
    const bool of_body = error.code() == Errc::invalid_argument || error.code() == Errc::unavailable;
    if (of_body && body_.failure()) {
        code = *body_.failure(); // 408 and 415 say more than the error's kind
    }
    std::string more = code == status::service_unavailable ? header_line("Retry-After", "1") : "";
    co_await reply_failure(code, error, std::move(more));
}

asio::awaitable<void> Session::reply_file(std::filesystem::path file, std::uint64_t size, std::string content_type,
                                          std::string etag, std::string range) {
    Result<UniqueFd> opened = open_for_reading(file, size);
    if (!opened) {
        co_return co_await reply_error(opened.error());
    }
    co_await reply_open_file(std::move(*opened), size, std::move(content_type), std::move(etag), std::move(range));
}

asio::awaitable<void> Session::reply_open_file(UniqueFd file, std::uint64_t size, std::string content_type,
                                               std::string etag, std::string range_header) {
    std::string more = "Accept-Ranges: bytes\r\nContent-Security-Policy: sandbox; default-src 'none'\r\n";
    if (!etag.empty()) {
        more.append(header_line("ETag", '"' + etag + '"'));
    }
    if (names_etag(header(request_.head, "if-none-match"), etag)) {
        co_return co_await send(status::not_modified, "", "", std::move(more));
    }
    const Range range = wanted_range(request_.head, range_header, size, etag);
    if (range.kind == Range::Kind::unsatisfiable) {
        more.append(header_line("Content-Range", "bytes */" + std::to_string(size)));
        const Error error(Errc::invalid_argument, "the range begins behind the end of the file");
        co_return co_await reply_failure(status::range_not_satisfiable, error, std::move(more));
    }
    const bool part = range.kind == Range::Kind::part;
    if (!begin_answer(part ? status::partial_content : status::ok)) {
        co_return;
    }
    if (part) {
        more.append(header_line("Content-Range", "bytes " + std::to_string(range.first) + "-" +
                                                     std::to_string(range.first + range.length - 1) + "/" +
                                                     std::to_string(size)));
    }
    if (!shown_inline(content_type)) {
        more.append("Content-Disposition: attachment\r\n");
    }
    AnswerHead head = answer_head(status_, std::move(more));
    head.content_type = content_type;
    head.length = range.length;
    const std::string text = print(head);
    const std::array<std::string_view, 3> parts{text, "", ""};
    const Result<void> sent = co_await send_raw(parts);
    if (!sent || is_head()) {
        co_return;
    }
    const IoResult<void> streamed =
        co_await wire_->send_file(file.get(), range.first, range.length, core_->limits.write_time);
    broken_ = broken_ || !streamed; // a file that shrank: the client must see that it did not get all
}

asio::awaitable<Result<void>> Session::start_stream(std::string content_type) {
    if (!begin_answer(status::ok)) {
        co_return Error(Errc::internal, "there was an answer already");
    }
    keep_alive_ = keep_alive_ && !request_.http_1_0; // HTTP/1.0 knows the end by the connection's end
    AnswerHead head = answer_head(status::ok, content_type == "application/json" ? "" : "Cache-Control: no-store\r\n");
    head.content_type = content_type;
    head.chunked = !request_.http_1_0;
    answer_ = Answer::streaming;
    const std::string text = print(head);
    const std::array<std::string_view, 3> parts{text, "", ""};
    co_return co_await send_raw(parts);
}

asio::awaitable<Result<void>> Session::write_chunk(std::string bytes) {
    if (answer_ != Answer::streaming) {
        co_return Error(Errc::internal, "no stream was started");
    }
    if (is_head()) {
        co_return Error(Errc::unavailable, "the client wants the head alone");
    }
    if (bytes.empty()) {
        co_return Result<void>(); // an empty chunk would be the end
    }
    const std::string size = chunk_size_line(bytes.size());
    const std::array<std::string_view, 3> framed{size, bytes, "\r\n"};
    const std::array<std::string_view, 3> plain{bytes, "", ""};
    co_return co_await send_raw(request_.http_1_0 ? plain : framed);
}

asio::awaitable<void> Session::end_stream() {
    if (answer_ != Answer::streaming) {
        co_return;
    }
    answer_ = Answer::complete;
    if (!request_.http_1_0 && !is_head()) {
        const std::array<std::string_view, 3> end{"0\r\n\r\n", "", ""};
        co_await send_raw(end);
    }
}

} // namespace linarite::http
