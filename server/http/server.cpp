#include "server/http/server.hpp"

#include "server/http/session.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/spdlog.h>

#include <exception>

namespace linarite::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t most_turned_away = 64;
constexpr std::size_t most_addresses = 10'000;
constexpr std::chrono::milliseconds accept_pause{50};

/// For the coroutines at the root: they report by themselves, so an exception is a bug.
void log_exception(std::exception_ptr thrown) {
    try {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
    } catch (const std::exception& e) {
        spdlog::error("connection ended by an exception error=\"{}\"", e.what());
    }
}

asio::awaitable<void> run_session(std::unique_ptr<Session> session) {
    co_await session->run();
}

/// Tells a client that there is no room, and waits a moment so that it can read it.
asio::awaitable<void> turn_away(std::shared_ptr<ServerCore> core, std::unique_ptr<Wire> wire) {
    AnswerHead head;
    head.status = beast_http::status::service_unavailable;
    head.keep_alive = false;
    head.length = 0;
    head.more = header_line("Retry-After", "1");
    const std::string text = print(head);
    const std::array<std::string_view, 3> parts{text, "", ""};
    ++core->turned_away;
    co_await wire->write(parts, core->limits.write_time);
    co_await wire->finish(true);
    --core->turned_away;
}

bool has_room(const ServerCore& core, const std::string& address) {
    const auto same = core.per_address.find(address);
    const std::size_t from_there = same == core.per_address.end() ? 0 : same->second;
    return core.sessions.size() < core.limits.connections && from_there < core.limits.connections_per_address;
}

void admit(const std::shared_ptr<ServerCore>& core, tcp::socket socket,
           const std::shared_ptr<asio::ssl::context>& tls) {
    error_code ec;
    const tcp::endpoint peer = socket.remote_endpoint(ec);
    if (ec) {
        return; // gone already
    }
    socket.set_option(tcp::no_delay(true), ec);
    ++core->connections_total;
    const std::string address = peer.address().to_string();
    if (!has_room(*core, address)) {
        spdlog::debug("connection refused for want of room peer={}", address);
        if (!tls && core->turned_away < most_turned_away) {
            asio::co_spawn(core->io, turn_away(core, make_plain_wire(std::move(socket))), log_exception);
        }
        return;
    }
    const std::string name =
        (peer.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(peer.port());
    auto wire = tls ? make_tls_wire(std::move(socket), tls) : make_plain_wire(std::move(socket));
    auto session = std::make_unique<Session>(core, std::move(wire), name, address);
    asio::co_spawn(core->io, run_session(std::move(session)), log_exception);
}

asio::awaitable<void> accept_all(std::shared_ptr<ServerCore> core, std::shared_ptr<tcp::acceptor> acceptor,
                                 std::shared_ptr<asio::ssl::context> tls) {
    asio::steady_timer pause(core->io);
    while (acceptor->is_open()) {
        error_code ec;
        tcp::socket socket = co_await acceptor->async_accept(asio::redirect_error(asio::use_awaitable, ec));
        if (!ec) {
            admit(core, std::move(socket), tls);
        } else if (acceptor->is_open()) {
            // out of file descriptors, mostly: wait until some connection ends
            spdlog::warn("accept failed error=\"{}\"", ec.message());
            pause.expires_after(accept_pause);
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        }
    }
}

Result<tcp::acceptor> open_acceptor(asio::io_context& io, const tcp::endpoint& endpoint) {
    tcp::acceptor acceptor(io);
    error_code ec;
    acceptor.open(endpoint.protocol(), ec);
    if (!ec && endpoint.protocol() == tcp::v6()) {
        acceptor.set_option(asio::ip::v6_only(true), ec);
    }
    if (!ec) {
        acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    }
    if (!ec) {
        acceptor.bind(endpoint, ec);
    }
    if (!ec) {
        acceptor.listen(asio::socket_base::max_listen_connections, ec);
    }
    if (ec) {
        return Error(Errc::unavailable, "cannot listen on " + endpoint.address().to_string() + " port " +
                                            std::to_string(endpoint.port()) + ": " + ec.message());
    }
    return acceptor;
}

} // namespace

