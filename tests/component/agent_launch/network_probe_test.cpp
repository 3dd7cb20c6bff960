// Probes over loopback, whose every address 127.x.y.z is ours.
#include "agent/launch/network_probe.hpp"
#include "support/coroutines.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

struct NetworkProbe : testing::Test {
    std::vector<std::string> probe_all(std::vector<ProbeTarget> targets, Millis limit = 10s) {
        return test::run(io, probe(io.get_executor(), "b", "127.0.0.1", std::move(targets), limit));
    }
    std::unique_ptr<ProbeListener> listen(const std::string& address, std::string greeting) {
        auto opened = ProbeListener::open(io.get_executor(), address, std::move(greeting));
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    asio::io_context io;
};

TEST_F(NetworkProbe, NodesThatListenAreReached) {
    const auto one = listen("127.0.0.2", "run r node 1");
    const auto two = listen("127.0.0.3", "run r node 2");

    EXPECT_THAT(probe_all({{"c", "lo", "127.0.0.2", one->port(), "run r node 1"},
                           {"d", "lo", "127.0.0.3", two->port(), "run r node 2"}}),
                IsEmpty());
    EXPECT_THAT(probe_all({}), IsEmpty());
}

TEST_F(NetworkProbe, AnotherRunOrHostAtTheSameAddressIsNotTakenForTheNode) {
    const auto other = listen("127.0.0.2", "run r node 7");

    EXPECT_THAT(probe_all({{"c", "eth0", "127.0.0.2", other->port(), "run r node 1"}}, 500ms),
                ElementsAre("node 'b' (127.0.0.1) cannot reach node 'c' at 127.0.0.2 (interface eth0): another program "
                            "or host answered there"));
}

TEST_F(NetworkProbe, OnlyTheNodesThatWereNotReachedAreNamedWithTheReason) {
    const auto one = listen("127.0.0.2", "run r node 1");
    const auto gone = listen("127.0.0.3", "run r node 2")->port(); // closed again

    EXPECT_THAT(probe_all({{"c", "lo", "127.0.0.2", one->port(), "run r node 1"},
                           {"d", "eth0", "127.0.0.3", gone, "run r node 2"}},
                          500ms),
                ElementsAre("node 'b' (127.0.0.1) cannot reach node 'd' at 127.0.0.3 (interface eth0): Connection "
                            "refused"));
}

TEST_F(NetworkProbe, SilenceIsBounded) {
    asio::ip::tcp::acceptor deaf(io, {asio::ip::make_address("127.0.0.4"), 0}); // accepts in the kernel, says nothing
    const auto began = std::chrono::steady_clock::now();

    EXPECT_THAT(probe_all({{"c", "eth0", "127.0.0.4", deaf.local_endpoint().port(), "hello"}}, 300ms),
                ElementsAre(HasSubstr("cannot reach node 'c'")));
    EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(NetworkProbe, AnAddressThatIsNotOursCannotBeListenedAt) {
    const auto opened = ProbeListener::open(io.get_executor(), "192.0.2.1", "x");

    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Errc::unavailable);
    EXPECT_THAT(opened.error().detail(), HasSubstr("192.0.2.1"));
}

} // namespace
} // namespace linarite::agent
