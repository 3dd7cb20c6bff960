#include "client/http_client.hpp"

#include "client/answer_reader.hpp"
#include "client/connection.hpp"
#include "common/clock.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>

namespace linarite::client {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t largest_answer = std::size_t{256} << 20U;
constexpr std::size_t largest_error = std::size_t{1} << 20U;

Errc errc_of(int status) {
    switch (status) {
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 409: return Errc::conflict;
    case 410: return Errc::gone;
    case 413: return Errc::too_large;
    case 429: return Errc::resource_exhausted;
    case 408:
    case 502:
    case 503:
    case 504: return Errc::unavailable;
    case 507: return Errc::no_space;
    default: return status >= 400 && status < 500 ? Errc::invalid_argument : Errc::internal;
    }
}

/// The error that an answer with a status over 299 stands for, with the server's words if it has some.
Error error_of(const Response& response, const std::string& url) {
    const Errc code = errc_of(response.status);
    const std::string plain = url + " answered with status " + std::to_string(response.status);
    const Result<Json> document = proto::parse_json(response.body);
    if (!document || !document->is_object()) {
        return {code, plain};
    }
    std::vector<Fault> ignored;
    proto::JsonReader whole(*document, "", ignored);
    proto::JsonReader error = whole.object("error");
    std::vector<Fault> faults;
    error.objects("details", [&](proto::JsonReader& detail) {
        std::string target = detail.text("target");
        faults.push_back({std::move(target), detail.text("message")});
    });
    if (code == Errc::invalid_argument && !faults.empty()) {
        return Error(std::move(faults));
    }
    return {code, error.text("message", plain)};
}

/// How the body of a request is told.
enum class BodyKind { none, known, chunked };

} // namespace

struct HttpClient::State {
    asio::any_io_executor executor;
    Address address;
    std::shared_ptr<asio::ssl::context> tls;
    std::shared_ptr<Connection> connection; // open between requests, if it may be used again
    bool busy = false;
    std::uint64_t closes = 0; // how often close() was called

    /// One request under way.
    struct Job {
        Request* request = nullptr;
        BodyKind kind = BodyKind::none;
        std::uint64_t length = 0;
        const Source* source = nullptr; // else the body is request->body
        const Sink* sink = nullptr;     // else the answer is collected
        bool source_used = false;
        bool reused = false;    // the connection served a request before
        bool answered = false;  // a byte of the answer has come
        bool cut_short = false; // the server answered before it had the whole body
        SteadyTime deadline;
    };

    asio::awaitable<Result<Response>> perform(Job job);
    asio::awaitable<Result<Response>> attempt(Job& job);
    asio::awaitable<Result<void>> connect(Job& job, const Url& url);
    [[nodiscard]] std::string print_head(const Job& job, const Url& url) const;
    asio::awaitable<Result<void>> send_request(Job& job, const Url& url);
    asio::awaitable<Result<void>> send_source(Job& job, std::string head);
    asio::awaitable<Result<Response>> receive(Job& job);
    asio::awaitable<Result<Response>> receive_body(Job& job, AnswerReader& reader);
    asio::awaitable<Result<void>> read_more(Job& job, AnswerReader& reader);
    asio::awaitable<Result<void>> take_piece(Job& job, Response& response, std::string_view piece);
    void arm(const Job& job) const;
    [[nodiscard]] Error failed(const Job& job, const boost::system::error_code& ec) const;
};

HttpClient::HttpClient(asio::any_io_executor executor, Address address) : state_(std::make_shared<State>()) {
    state_->executor = std::move(executor);
    state_->address = std::move(address);
}

HttpClient::~HttpClient() {
    close();
}

void HttpClient::close() {
    ++state_->closes;
    if (state_->connection) {
        state_->connection->close();
        if (!state_->busy) {
            state_->connection.reset();
        }
    }
}

Error HttpClient::State::failed(const Job& job, const boost::system::error_code& ec) const {
    if (connection->expired()) {
        return {Errc::unavailable,
                "no answer from " + address.url + " within " + format_duration(job.request->timeout)};
    }
    return {Errc::unavailable, "connection to " + address.url + " broke: " + ec.message()};
}

void HttpClient::State::arm(const Job& job) const {
    connection->expire_at(job.sink == nullptr ? job.deadline : std::chrono::steady_clock::now() + job.request->timeout);
}

