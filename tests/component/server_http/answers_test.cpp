// Files, streams and the orderly stop.
#include "test_server.hpp"

#include <gtest/gtest.h>

namespace linarite::http {
namespace {

using namespace std::chrono_literals;

class FileTest : public testing::Test {
protected:
    FileTest() {
        put("a.txt", "0123456789");
        put("page.html", "<script>");
        put("empty.txt", "");
    }
    void put(const char* name, const std::string& text) { ASSERT_TRUE(write_file_durably(server.folder / name, text)); }
    [[nodiscard]] Answer get(const std::string& name, const std::string& more = "",
                             const std::string& method = "GET") const {
        return ask(server, request(method, "/file/" + name, more)).value_or(Answer());
    }
    TestServer server;
};

TEST_F(FileTest, TheWholeFileComesWithItsTag) {
    const Answer answer = get("a.txt");

    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "0123456789");
    EXPECT_TRUE(answer.has("Content-Length: 10"));
    EXPECT_TRUE(answer.has("ETag: \"tag-1\""));
    EXPECT_TRUE(answer.has("Accept-Ranges: bytes"));
    EXPECT_TRUE(answer.has("X-Content-Type-Options: nosniff"));
    EXPECT_EQ(answer.head.find("Content-Disposition"), std::string::npos);
    EXPECT_EQ(get("empty.txt").status, 200);
    EXPECT_EQ(get("none.txt").status, 404);
}

TEST_F(FileTest, WhatCouldRunScriptsIsToBeSaved) {
    EXPECT_TRUE(get("page.html").has("Content-Disposition: attachment"));
}

TEST_F(FileTest, HeadGivesTheHeadAlone) {
    RawSocket socket(server.http_port);
    socket.send(request("HEAD", "/file/a.txt") + request("GET", "/hello"));

    const auto head = socket.answer(true);

    EXPECT_EQ(head->status, 200);
    EXPECT_TRUE(head->has("Content-Length: 10"));
    EXPECT_EQ(socket.answer()->body, "{\"hello\":\"world\"}");
}

TEST_F(FileTest, OneRangeIsServed) {
    const Answer middle = get("a.txt", "Range: bytes=2-4\r\n");
    const Answer tail = get("a.txt", "Range: bytes=-3\r\n");
    const Answer several = get("a.txt", "Range: bytes=0-1,3-4\r\n");

    EXPECT_EQ(middle.status, 206);
    EXPECT_EQ(middle.body, "234");
    EXPECT_TRUE(middle.has("Content-Range: bytes 2-4/10"));
    EXPECT_EQ(tail.body, "789");
    EXPECT_EQ(several.status, 200);
    EXPECT_EQ(several.body, "0123456789");
}

TEST_F(FileTest, ARangeBehindTheEndIs416) {
    const Answer answer = get("a.txt", "Range: bytes=10-\r\n");

    EXPECT_EQ(answer.status, 416);
    EXPECT_TRUE(answer.has("Content-Range: bytes */10"));
}

TEST_F(FileTest, IfRangeDecidesWhetherTheRangeCounts) {
    EXPECT_EQ(get("a.txt", "Range: bytes=2-4\r\nIf-Range: \"tag-1\"\r\n").status, 206);
    EXPECT_EQ(get("a.txt", "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n").status, 200);
}

TEST_F(FileTest, AKnownTagIs304) {
    const Answer answer = get("a.txt", "If-None-Match: \"x\", \"tag-1\"\r\n");

    EXPECT_EQ(answer.status, 304);
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(get("a.txt", "If-None-Match: \"x\"\r\n").status, 200);
}

TEST_F(FileTest, ALargeFileArrivesWholeOverHttpAndHttps) {
    std::string large(20U << 20U, 'x');
    for (std::size_t i = 0; i < large.size(); i += 4096) {
        large[i] = static_cast<char>('a' + (i / 4096) % 26);
    }
    put("large.bin", large);
    for (const auto& address : {server.http(), server.https()}) {
        client::HttpClient client(server.io().get_executor(), address);
        client::HttpClient::Request ask_for;
        ask_for.target = "/file/large.bin";
        const auto answer = server.await(client.send(ask_for));
        ASSERT_TRUE(answer) << answer.error().detail();
        EXPECT_TRUE(answer->body == large) << address.url;
    }
}

TEST_F(FileTest, ALinkIsNotFollowed) {
    std::filesystem::create_symlink("/etc/passwd", server.folder / "link.txt");

    EXPECT_EQ(get("link.txt").status, 500);
}

class StreamTest : public testing::Test {
protected:
    TestServer server;
};

TEST_F(StreamTest, ChunksArriveAndTheConnectionStays) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/three") + request("GET", "/hello"));