bool LoginLimiter::too_many(const std::string& address, std::chrono::steady_clock::time_point now) {
    constexpr std::chrono::minutes window(1);
    if (failures_.size() >= most_addresses) {
        std::erase_if(failures_, [&](const auto& entry) { return now - entry.second.since >= window; });
        if (failures_.size() >= most_addresses) {
            failures_.clear(); // memory stays bounded, whoever guesses from however many addresses
        }
    }
    Failures& mine = failures_[address];
    if (mine.count == 0 || now - mine.since >= window) {
        mine = {now, 0};
    }
    return ++mine.count > per_minute_;
}

ServerCore::ServerCore(asio::io_context& context, Router routes, Authenticate check, ServerLimits limit,
                       const std::vector<std::string>& names)
    : io(context),
      router(std::move(routes)),
      authenticate(std::move(check)),
      limits(limit),
      hosts(names),
      logins(limit.failed_logins_per_minute),
      all_gone(context) {}

void ServerCore::count(beast_http::verb method, const std::string& route, beast_http::status status) {
    ++requests_total;
    counter_name_.clear();
    counter_name_.append(std::string_view(beast_http::to_string(method))).append(" ").append(route).append(" ");
    counter_name_.append(std::to_string(static_cast<unsigned>(status)));
    ++by_route_and_status[counter_name_];
}

struct Server::State {
    std::shared_ptr<ServerCore> core; // shared with the connections, which may outlive the server
    std::vector<std::shared_ptr<tcp::acceptor>> acceptors;

    void close_acceptors() {
        for (const auto& acceptor : acceptors) {
            error_code ignored;
            acceptor->close(ignored);
        }
        acceptors.clear();
    }
    void abort_sessions() const {
        for (Session* session : core->sessions) {
            session->abort();
        }
    }
};

Server::Server(asio::io_context& io, Router router, Authenticate authenticate, ServerLimits limits,
               std::vector<std::string> hosts)
    : state_(std::make_shared<State>()) {
    state_->core = std::make_shared<ServerCore>(io, std::move(router), std::move(authenticate), limits, hosts);
}

Server::~Server() {
    state_->core->stopping = true;
    state_->close_acceptors();
    state_->abort_sessions();
}

Result<unsigned short> Server::listen(const ListenAddress& address, std::shared_ptr<asio::ssl::context> tls) {
    error_code ec;
    const asio::ip::address host = asio::ip::make_address(address.host, ec);
    if (ec) {
        return Error(Errc::invalid_argument, "'" + address.host + "' is not a numeric address");
    }
    if (!tls && !host.is_loopback()) {
        return Error(Errc::invalid_argument, "plain http is served on loopback only, not on " + address.host);
    }
    Result<tcp::acceptor> opened = open_acceptor(state_->core->io, tcp::endpoint(host, address.port));
    if (!opened) {
        return opened.error();
    }
    auto acceptor = std::make_shared<tcp::acceptor>(std::move(*opened));
    const unsigned short port = acceptor->local_endpoint().port();
    state_->acceptors.push_back(acceptor);
    asio::co_spawn(state_->core->io, accept_all(state_->core, acceptor, std::move(tls)), log_exception);
    return port;
}

asio::awaitable<void> Server::stop(std::chrono::milliseconds grace) {
    const std::shared_ptr<State> state = state_;
    ServerCore& core = *state->core;
    core.stopping = true;
    state->close_acceptors();
    for (Session* session : core.sessions) {
        session->stop_if_idle();
    }
    core.all_gone.expires_after(grace);
    if (!core.sessions.empty()) {
        error_code cancelled;
        co_await core.all_gone.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
    if (!core.sessions.empty()) {
        spdlog::warn("connections broken off at the stop count={}", core.sessions.size());
        state->abort_sessions();
    }
}

Server::Counters Server::counters() const {
    const ServerCore& core = *state_->core;
    Counters counters;
    counters.connections_open = core.sessions.size();
    counters.connections_total = core.connections_total;
    counters.requests_total = core.requests_total;
    counters.by_route_and_status.insert(core.by_route_and_status.begin(), core.by_route_and_status.end());
    return counters;
}

} // namespace linarite::http
