// Bodies, limits and time.
#include "test_server.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace linarite::http {
namespace {

using namespace std::chrono_literals;

/// Resident memory in KiB.
std::size_t resident() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) {
            return std::stoul(line.substr(6));
        }
    }
    return 0;
}

const std::string json_type = "Content-Type: application/json\r\n";
const std::string chunked = "Transfer-Encoding: chunked\r\n";

class BodyTest : public testing::Test {
protected:
    TestServer server;
    Answer answered(const std::string& raw) const { return ask(server, raw).value_or(Answer()); }
};

TEST_F(BodyTest, JsonIsReadAndEmptyIsNull) {
    EXPECT_EQ(answered(request("POST", "/echo", json_type, R"({"a":[1,2]})")).body, R"({"a":[1,2]})");
    EXPECT_EQ(answered(request("POST", "/echo", "Content-Type: application/json; charset=utf-8\r\n", "1")).body, "1");
    EXPECT_EQ(answered(request("POST", "/echo")).body, "null");
    EXPECT_EQ(answered(request("POST", "/echo", json_type, "{")).status, 400);
    EXPECT_EQ(answered(request("POST", "/echo", json_type, R"({"a":1,"a":2})")).status, 400);
    EXPECT_EQ(answered(request("POST", "/echo", json_type, std::string(200, '[') + std::string(200, ']'))).status, 400);
}

TEST_F(BodyTest, JsonNeedsItsContentType) {
    EXPECT_EQ(answered(request("POST", "/echo", "", "{}")).status, 415);
    EXPECT_EQ(answered(request("POST", "/echo", "Content-Type: text/plain\r\n", "{}")).status, 415);
    EXPECT_EQ(answered(request("POST", "/echo", "Content-Type: application/jsonx\r\n", "{}")).status, 415);
    EXPECT_EQ(
        answered(request("POST", "/echo", chunked + "Content-Type: text/plain\r\n") + "2\r\n{}\r\n0\r\n\r\n").status,
        415);
}

TEST_F(BodyTest, TooLargeIs413WhetherAnnouncedOrFound) {
    const std::string large(5U << 20U, ' ');

    EXPECT_EQ(answered(request("POST", "/echo", json_type, large)).status, 413);
    EXPECT_EQ(answered(request("POST", "/echo", json_type + chunked) + "500000\r\n" + large + "\r\n0\r\n\r\n").status,
              413);
    EXPECT_EQ(answered(request("POST", "/text", "Content-Length: 1048577\r\n")).status, 413);
}

TEST_F(BodyTest, ABodyOfTheLimitIsRead) {
    const std::string body(1U << 20U, 'x');

    EXPECT_EQ(answered(request("POST", "/text", "", body)).body, body);
    EXPECT_EQ(answered(request("POST", "/text", chunked) + "100000\r\n" + body + "\r\n0\r\n\r\n").body, body);
}

TEST_F(BodyTest, AStreamedBodyHasItsLimitToo) {
    ServerLimits limits;
    limits.blob_body = 1000;
    const TestServer small(limits);

    EXPECT_EQ(ask(small, request("POST", "/count", "", std::string(1000, 'x')))->status, 200);
    EXPECT_EQ(ask(small, request("POST", "/count", "", std::string(1001, 'x')))->status, 413);
    EXPECT_EQ(
        ask(small, request("POST", "/count", chunked) + "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n")->status,
        413);
}

TEST_F(BodyTest, ContinueIsSentWhenTheHandlerReads) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/text", "Expect: 100-continue\r\nContent-Length: 5\r\n"));

    ASSERT_EQ(socket.answer()->status, 100);
    socket.send("hello");

    EXPECT_EQ(socket.answer()->body, "hello");
    socket.send(request("GET", "/hello"));
    EXPECT_EQ(socket.answer()->status, 200);
}

TEST_F(BodyTest, ARefusedBodyIsNeverAskedFor) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/early", "Expect: 100-continue\r\nContent-Length: 5\r\n"));

    const auto answer = socket.answer();

    EXPECT_EQ(answer->status, 409);
    EXPECT_TRUE(answer->has("Connection: close"));
    socket.shut();
    EXPECT_TRUE(socket.ends());
}

TEST_F(BodyTest, AShortUnreadBodyIsDroppedAndTheConnectionStays) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/early", "", std::string(60'000, 'x')) + request("GET", "/hello"));

    EXPECT_EQ(socket.answer()->status, 409);
    EXPECT_EQ(socket.answer()->status, 200);
}

TEST_F(BodyTest, ALongUnreadBodyClosesTheConnectionAfterTheAnswer) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/early", "", std::string(1'000'000, 'x')));

    const auto answer = socket.answer();

    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 409);
    EXPECT_TRUE(answer->has("Connection: close"));
    socket.shut();
    EXPECT_TRUE(socket.ends());
}

TEST_F(BodyTest, AnEndlessUnreadChunkedBodyIsCutOff) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/early", chunked) + "100000\r\n" + std::string(1U << 20U, 'x'));

    EXPECT_EQ(socket.answer()->status, 409);
    socket.shut();
    EXPECT_TRUE(socket.ends());
}

TEST_F(BodyTest, AClientThatBreaksOffCostsNothingButItsRequest) {
    {
        RawSocket socket(server.http_port);
        socket.send(request("POST", "/count", "Content-Length: 1000\r\n") + "abc");
    }
    {
        RawSocket socket(server.http_port);
        socket.send("GET /hel");
    }
    EXPECT_EQ(answered(request("GET", "/hello")).status, 200);
}

// AddressSanitizer keeps freed memory for a while.
#if __has_feature(address_sanitizer)
constexpr std::size_t memory_slack_kib = std::size_t{32} << 10U;
#else
constexpr std::size_t memory_slack_kib = std::size_t{4} << 10U;
#endif