asio::awaitable<Result<void>> HttpClient::State::connect(Job& job, const Url& url) {
    job.reused = connection && !connection->is_stale();
    if (job.reused) {
        co_return Result<void>();
    }
    if (url.tls && !tls) {
        auto context = make_tls_context(address.ca_pem);
        if (!context) {
            co_return context.error();
        }
        tls = std::move(*context);
    }
    connection = make_connection(executor, url, url.tls ? tls : nullptr);
    arm(job);
    const Result<void> opened = co_await connection->open();
    if (!opened) {
        const std::string why = connection->expired() ? "no connection within " + format_duration(job.request->timeout)
                                                      : opened.error().detail();
        co_return Error(Errc::unavailable, "cannot reach " + address.url + ": " + why);
    }
    co_return Result<void>();
}

std::string HttpClient::State::print_head(const Job& job, const Url& url) const {
    const Request& request = *job.request;
    std::string head;
    head.reserve(512);
    head.append(request.method)
        .append(" ")
        .append(request.target)
        .append(" HTTP/1.1\r\nHost: ")
        .append(url.authority());
    head.append("\r\nUser-Agent: linarite\r\n");
    if (!address.token.empty()) {
        head.append("Authorization: Bearer ").append(address.token).append("\r\n");
    }
    const bool has_body = job.kind == BodyKind::chunked || job.length > 0;
    if (has_body && !request.content_type.empty()) {
        head.append("Content-Type: ").append(request.content_type).append("\r\n");
    }
    if (job.kind == BodyKind::chunked) {
        head.append("Transfer-Encoding: chunked\r\n");
    } else if (job.kind == BodyKind::known) {
        head.append("Content-Length: ").append(std::to_string(job.length)).append("\r\n");
    }
    for (const auto& [name, value] : request.headers) {
        head.append(name).append(": ").append(value).append("\r\n");
    }
    return head.append("\r\n");
}

asio::awaitable<Result<void>> HttpClient::State::send_request(Job& job, const Url& url) {
    std::string head = print_head(job, url);
    arm(job);
    if (job.source != nullptr) {
        co_return co_await send_source(job, std::move(head));
    }
    const IoResult<void> written = co_await connection->write(head, job.request->body);
    if (!written) {
        co_return failed(job, written.error());
    }
    co_return Result<void>();
}

// The head goes out with the first piece. Ends early if the server answers before the end.
asio::awaitable<Result<void>> HttpClient::State::send_source(Job& job, std::string head) {
    std::uint64_t sent = 0;
    for (;;) {
        job.source_used = true;
        Result<std::string> piece = (*job.source)();
        if (!piece) {
            connection->close(); // half a body is no body
            co_return piece.error();
        }
        const bool last = piece->empty();
        sent += piece->size();
        if (job.kind == BodyKind::known && (sent > job.length || (last && sent != job.length))) {
            connection->close();
            co_return Error(Errc::internal, "the body is not as long as was said: " + std::to_string(sent) + " of " +
                                                std::to_string(job.length) + " bytes");
        }
        if (job.kind == BodyKind::chunked) {
            head.append(print_chunk_size(piece->size()));
            piece->append("\r\n");
        }
        const IoResult<void> written = co_await connection->write(head, *piece);
        if (!written) {
            co_return failed(job, written.error());
        }
        job.cut_short = !last && connection->has_answer();
        if (last || job.cut_short) {
            co_return Result<void>();
        }
        head.clear();
    }
}

asio::awaitable<Result<void>> HttpClient::State::read_more(Job& job, AnswerReader& reader) {
    arm(job);
    const IoResult<std::size_t> count = co_await connection->read_some(reader.room());
    if (!count && !(count.error() == asio::error::eof && reader.ended())) {
        co_return failed(job, count.error());
    }
    reader.arrived(count ? *count : 0);
    co_return Result<void>();
}

asio::awaitable<Result<void>> HttpClient::State::take_piece(Job& job, Response& response, std::string_view piece) {
    const std::size_t limit = job.sink != nullptr ? largest_error : largest_answer;
    if (job.sink != nullptr && response.status <= 299) {
        connection->expire_at(SteadyTime::max());
        co_return co_await (*job.sink)(piece);
    }
    if (response.body.size() + piece.size() > limit) {
        co_return Error(Errc::too_large,
                        "the answer of " + address.url + " is over " + std::to_string(limit) + " bytes");
    }
    response.body.append(piece);
    co_return Result<void>();
}