    const auto stream = socket.answer();

    EXPECT_EQ(stream->body, "one,two,three");
    EXPECT_TRUE(stream->has("Content-Type: text/event-stream"));
    EXPECT_TRUE(stream->has("Cache-Control: no-store"));
    EXPECT_EQ(socket.answer()->status, 200);
}

TEST_F(StreamTest, AnHttp10ClientGetsItWithoutChunks) {
    RawSocket socket(server.http_port);
    socket.send("GET /three HTTP/1.0\r\nConnection: keep-alive\r\nHost: localhost\r\nAuthorization: Bearer " +
                std::string(TestServer::token) + "\r\n\r\n");

    EXPECT_TRUE(socket.rest().ends_with("\r\n\r\none,two,three"));
}

TEST_F(StreamTest, AStreamThatWasNotEndedIsSeenToBeCut) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/half"));

    EXPECT_FALSE(socket.answer());
}

TEST_F(StreamTest, HeadOfAStreamHasNoBody) {
    RawSocket socket(server.http_port);
    socket.send(request("HEAD", "/three") + request("GET", "/hello"));

    EXPECT_TRUE(socket.wait_for("Transfer-Encoding: chunked"));
    EXPECT_TRUE(socket.wait_for("{\"hello\":\"world\"}"));
}

TEST_F(StreamTest, AClientThatLeavesEndsTheHandler) {
    {
        RawSocket socket(server.http_port);
        socket.send(request("GET", "/deaf"));
        EXPECT_TRUE(socket.wait_for("tick"));
    }
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (server.counters().connections_open > 0 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_EQ(server.counters().connections_open, 0);
}

TEST_F(StreamTest, StopEndsStreamsAndIdleConnectionsInOrder) {
    RawSocket idle(server.http_port);
    idle.send(request("GET", "/hello"));
    ASSERT_TRUE(idle.answer());
    RawSocket stream(server.http_port);
    stream.send(request("GET", "/endless"));
    ASSERT_TRUE(stream.wait_for("tick"));

    auto stopped = server.begin_stop(10s);

    EXPECT_TRUE(idle.ends());
    EXPECT_TRUE(stream.rest().ends_with("0\r\n\r\n"));
    EXPECT_EQ(stopped.wait_for(10s), std::future_status::ready);
    EXPECT_EQ(server.counters().connections_open, 0);
    EXPECT_THROW(RawSocket(server.http_port), std::runtime_error);
}

TEST_F(StreamTest, StopBreaksOffWhoDoesNotHear) {
    RawSocket stream(server.http_port);
    stream.send(request("GET", "/deaf"));
    ASSERT_TRUE(stream.wait_for("tick"));

    auto stopped = server.begin_stop(50ms);

    EXPECT_EQ(stopped.wait_for(10s), std::future_status::ready);
    EXPECT_FALSE(stream.rest().ends_with("0\r\n\r\n"));
}

TEST_F(StreamTest, AHandlersReasonIsOneLineOfItsOwnAnswerAlone) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/worded") + request("GET", "/hello"));

    EXPECT_TRUE(socket.answer()->head.starts_with("HTTP/1.1 400 in other words\r\n"));
    EXPECT_TRUE(socket.answer()->head.starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(StreamTest, StopWithoutConnectionsIsAtOnce) {
    EXPECT_EQ(server.begin_stop(1h).wait_for(10s), std::future_status::ready);
}

} // namespace
} // namespace linarite::http