TEST_F(BodyTest, AHundredMegabytesAreStreamedInConstantMemory) {
    const std::string piece(1U << 20U, 'x');
    answered(request("POST", "/count", "", piece)); // whatever is allocated once
    const std::size_t before = resident();

    RawSocket socket(server.http_port);
    socket.send(request("POST", "/count", "Content-Length: 104857600\r\n"));
    std::size_t most = 0;
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(socket.send(piece));
        most = std::max(most, resident());
    }

    EXPECT_EQ(socket.answer()->body, "{\"bytes\":104857600}");
    EXPECT_LT(most, before + memory_slack_kib);
}

class LimitsTest : public testing::Test {
protected:
    static ServerLimits limits() {
        ServerLimits limits;
        limits.request_line = 200;
        limits.header_block = 400;
        limits.header_fields = 6;
        limits.header_time = 150ms;
        limits.json_time = 150ms;
        limits.slow_window = 150ms;
        limits.slow_bytes = 1000;
        limits.idle = 150ms;
        limits.handshake_time = 150ms;
        limits.write_time = 150ms;
        limits.requests_per_connection = 3;
        return limits;
    }
    TestServer server{limits()};
};

TEST_F(LimitsTest, TooLongAHeadIsRefused) {
    EXPECT_EQ(ask(server, request("GET", "/" + std::string(300, 'a')))->status, 414);
    EXPECT_EQ(ask(server, request("GET", "/hello", "A: " + std::string(500, 'a') + "\r\n"))->status, 431);
    EXPECT_EQ(ask(server, request("GET", "/hello", "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\n"))->status, 431);
    EXPECT_EQ(ask(server, request("GET", "/hello", "A:1\r\nB:1\r\nC:1\r\nD:1\r\n"))->status, 200);
}

TEST_F(LimitsTest, ASlowHeadIsCut) {
    RawSocket socket(server.http_port);
    socket.send("GET /hello HTTP/1.1\r\nHost: loc");

    const auto answer = socket.answer();

    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 408);
    EXPECT_TRUE(socket.ends());
}

// Each byte comes well within the time, but the time is for the whole head.
TEST(SlowHead, ADrippingHeadIsCutToo) {
    ServerLimits limits;
    limits.header_time = 150ms;
    const TestServer server(limits);
    RawSocket socket(server.http_port);
    const auto begin = std::chrono::steady_clock::now();
    while (socket.send("x") && std::chrono::steady_clock::now() - begin < 300ms) {
        std::this_thread::sleep_for(2ms); // the pace of the drip; nothing is waited for
    }

    EXPECT_EQ(socket.answer()->status, 408);
}

TEST_F(LimitsTest, IdleConnectionsAreClosedWithoutAWord) {
    RawSocket fresh(server.http_port);
    RawSocket used(server.http_port);
    used.send(request("GET", "/hello"));
    EXPECT_EQ(used.answer()->status, 200);

    EXPECT_TRUE(fresh.ends());
    EXPECT_TRUE(used.ends());
}

TEST_F(LimitsTest, AHandshakeThatNeverComesIsCut) {
    RawSocket socket(server.https_port);

    EXPECT_TRUE(socket.ends());
}

TEST_F(LimitsTest, SlowBodiesAreCut) {
    RawSocket json(server.http_port);
    RawSocket blob(server.http_port);
    json.send(request("POST", "/echo", json_type + "Content-Length: 10\r\n") + "{");
    blob.send(request("POST", "/count", "Content-Length: 10000\r\n") + "abc");

    EXPECT_EQ(json.answer()->status, 408);
    EXPECT_EQ(blob.answer()->status, 408);
    blob.shut();
    EXPECT_TRUE(blob.ends());
}

TEST_F(LimitsTest, AClientThatDoesNotReadIsCutOff) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/flood"));
    ASSERT_TRUE(socket.wait_for("xxx"));
    // from here on nothing is read; the deadline is for a broken server
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (server.counters().connections_open > 0 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }

    EXPECT_EQ(server.counters().connections_open, 0);
}

TEST_F(LimitsTest, AConnectionServesSoManyRequestsAndCloses) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/hello") + request("GET", "/hello") + request("GET", "/hello") +
                request("GET", "/hello"));

    EXPECT_FALSE(socket.answer()->has("Connection: close"));
    EXPECT_FALSE(socket.answer()->has("Connection: close"));
    EXPECT_TRUE(socket.answer()->has("Connection: close"));
    EXPECT_TRUE(socket.ends());
    EXPECT_EQ(server.handled, 3);
}

TEST(ConnectionLimits, OneTooManyIsTurnedAwayAndOneLessIsWelcome) {
    for (const bool per_address : {false, true}) {
        ServerLimits limits;
        (per_address ? limits.connections_per_address : limits.connections) = 2;
        TestServer server(limits);
        auto first = std::make_unique<RawSocket>(server.http_port);
        RawSocket second(server.http_port);
        first->send(request("GET", "/hello"));
        second.send(request("GET", "/hello"));
        ASSERT_TRUE(first->answer());
        ASSERT_TRUE(second.answer());

        RawSocket third(server.http_port);
        const auto answer = third.answer();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 503);
        EXPECT_TRUE(answer->has("Retry-After: 1"));
        third.shut();
        EXPECT_TRUE(third.ends());

        first->shut();
        EXPECT_TRUE(first->ends());
        while (server.counters().connections_open > 1) {
            std::this_thread::yield();
        }
        RawSocket fourth(server.http_port);
        fourth.send(request("GET", "/hello"));
        EXPECT_EQ(fourth.answer()->status, 200);
    }
}

} // namespace
} // namespace linarite::http