asio::awaitable<Result<Response>> HttpClient::State::receive_body(Job& job, AnswerReader& reader) {
    Response response = reader.take_head();
    for (;;) {
        const Result<std::string_view> piece = reader.next_piece();
        if (!piece) {
            co_return piece.error().within(address.url);
        }
        if (piece->empty() && reader.complete()) {
            co_return response;
        }
        Result<void> done;
        if (piece->empty()) {
            done = co_await read_more(job, reader);
        } else {
            done = co_await take_piece(job, response, *piece);
        }
        if (!done) {
            co_return done.error();
        }
    }
}

asio::awaitable<Result<Response>> HttpClient::State::receive(Job& job) {
    AnswerReader reader(job.request->method == "HEAD");
    for (;;) {
        arm(job);
        const IoResult<std::size_t> count = co_await connection->read_some(reader.room());
        if (!count) {
            co_return failed(job, count.error());
        }
        job.answered = true;
        const Result<bool> head = reader.head_arrived(*count);
        if (!head) {
            co_return head.error().within(address.url);
        }
        if (*head) {
            break;
        }
    }
    Result<Response> response = co_await receive_body(job, reader);
    if (!response || !reader.keep_alive()) {
        connection->close();
    }
    co_return response;
}

asio::awaitable<Result<Response>> HttpClient::State::attempt(Job& job) {
    const Result<Url> url = parse_url(address.url);
    if (!url) {
        co_return url.error();
    }
    const Result<void> connected = co_await connect(job, *url);
    if (!connected) {
        co_return connected.error();
    }
    const Result<void> sent = co_await send_request(job, *url);
    if (!sent && sent.error().code() != Errc::unavailable) {
        co_return sent.error();
    }
    // a server that refuses a body answers and closes: its answer says more than our broken write
    Result<Response> response = co_await receive(job);
    if (!sent || job.cut_short) {
        connection->close();
    }
    if (!sent) {
        co_return job.answered ? std::move(response) : Result<Response>(sent.error());
    }
    co_return response;
}

asio::awaitable<Result<Response>> HttpClient::State::perform(Job job) {
    if (busy) {
        co_return Error(Errc::internal, "two requests at the same time on one client");
    }
    busy = true;
    const std::uint64_t closes_before = closes;
    job.deadline = std::chrono::steady_clock::now() + job.request->timeout;
    Result<Response> response = co_await attempt(job);
    if (!response && job.reused && !job.answered && !job.source_used && job.request->idempotent &&
        response.error().code() == Errc::unavailable && closes == closes_before && !connection->expired()) {
        connection.reset();
        response = co_await attempt(job);
    }
    busy = false;
    if (connection) {
        connection->expire_at(SteadyTime::max());
    }
    if (!response || closes != closes_before) {
        connection.reset();
    }
    co_return response;
}

asio::awaitable<Result<Response>> HttpClient::send(Request request) {
    const bool has_body = !request.body.empty() || (request.method != "GET" && request.method != "HEAD");
    State::Job job;
    job.request = &request;
    job.kind = has_body ? BodyKind::known : BodyKind::none;
    job.length = request.body.size();
    const std::shared_ptr<State> state = state_;
    co_return co_await state->perform(job);
}

asio::awaitable<Result<Json>> HttpClient::call(std::string method, std::string target, Json body,
                                               std::chrono::milliseconds timeout) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = body.is_null() ? "" : proto::print_json(body);
    request.timeout = timeout;
    const std::string url = state_->address.url;
    const Result<Response> response = co_await send(std::move(request));
    if (!response) {
        co_return response.error();
    }
    if (response->status > 299) {
        co_return error_of(*response, url);
    }
    if (response->body.empty()) {
        co_return Json();
    }
    co_return proto::parse_json(response->body);
}

asio::awaitable<Result<Response>> HttpClient::upload(Request request, Source source, std::int64_t length) {
    State::Job job;
    job.request = &request;
    job.kind = length < 0 ? BodyKind::chunked : BodyKind::known;
    job.length = length < 0 ? 0 : static_cast<std::uint64_t>(length);
    job.source = &source;
    const std::shared_ptr<State> state = state_;
    co_return co_await state->perform(job);
}

asio::awaitable<Result<Response>> HttpClient::download(Request request, Sink sink) {
    State::Job job;
    job.request = &request;
    job.kind = request.body.empty() ? BodyKind::none : BodyKind::known;
    job.length = request.body.size();
    job.sink = &sink;
    const std::shared_ptr<State> state = state_;
    Result<Response> response = co_await state->perform(job);
    if (response && response->status > 299) {
        co_return error_of(*response, state->address.url);
    }
    co_return response;
}

} // namespace linarite::client
