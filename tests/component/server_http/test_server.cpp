#include "test_server.hpp"

#include "common/ids.hpp"

#include <arpa/inet.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netinet/in.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <sys/socket.h>

namespace linarite::http {
namespace {

using beast_http::status;
using beast_http::verb;
using Role = Principal::Role;
using nlohmann::json;

asio::awaitable<Result<Principal>> check_token(std::string token) {
    if (token == TestServer::token) {
        co_return Principal{Role::admin, "admin"};
    }
    if (token == TestServer::agent_token) {
        co_return Principal{Role::agent, "node-1"};
    }
    co_return Error(Errc::unauthorized, "unknown token");
}

asio::awaitable<void> hello(Exchange& exchange) {
    co_await exchange.reply_json(status::ok, json{{"hello", "world"}});
}

asio::awaitable<void> echo(Exchange& exchange) {
    const auto body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    co_await exchange.reply_json(status::ok, *body);
}

asio::awaitable<void> text(Exchange& exchange) {
    const auto body = co_await exchange.read_body(1U << 20U);
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    co_await exchange.reply_text(status::ok, "text/plain", *body);
}

asio::awaitable<void> count(std::atomic<std::uint64_t>& counted, Exchange& exchange) {
    std::string piece(std::size_t{64} << 10U, '\0');
    std::uint64_t total = 0;
    for (;;) {
        const auto got = co_await exchange.read_some(asio::buffer(piece));
        if (!got) {
            co_return co_await exchange.reply_error(got.error());
        }
        if (*got == 0) {
            break;
        }
        total += *got;
        counted = total;
    }
    co_await exchange.reply_json(status::ok, json{{"bytes", total}});
}

asio::awaitable<void> three(Exchange& exchange) {
    co_await exchange.start_stream("text/event-stream");
    for (const char* piece : {"one,", "two,", "", "three"}) {
        co_await exchange.write_chunk(piece);
    }
    co_await exchange.end_stream();
}

// Chunks until the server stops, or, if it is deaf, until the client is gone.
asio::awaitable<void> endless(bool deaf, Exchange& exchange) {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    co_await exchange.start_stream("text/plain");
    while (deaf || !exchange.stopping()) {
        const auto written = co_await exchange.write_chunk("tick\n");
        if (!written) {
            co_return;
        }
        pause.expires_after(std::chrono::milliseconds(2));
        co_await pause.async_wait(asio::use_awaitable);
    }
    co_await exchange.end_stream();
}

asio::awaitable<void> flood(Exchange& exchange) {
    co_await exchange.start_stream("text/plain");
    const std::string piece(std::size_t{1} << 20U, 'x');
    for (;;) {
        const auto written = co_await exchange.write_chunk(piece);
        if (!written) {
            co_return;
        }
    }
}

asio::awaitable<void> half(Exchange& exchange) {
    co_await exchange.start_stream("text/plain");
    co_await exchange.write_chunk("half");
}

asio::awaitable<void> worded(Exchange& exchange) {
    exchange.set_reason("in\nother words");
    co_await exchange.reply_json(status::bad_request, nlohmann::json::object());
}

asio::awaitable<void> throws(Exchange&) {
    throw std::runtime_error("secret detail");
    co_return;
}

asio::awaitable<void> silent(Exchange&) {
    co_return;
}

asio::awaitable<void> internal(Exchange& exchange) {
    co_await exchange.reply_error(Error(Errc::internal, "secret detail"));
}

asio::awaitable<void> faulty(Exchange& exchange) {
    co_await exchange.reply_error(Error({{"/nodeCount", "is too large"}, {"", "no script"}}));
}

asio::awaitable<void> where(Exchange& exchange) {
    const RequestHead& head = exchange.head();
    co_await exchange.reply_json(status::ok, json{{"path", head.path},
                                                  {"query", head.query},
                                                  {"parameters", head.parameters},
                                                  {"who", head.principal.name},
                                                  {"peer", head.peer}});
}

asio::awaitable<void> serve_file(std::filesystem::path folder, Exchange& exchange) {
    const auto file = folder / exchange.head().parameters.at("name");
    std::error_code ec;
    const auto size = std::filesystem::file_size(file, ec);
    if (ec) {
        co_return co_await exchange.reply_error(Error(Errc::not_found, "no such file"));
    }
    const std::string type = file.extension() == ".txt" ? "text/plain" : "application/octet-stream";
    co_await exchange.reply_file(file, size, type, "tag-1");
}

asio::awaitable<void> early(Exchange& exchange) {
    co_await exchange.reply_error(Error(Errc::conflict, "not now"));
}

} // namespace

Router TestServer::routes() {
    Router router;
    const auto add = [&](verb method, const std::string& pattern, Handler handler,
                         std::set<Role> roles = {Role::admin}) {
        router.add(method, pattern, std::move(roles), [this, handler = std::move(handler)](Exchange& exchange) {
            ++handled;
            return handler(exchange);
        });
    };
    add(verb::get, "/hello", hello, {Role::admin, Role::agent});
    add(verb::get, "/agents-only", hello, {Role::agent});
    add(verb::get, "/open", hello, {Role::none});
    add(verb::post, "/echo", echo);
    add(verb::post, "/text", text);
    const auto counting = [this](Exchange& exchange) { return count(counted, exchange); };
    add(verb::post, "/count", counting);
    add(verb::put, "/count", counting);
    add(verb::post, "/early", early);
    add(verb::get, "/file/{name...}", [this](Exchange& exchange) { return serve_file(folder, exchange); });
    add(verb::get, "/worded", worded);
    add(verb::get, "/three", three);
    add(verb::get, "/endless", [](Exchange& exchange) { return endless(false, exchange); });
    add(verb::get, "/deaf", [](Exchange& exchange) { return endless(true, exchange); });
    add(verb::get, "/flood", flood);
    add(verb::get, "/half", half);
    add(verb::get, "/throws", throws);
    add(verb::get, "/silent", silent);
    add(verb::get, "/internal", internal);
    add(verb::get, "/faulty", faulty);
    add(verb::get, "/where/{a}/{b...}", where);
    return router;
}

TestServer::TestServer(ServerLimits limits, std::vector<std::string> hosts)
    : folder(std::filesystem::temp_directory_path() / ("linarite-http-" + random_hex(8))) {
    std::filesystem::create_directories(folder);
    server_ = std::make_unique<Server>(io_, routes(), check_token, limits, std::move(hosts));
    ensure_certificates(folder / "tls", {}).value();
    ca_pem = read_file(folder / "tls" / "ca.pem").value();
    http_port = server_->listen({"127.0.0.1", 0}, nullptr).value();
    https_port = server_->listen({"127.0.0.1", 0}, load_certificates(folder / "tls").value()).value();
    thread_ = std::thread([this] {
        const auto work = asio::make_work_guard(io_);
        io_.run();
    });
}

TestServer::~TestServer() {
    begin_stop(std::chrono::seconds(0)).wait();
    asio::co_spawn(
        io_,
        [](std::unique_ptr<Server>& server) -> asio::awaitable<void> {
            server.reset();
            co_return;
        }(server_),
        asio::use_future)
        .wait();
    io_.stop();
    thread_.join();
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}

Server::Counters TestServer::counters() {
    return await([](Server& server) -> asio::awaitable<Server::Counters> { co_return server.counters(); }(*server_));
}

bool Answer::has(const std::string& header_line) const {
    return head.find("\r\n" + header_line + "\r\n") != std::string::npos;
}

RawSocket::RawSocket(unsigned short port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{20, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        throw std::runtime_error("cannot connect");
    }
}

bool RawSocket::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool RawSocket::more() {
    std::array<char, 65536> piece{};
    const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), 0);
    if (got <= 0) {
        return false;
    }
    arrived_.append(piece.data(), static_cast<std::size_t>(got));
    return true;
}

