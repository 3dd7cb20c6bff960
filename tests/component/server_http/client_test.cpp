// Our client against our server, plain and TLS.
#include "test_server.hpp"

#include <gtest/gtest.h>

namespace linarite::http {
namespace {

using namespace std::chrono_literals;
using client::HttpClient;
using client::Json;

class ClientTest : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] client::Address address() const { return GetParam() ? server.https() : server.http(); }
    Result<Json> call(HttpClient& by, const std::string& method, const std::string& target, Json body = nullptr) {
        return server.await(by.call(method, target, std::move(body)));
    }
    TestServer server;
    HttpClient client{server.io().get_executor(), address()};
};
INSTANTIATE_TEST_SUITE_P(Both, ClientTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Https" : "Http"; });

TEST_P(ClientTest, CallsShareOneConnection) {
    EXPECT_EQ(call(client, "GET", "/hello").value(), Json({{"hello", "world"}}));
    EXPECT_EQ(call(client, "POST", "/echo", Json{{"a", 1}}).value(), Json({{"a", 1}}));
    EXPECT_EQ(call(client, "POST", "/echo").value(), nullptr);

    EXPECT_EQ(server.counters().connections_total, 1);
}

TEST_P(ClientTest, ErrorsOfTheServerBecomeErrors) {
    const auto faulty = call(client, "GET", "/faulty");
    const auto conflict = call(client, "POST", "/early", Json::object());

    EXPECT_EQ(faulty.error().code(), Errc::invalid_argument);
    EXPECT_EQ(faulty.error().faults(), (std::vector<Fault>{{"/nodeCount", "is too large"}, {"", "no script"}}));
    EXPECT_EQ(conflict.error().code(), Errc::conflict);
    EXPECT_EQ(conflict.error().detail(), "not now");
    EXPECT_EQ(call(client, "GET", "/nothing-here").error().code(), Errc::not_found);
    EXPECT_EQ(call(client, "GET", "/agents-only").error().code(), Errc::forbidden);
    EXPECT_EQ(call(client, "GET", "/internal").error().code(), Errc::internal);
    EXPECT_EQ(server.counters().connections_total, 1);
}

TEST_P(ClientTest, AWrongTokenIsUnauthorized) {
    client::Address wrong = address();
    wrong.token = "wrong";
    HttpClient stranger(server.io().get_executor(), wrong);

    EXPECT_EQ(call(stranger, "GET", "/hello").error().code(), Errc::unauthorized);
}

TEST_P(ClientTest, SendTakesAnyStatus) {
    HttpClient::Request head;
    head.method = "HEAD";
    head.target = "/hello";

    const auto answer = server.await(client.send(head));

    ASSERT_TRUE(answer) << answer.error().detail();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->headers.at("content-length"), "17");
    EXPECT_EQ(answer->body, "");
    EXPECT_EQ(call(client, "GET", "/hello").value(), Json({{"hello", "world"}}));
}

HttpClient::Source source_of(int pieces, std::size_t size) {
    return [pieces, size]() mutable -> Result<std::string> { return pieces-- > 0 ? std::string(size, 'x') : ""; };
}

