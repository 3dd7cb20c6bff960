// The socket that mpirun's launch agents ask at, over restarts of the agent behind it.
#include "agent/launch/daemon_socket.hpp"
#include "launch_fixture.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace linarite::agent {
namespace {

using namespace std::chrono_literals;
using test::eventually;

class DaemonSocketTest : public LaunchTest {
protected:
    /// What an agent process does when it is started.
    void open_socket() {
        socket_.reset();
        auto opened = DaemonSocket::open(io_.get_executor(), folder_,
                                         [this](LaunchRequest request) { requests_.push_back(std::move(request)); });
        ASSERT_TRUE(opened) << opened.error().detail();
        socket_ = std::move(*opened);
    }

    /// One turn of the event loop, for conditions that are waited for.
    void turn() {
        io_.restart();
        io_.run_for(1ms);
    }

    [[nodiscard]] std::string request(const std::string& token) const {
        return R"({"token":")" + token + R"(","run":")" + run_ +
               R"(","fence":"7","host":"linarite-w1","command":"orted -mca x y"})" + "\n";
    }

    [[nodiscard]] ShimJob launch_agent(Millis patience) const {
        auto out = job(shim().string() + " rsh linarite-w1 orted -mca x y");
        out.env["LINARITE_LAUNCH_SOCKET"] = socket_->path();
        out.env["LINARITE_LAUNCH_RUN"] = run_;
        out.env["LINARITE_LAUNCH_FENCE"] = "7";
        out.env["LINARITE_LAUNCH_TOKEN"] = "secret";
        out.env["LINARITE_LAUNCH_TIMEOUT_MS"] = std::to_string(patience.count());
        return out;
    }

    std::unique_ptr<DaemonSocket> socket_;
    std::vector<LaunchRequest> requests_;
};

/// The other end of one connection.
class Peer {
public:
    Peer(asio::io_context& io, const std::string& path) : socket_(io) {
        socket_.connect(asio::local::stream_protocol::endpoint(path));
    }
    void send(const std::string& text) { asio::write(socket_, asio::buffer(text)); }
    asio::awaitable<std::string> line() {
        const auto [ec, size] = co_await asio::async_read_until(socket_, asio::dynamic_buffer(buffer_), '\n',
                                                                asio::as_tuple(asio::use_awaitable));
        std::string out = ec ? ec.message() : buffer_.substr(0, size);
        buffer_.erase(0, size);
        co_return out;
    }

private:
    asio::local::stream_protocol::socket socket_;
    std::string buffer_;
};

TEST_F(DaemonSocketTest, ARequestThatComesBeforeItsRunIsExpectedWaitsForIt) {
    open_socket();
    Peer peer(io_, socket_->path());

    peer.send(request("secret") + "no request\n"); // an answer to the second line shows that the first was read

    const std::string first = await(peer.line());
    EXPECT_NE(first.find("JSON"), std::string::npos) << first;
    EXPECT_TRUE(requests_.empty());

    socket_->expect(RunId(run_), 7, "secret");
    ASSERT_TRUE(eventually([&] {
        turn();
        return requests_.size() == 1;
    }));
    EXPECT_EQ(requests_[0].run, RunId(run_));
    EXPECT_EQ(requests_[0].fence, 7);
    socket_->started(RunId(run_), "linarite-w1");
    EXPECT_EQ(await(peer.line()), "{\"started\":true}\n");
}

TEST_F(DaemonSocketTest, ANewLaunchKnowsNothingOfHowTheDaemonsOfTheOneBeforeEnded) {
    open_socket();
    socket_->forget(RunId(run_));
    socket_->ended(RunId(run_), "linarite-w1", 1, "of the attempt before");
    const std::string token = socket_->expect(RunId(run_), 7);
    Peer peer(io_, socket_->path());

    peer.send(request(token));

    ASSERT_TRUE(eventually([&] {
        turn();
        return requests_.size() == 1;
    }));
    socket_->started(RunId(run_), "linarite-w1");
    EXPECT_EQ(await(peer.line()), "{\"started\":true}\n");
}

TEST_F(DaemonSocketTest, ARequestThatWaitedIsRefusedIfItsTokenIsWrong) {
    open_socket();
    Peer peer(io_, socket_->path());
    peer.send(request("guessed") + "no request\n");
    const std::string first = await(peer.line());
    EXPECT_NE(first.find("JSON"), std::string::npos) << first;

    socket_->expect(RunId(run_), 7, "secret");

    const std::string answer = await(peer.line());
    EXPECT_NE(answer.find("\"exit\":1"), std::string::npos) << answer;
    EXPECT_TRUE(requests_.empty());
}

TEST_F(DaemonSocketTest, ALaunchAgentWhoseDaemonRunsWaitsForAnAgentThatIsAwayForLong) {
    open_socket();
    socket_->expect(RunId(run_), 7, "secret");
    const auto supervisor = start(launch_agent(500ms));
    ASSERT_TRUE(eventually([&] {
        turn();
        return requests_.size() == 1;
    }));
    socket_->started(RunId(run_), "linarite-w1");
    turn();

    socket_.reset();
    asio::steady_timer(io_, 700ms).wait(); // longer than it would wait for a daemon to be started
    open_socket();
    socket_->expect(RunId(run_), 7, "secret");

    ASSERT_TRUE(eventually([&] {
        turn();
        return requests_.size() == 2;
    }));
    socket_->ended(RunId(run_), "linarite-w1", 0);
    const auto fact = await(supervisor->wait());
    ASSERT_TRUE(fact);
    EXPECT_EQ(fact->exit_code, 0) << log();
}

} // namespace
} // namespace linarite::agent
