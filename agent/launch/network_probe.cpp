#include "agent/launch/network_probe.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/core.h>

#include <algorithm>

namespace linarite::agent {

namespace {

using Tcp = asio::ip::tcp;
using boost::system::error_code;
using SteadyTime = std::chrono::steady_clock::time_point;
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);

constexpr auto pause_between = std::chrono::milliseconds(200);
// What is refused outright is tried again for a moment only: somebody may just be plugging the cable in.
constexpr auto refused_patience = std::chrono::milliseconds(3'000);
constexpr std::size_t longest_greeting = 256;
constexpr std::string_view no_answer = "no answer";

asio::awaitable<void> rest(asio::any_io_executor executor, std::chrono::milliseconds span) {
    asio::steady_timer timer(executor, span);
    co_await timer.async_wait(tuple_awaitable);
}

/// All targets of one probe, and what became of them.
struct Round {
    Round(asio::any_io_executor on, std::string address, SteadyTime end)
        : executor(std::move(on)),
          own_address(std::move(address)),
          deadline(end),
          all_done(executor, SteadyTime::max()) {}
    asio::any_io_executor executor;
    std::string own_address;
    SteadyTime deadline;
    asio::steady_timer all_done; // cancelled when the last one has answered
    std::size_t open = 0;
    std::vector<std::string> wrong; // by target; "" is reached
};

/// One attempt: "" if the right host answered, else what went wrong.
asio::awaitable<std::string> try_once(std::shared_ptr<Round> round, ProbeTarget target) {
    error_code ec;
    const auto own = asio::ip::make_address(round->own_address, ec);
    const auto there = asio::ip::make_address(target.address, ec);
    if (ec) {
        co_return "'" + target.address + "' is no address";
    }
    const auto socket = std::make_shared<Tcp::socket>(round->executor);
    asio::steady_timer limit(round->executor, round->deadline);
    limit.async_wait([socket](const error_code& cancelled) {
        if (!cancelled) {
            error_code ignored;
            socket->close(ignored);
        }
    });
    socket->open(there.is_v6() ? Tcp::v6() : Tcp::v4(), ec);
    if (!ec) {
        socket->bind({own, 0}, ec); // as Open MPI does: the way there must lead through this interface
    }
    if (ec) {
        co_return fmt::format("nothing can be sent from {}: {}", round->own_address, ec.message());
    }
    const Tcp::endpoint endpoint(there, target.port);
    const auto [failed] = co_await socket->async_connect(endpoint, tuple_awaitable);
    if (failed) {
        co_return failed == asio::error::operation_aborted ? std::string(no_answer) : failed.message();
    }
    std::string line;
    auto buffer = asio::dynamic_buffer(line, longest_greeting);
    const auto [cut, size] = co_await asio::async_read_until(*socket, buffer, '\n', tuple_awaitable);
    if (cut && cut != asio::error::eof && cut != asio::error::not_found) { // not_found: it says too much
        co_return cut == asio::error::operation_aborted ? std::string(no_answer) : cut.message();
    }
    co_return line == target.greeting + "\n" ? "" : "another program or host answered there";
}

asio::awaitable<void> reach(std::shared_ptr<Round> round, ProbeTarget target, std::size_t index) {
    const SteadyTime give_up = std::min(round->deadline, std::chrono::steady_clock::now() + refused_patience);
    for (;;) {
        std::string wrong = co_await try_once(round, target);
        const bool last = wrong.empty() || std::chrono::steady_clock::now() + pause_between >= give_up;
        if (wrong != no_answer || round->wrong[index].empty()) { // that the time is over explains the least
            round->wrong[index] = std::move(wrong);
        }
        if (last) {
            break;
        }
        co_await rest(round->executor, pause_between);
    }
    if (--round->open == 0) {
        round->all_done.cancel();
    }
}

} // namespace

struct ProbeListener::State {
    State(asio::any_io_executor on, std::string words)
        : executor(std::move(on)), acceptor(executor), greeting(std::move(words) + "\n") {}
    asio::any_io_executor executor;
    Tcp::acceptor acceptor;
    std::string greeting;
    bool closed = false;

    static asio::awaitable<void> serve(std::shared_ptr<State> self) {
        while (!self->closed) {
            auto [ec, socket] = co_await self->acceptor.async_accept(tuple_awaitable);
            if (self->closed) {
                co_return;
            }
            if (ec) { // no descriptors left, most likely
                co_await rest(self->executor, pause_between);
                continue;
            }
            error_code ignored; // a line always fits a fresh socket's buffer
            asio::write(socket, asio::buffer(self->greeting), ignored);
        }
    }
};

ProbeListener::ProbeListener(std::shared_ptr<State> state) : state_(std::move(state)) {}

ProbeListener::~ProbeListener() {
    state_->closed = true;
    error_code ignored;
    state_->acceptor.close(ignored);
}

Result<std::unique_ptr<ProbeListener>> ProbeListener::open(asio::any_io_executor executor, const std::string& address,
                                                           std::string greeting) {
    auto state = std::make_shared<State>(executor, std::move(greeting));
    error_code ec;
    const Tcp::endpoint endpoint(asio::ip::make_address(address, ec), 0);
    if (!ec) {
        state->acceptor.open(endpoint.protocol(), ec);
    }
    if (!ec) {
        state->acceptor.bind(endpoint, ec);
    }
    if (!ec) {
        state->acceptor.listen(asio::socket_base::max_listen_connections, ec);
    }
    if (ec) {
        return Error(Errc::unavailable, "open a port at " + address + ": " + ec.message());
    }
    asio::co_spawn(executor, State::serve(state), asio::detached); // ends with the acceptor
    return std::unique_ptr<ProbeListener>(new ProbeListener(std::move(state)));
}

unsigned short ProbeListener::port() const {
    error_code ignored;
    return state_->acceptor.local_endpoint(ignored).port();
}

asio::awaitable<std::vector<std::string>> probe(asio::any_io_executor executor, std::string own_node,
                                                std::string own_address, std::vector<ProbeTarget> targets,
                                                Millis limit) {
    auto round = std::make_shared<Round>(executor, own_address, std::chrono::steady_clock::now() + limit);
    round->open = targets.size();
    round->wrong.resize(targets.size());
    for (std::size_t index = 0; index < targets.size(); ++index) {
        asio::co_spawn(executor, reach(round, targets[index], index), asio::detached); // reports in `wrong`
    }
    while (round->open > 0) { // each of them ends by the deadline
        co_await round->all_done.async_wait(tuple_awaitable);
    }
    std::vector<std::string> lines;
    for (std::size_t index = 0; index < targets.size(); ++index) {
        if (!round->wrong[index].empty()) {
            const auto& target = targets[index];
            lines.push_back(fmt::format("node '{}' ({}) cannot reach node '{}' at {} (interface {}): {}", own_node,
                                        own_address, target.node, target.address, target.interface,
                                        round->wrong[index]));
        }
    }
    co_return lines;
}

} // namespace linarite::agent