TEST_P(ClientTest, UploadsAStreamOfKnownAndUnknownLength) {
    HttpClient::Request request;
    request.method = "PUT";
    request.target = "/count";

    const auto unknown = server.await(client.upload(request, source_of(50, 100'000)));
    const auto known = server.await(client.upload(request, source_of(50, 100'000), 5'000'000));

    ASSERT_TRUE(unknown) << unknown.error().detail();
    ASSERT_TRUE(known) << known.error().detail();
    EXPECT_EQ(unknown->body, "{\"bytes\":5000000}");
    EXPECT_EQ(known->body, "{\"bytes\":5000000}");
    EXPECT_EQ(server.counters().connections_total, 1);
}

TEST_P(ClientTest, AnUploadThatIsRefusedGivesTheRefusal) {
    HttpClient::Request request;
    request.method = "POST";
    request.target = "/early";

    const auto refused = server.await(client.upload(request, source_of(200, 100'000), 20'000'000));

    ASSERT_TRUE(refused) << refused.error().detail();
    EXPECT_EQ(refused->status, 409);
    EXPECT_TRUE(call(client, "GET", "/hello"));
}

TEST_P(ClientTest, AnErrorOfTheSourceEndsTheUpload) {
    HttpClient::Request request;
    request.method = "PUT";
    request.target = "/count";
    const auto broken = [calls = 0]() mutable -> Result<std::string> {
        return ++calls < 3 ? Result<std::string>("abc") : Error(Errc::no_space, "source broke");
    };

    const auto result = server.await(client.upload(request, broken));

    EXPECT_EQ(result.error().detail(), "source broke");
    EXPECT_TRUE(call(client, "GET", "/hello"));
}

TEST_P(ClientTest, DownloadsInPieces) {
    ASSERT_TRUE(write_file_durably(server.folder / "a.bin", std::string(3'000'000, 'y')));
    HttpClient::Request request;
    request.target = "/file/a.bin";
    std::size_t total = 0;
    std::size_t largest = 0;
    const HttpClient::Sink sink = [&](std::string_view piece) -> asio::awaitable<Result<void>> {
        total += piece.size();
        largest = std::max(largest, piece.size());
        co_return Result<void>();
    };

    const auto answer = server.await(client.download(request, sink));
    request.target = "/file/none";
    const auto missing = server.await(client.download(request, sink));

    ASSERT_TRUE(answer) << answer.error().detail();
    EXPECT_EQ(total, 3'000'000);
    EXPECT_LE(largest, 256U << 10U);
    EXPECT_EQ(missing.error().code(), Errc::not_found);
    EXPECT_EQ(missing.error().detail(), "no such file");
}

TEST_P(ClientTest, ADownloadEndsWithTheErrorOfItsSink) {
    HttpClient::Request request;
    request.target = "/endless";
    const HttpClient::Sink sink = [](std::string_view) -> asio::awaitable<Result<void>> {
        co_return Error(Errc::no_space, "the disk is full");
    };

    EXPECT_EQ(server.await(client.download(request, sink)).error().code(), Errc::no_space);
    EXPECT_TRUE(call(client, "GET", "/hello"));
}

TEST_P(ClientTest, AStreamThatBreaksOffIsAnError) {
    HttpClient::Request request;
    request.target = "/half";

    const auto answer = server.await(client.send(request));

    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Errc::unavailable);
}

TEST_P(ClientTest, TheTimeoutNamesTheServer) {
    HttpClient::Request request;
    request.target = "/endless";
    request.timeout = 50ms;

    const auto answer = server.await(client.send(request));

    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Errc::unavailable);
    EXPECT_EQ(answer.error().detail(), "no answer from " + address().url + " within 50 ms");
}

TEST_P(ClientTest, CloseEndsAPendingRequest) {
    HttpClient::Request request;
    request.target = "/endless";
    bool closed = false;
    const HttpClient::Sink sink = [&](std::string_view) -> asio::awaitable<Result<void>> {
        closed = true;
        client.close();
        co_return Result<void>();
    };

    const auto answer = server.await(client.download(request, sink));

    EXPECT_TRUE(closed);
    EXPECT_EQ(answer.error().code(), Errc::unavailable);
    EXPECT_TRUE(call(client, "GET", "/hello"));
}

TEST_P(ClientTest, AServerThatClosesIdleConnectionsIsNotNoticed) {
    ServerLimits limits;
    limits.idle = 20ms;
    TestServer impatient(limits);
    HttpClient patient(impatient.io().get_executor(), GetParam() ? impatient.https() : impatient.http());
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(impatient.await(patient.call("GET", "/hello")));
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (impatient.counters().connections_open > 0 && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::yield();
        }
    }
    EXPECT_EQ(impatient.counters().connections_total, 3);
}

TEST(ClientErrors, ARefusedConnectionIsToldInWords) {
    unsigned short port = 0;
    {
        const TestServer gone;
        port = gone.http_port;
    }
    asio::io_context io;
    const std::string url = "http://127.0.0.1:" + std::to_string(port);
    HttpClient client(io.get_executor(), {url, "token", ""});

    auto answer = asio::co_spawn(io, client.call("GET", "/hello"), asio::use_future);
    io.run();

    EXPECT_EQ(answer.get().error().detail(), "cannot reach " + url + ": Connection refused");
}

TEST(ClientTls, AnotherCaOrAnotherNameIsRefused) {
    TestServer server;
    const TestServer other;
    client::Address wrong_ca = server.https();
    wrong_ca.ca_pem = other.ca_pem;
    client::Address wrong_name = server.https();
    // the same server, but not a name that its certificate has
    wrong_name.url = "https://127.1:" + std::to_string(server.https_port);
    client::Address no_ca = server.https();
    no_ca.ca_pem = "nonsense";

    for (const auto& address : {wrong_ca, no_ca, wrong_name}) {
        HttpClient client(server.io().get_executor(), address);
        const auto answer = server.await(client.call("GET", "/hello"));
        ASSERT_FALSE(answer);
        EXPECT_NE(answer.error().detail().find("certificate"), std::string::npos) << answer.error().detail();
    }
    EXPECT_EQ(server.handled, 0);
}

TEST(ClientTls, OldProtocolsAreRefused) {
    const TestServer server;
    RawSocket socket(server.https_port);
    // a TLS 1.0 client hello: version 0x0301, no supported_versions
    std::string hello("\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01", 11);
    hello += std::string(32, 'r') + std::string("\x00\x00\x04\xc0\x13\x00\x2f\x01\x00", 9);
    socket.send(hello);

    const std::string answer = socket.rest();

    ASSERT_GE(answer.size(), 7);
    EXPECT_EQ(answer[0], 0x15); // an alert, not a hello
}

} // namespace
} // namespace linarite::http