bool RawSocket::wait_for(const std::string& text) {
    while (arrived_.find(text) == std::string::npos) {
        if (!more()) {
            return false;
        }
    }
    return true;
}

std::string RawSocket::rest() {
    while (more()) {
    }
    return std::exchange(arrived_, "");
}

bool RawSocket::ends() {
    return rest().empty();
}

void RawSocket::shut() {
    ::shutdown(socket_.get(), SHUT_WR);
}

std::optional<Answer> RawSocket::answer(bool of_head_request) {
    if (!wait_for("\r\n\r\n")) {
        return std::nullopt;
    }
    Answer answer;
    const std::size_t end = arrived_.find("\r\n\r\n") + 4;
    answer.head = arrived_.substr(0, end);
    arrived_.erase(0, end);
    answer.status = std::atoi(answer.head.substr(9, 3).c_str()); // NOLINT(cert-err34-c): checked by the tests
    const std::size_t length_at = answer.head.find("Content-Length: ");
    std::size_t length = length_at == std::string::npos ? 0 : std::stoul(answer.head.substr(length_at + 16));
    if (of_head_request || answer.status == 304 || answer.status == 100) {
        length = 0;
    }
    while (answer.head.find("Transfer-Encoding: chunked") != std::string::npos) {
        if (!wait_for("\r\n")) {
            return std::nullopt;
        }
        const std::size_t line_end = arrived_.find("\r\n") + 2;
        const std::size_t size = std::stoul(arrived_, nullptr, 16);
        while (arrived_.size() < line_end + size + 2) {
            if (!more()) {
                return std::nullopt;
            }
        }
        answer.body.append(arrived_, line_end, size);
        arrived_.erase(0, line_end + size + 2);
        if (size == 0) {
            return answer;
        }
    }
    while (arrived_.size() < length) {
        if (!more()) {
            return std::nullopt;
        }
    }
    answer.body = arrived_.substr(0, length);
    arrived_.erase(0, length);
    return answer;
}

std::string request(const std::string& method, const std::string& target, const std::string& more,
                    const std::string& body) {
    const std::string length = body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + TestServer::token +
           "\r\n" + length + more + "\r\n" + body;
}

std::optional<Answer> ask(const TestServer& server, const std::string& raw) {
    RawSocket socket(server.http_port);
    socket.send(raw);
    return socket.answer(raw.starts_with("HEAD "));
}

} // namespace linarite::http
