#include "server/http/session.hpp"

#include "proto/json_reader.hpp"

#include <boost/beast/core/string.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace linarite::http {
namespace {

using beast_http::status;

constexpr std::size_t buffer_size = 64U << 10U;
constexpr std::size_t head_read = 4U << 10U;
constexpr std::size_t body_piece = 64U << 10U;

std::string_view view(const boost::beast::flat_buffer& buffer) {
    return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

/// The token of "Bearer <token>", or nothing.
std::string_view bearer_token(const RequestHead& head) {
    constexpr std::string_view scheme = "bearer ";
    const auto found = head.headers.find("authorization");
    if (found == head.headers.end()) {
        return {};
    }
    const std::string_view value = found->second;
    if (value.size() <= scheme.size() || !boost::beast::iequals(value.substr(0, scheme.size()), scheme)) {
        return {};
    }
    return value.substr(value.find_first_not_of(' ', scheme.size()));
}

std::string allow_line(const std::vector<beast_http::verb>& allowed) {
    std::string names;
    for (const beast_http::verb method : allowed) {
        names.append(names.empty() ? "" : ", ").append(std::string_view(beast_http::to_string(method)));
    }
    return header_line("Allow", names);
}

/// Kinds with a suffix, such as "application/json-patch+json", are JSON in another role.
bool is_json(std::string_view content_type) {
    return boost::beast::iequals(content_type, "application/json") || content_type.ends_with("+json");
}

} // namespace

Session::Session(std::shared_ptr<ServerCore> core, std::unique_ptr<Wire> wire, std::string peer, std::string address)
    : core_(std::move(core)),
      wire_(std::move(wire)),
      peer_(std::move(peer)),
      address_(std::move(address)),
      buffer_(buffer_size),
      body_(*wire_, buffer_, core_->limits) {
    core_->sessions.insert(this);
    ++core_->per_address[address_];
}

Session::~Session() {
    core_->sessions.erase(this);
    const auto mine = core_->per_address.find(address_);
    if (mine != core_->per_address.end() && --mine->second == 0) {
        core_->per_address.erase(mine);
    }
    if (core_->sessions.empty()) {
        core_->all_gone.cancel();
    }
}

void Session::stop_if_idle() {
    if (idle_) {
        wire_->cancel();
    }
}

void Session::abort() {
    broken_ = true;
    wire_->abort();
}

asio::awaitable<void> Session::run() {
    wire_->expire_after(core_->limits.handshake_time);
    const IoResult<void> ready = co_await wire_->handshake();
    if (!ready) {
        spdlog::debug("handshake failed peer={} error=\"{}\"", peer_, ready.error().message());
        co_return;
    }
    bool go_on = true;
    while (go_on) {
        go_on = co_await serve_one();
    }
    if (broken_ || core_->stopping) {
        wire_->abort();
        co_return;
    }
    co_await wire_->finish(linger_);
}

// True if another request may follow.
asio::awaitable<bool> Session::serve_one() {
    request_ = ParsedHead();
    request_.head.peer = peer_;
    route_ = "-";
    answer_ = Answer::none;
    more_headers_.clear();
    reason_.clear();
    keep_alive_ = false;
    body_.start(request_);

    const std::optional<std::size_t> length = co_await receive_head();
    if (!length) {
        co_return false;
    }
    const SteadyTime began = std::chrono::steady_clock::now();
    ++requests_;
    const std::optional<Refusal> refusal = parse_head(view(buffer_).substr(0, *length), core_->hosts, request_);
    buffer_.consume(*length);
    if (refusal) {
        co_await refuse(*refusal);
    } else {
        body_.start(request_);
        co_await dispatch();
        co_await finish_request();
    }
    log_answer(began);
    co_return keep_alive_ && !broken_;
}

// The length of the head that now lies at the front of the buffer; nothing if the connection is done (and answered).
asio::awaitable<std::optional<std::size_t>> Session::receive_head() {
    HeadScanner scanner(core_->limits);
    bool in_time = false; // the time for the head is running
    for (;;) {
        const std::optional<std::size_t> length = scanner.scan(view(buffer_));
        idle_ = buffer_.size() == 0;
        if (length) {
            wire_->never_expire();
            co_return length;
        }
        if (scanner.refusal()) {
            co_await refuse(*scanner.refusal());
            log_answer(std::chrono::steady_clock::now());
            co_return std::nullopt;
        }
        if (idle_ && core_->stopping) {
            co_return std::nullopt;
        }
        if (idle_) {
            wire_->expire_after(core_->limits.idle);
        } else if (!in_time) {
            in_time = true;
            wire_->expire_after(core_->limits.header_time);
        }
        const std::size_t room = std::min(buffer_.max_size() - buffer_.size(), head_read);
        if (room == 0) { // limits that were configured larger than the buffer
            co_await refuse({status::request_header_fields_too_large, "the header is too large"});
            co_return std::nullopt;
        }
        const IoResult<std::size_t> count = co_await wire_->read_some(buffer_.prepare(room));
        if (!count) {
            if (wire_->expired() && !idle_) {
                co_await refuse({status::request_timeout, "the header came too slowly"});
                log_answer(std::chrono::steady_clock::now());
            }
            co_return std::nullopt;
        }
        buffer_.commit(*count);
    }
}

asio::awaitable<void> Session::refuse(Refusal why) {
    linger_ = true;
    request_.keep_alive = false;
    co_await reply_failure(why.status, Error(Errc::invalid_argument, std::move(why.message)));
}

asio::awaitable<void> Session::dispatch() {
    std::vector<beast_http::verb> allowed;
    Result<Router::Match> match = core_->router.locate(request_.head.method, request_.head.path, &allowed);
    // only what a route declares open is so; what exists is nobody's business without a token
    if (!match || !match->roles->contains(Principal::Role::none)) {
        Result<Principal> principal = co_await authenticate();
        if (!principal) {
            co_return co_await answer_unauthorized(principal.error());
        }
        request_.head.principal = std::move(*principal);
        if (!match && match.error().code() == Errc::invalid_argument) {
            co_return co_await reply_failure(status::method_not_allowed, match.error(), allow_line(allowed));
        }
        if (!match) {
            co_return co_await reply_error(match.error());
        }
        if (!match->roles->contains(request_.head.principal.role)) {
            co_return co_await reply_error(Error(Errc::forbidden, "this token may not do that"));
        }
    }
    request_.head.parameters = std::move(match->parameters);
    route_ = std::move(match->route);
    co_await call(*match);
}

asio::awaitable<Result<Principal>> Session::authenticate() {
    const std::string token(bearer_token(request_.head));
    if (token.empty()) {
        co_return Error(Errc::unauthorized, "a bearer token is needed");
    }
    Result<Principal> principal = co_await core_->authenticate(token);
    if (!principal && principal.error().code() == Errc::unauthorized &&
        core_->logins.too_many(address_, std::chrono::steady_clock::now())) {
        co_return Error(Errc::resource_exhausted, "too many failed logins from this address");
    }
    co_return principal;
}

asio::awaitable<void> Session::answer_unauthorized(const Error& error) {
    const status code = to_http(error.code());
    if (code == status::unauthorized) {
        co_return co_await reply_failure(code, error, header_line("WWW-Authenticate", "Bearer realm=\"linarite\""));
    }
    if (code == status::too_many_requests) {
        co_return co_await reply_failure(code, error, header_line("Retry-After", "60"));
    }
    co_await reply_error(error);
}

asio::awaitable<void> Session::call(const Router::Match& match) {
    std::string thrown;
    try {
        co_await (*match.handler)(*this);
    } catch (const std::exception& e) {
        thrown = e.what();
        thrown = thrown.empty() ? "exception without words" : thrown;
    }
    if (!thrown.empty()) {
        spdlog::error("handler threw route=\"{}\" peer={} error=\"{}\"", route_, peer_, thrown);
        request_.keep_alive = false;
    } else if (answer_ == Answer::none) {
        spdlog::error("handler gave no answer route=\"{}\" peer={}", route_, peer_);
    }
    if (answer_ == Answer::none) {
        co_await reply_failure(status::internal_server_error, Error(Errc::internal, "no answer"));
    }
    keep_alive_ = keep_alive_ && thrown.empty();
    broken_ = broken_ || answer_ == Answer::streaming; // the client must see that the answer is not whole
}

// What is left of the body must be gone before the next request can be read.
asio::awaitable<void> Session::finish_request() {
    if (body_.complete()) {
        co_return;
    }
    if (keep_alive_ && !broken_) {
        body_.limit_time(std::chrono::steady_clock::now() + core_->limits.header_time);
        keep_alive_ = co_await body_.drop(core_->limits.unread_body);
    }
    linger_ = linger_ || !body_.complete();
}

void Session::log_answer(SteadyTime began) const {
    if (spdlog::should_log(spdlog::level::debug)) {
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
        spdlog::debug("request method={} path={} status={} ms={:.2f} peer={}",
                      std::string_view(beast_http::to_string(request_.head.method)), request_.head.path,
                      static_cast<unsigned>(status_), took.count(), peer_);
    }
}

asio::awaitable<Result<std::size_t>> Session::read_some(asio::mutable_buffer into) {
    co_return co_await body_.read_some(into);
}

asio::awaitable<Result<std::string>> Session::read_body(std::size_t limit) {
    const std::uint64_t announced = request_.head.content_length.value_or(body_piece);
    const bool announced_too_much = request_.head.content_length && announced > limit;
    std::string text;
    std::size_t filled = 0;
    while (!announced_too_much && filled <= limit && !body_.complete()) {
        if (filled == text.size()) {
            // memory grows with what has really come, not with what was announced
            text.resize(std::max<std::size_t>(filled * 2, std::min<std::uint64_t>(announced, body_piece)));
        }
        const Result<std::size_t> count = co_await body_.read_some(asio::buffer(text) + filled);
        if (!count) {
            co_return count.error();
        }
        filled += *count;
    }
    if (announced_too_much || filled > limit) {
        co_return Error(Errc::too_large, "the body is over " + std::to_string(limit) + " bytes");
    }
    text.resize(filled);
    co_return text;
}

asio::awaitable<Result<nlohmann::json>> Session::read_json() {
    if (body_.complete()) {
        co_return nlohmann::json();
    }
    const auto type = request_.head.headers.find("content-type");
    const std::string_view name = type == request_.head.headers.end() ? std::string_view() : type->second;
    const std::string_view bare = name.substr(0, name.find_first_of("; \t"));
    if (!is_json(bare)) {
        co_return body_.fail(status::unsupported_media_type, Errc::invalid_argument,
                             "the body must be application/json");
    }
    body_.limit_time(std::chrono::steady_clock::now() + core_->limits.json_time);
    const Result<std::string> text = co_await read_body(core_->limits.json_body);
    if (!text) {
        co_return text.error();
    }
    if (text->empty()) {
        co_return nlohmann::json();
    }
    co_return proto::parse_json(*text);
}

} // namespace linarite::http
