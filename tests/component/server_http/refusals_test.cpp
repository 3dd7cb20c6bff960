// What a hostile or broken client may send, and what it gets.
#include "test_server.hpp"

#include <gtest/gtest.h>

namespace linarite::http {
namespace {

const std::string host = "Host: localhost\r\n";
const std::string token = std::string("Authorization: Bearer ") + TestServer::token + "\r\n";

struct Malformed {
    const char* name;
    std::string raw;
    int status;
};

std::string get(const std::string& lines) {
    return "GET /hello HTTP/1.1\r\n" + host + token + lines + "\r\n";
}
std::string get_target(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\n" + host + token + "\r\n";
}
std::string post(const std::string& lines, const std::string& body = "") {
    return "POST /text HTTP/1.1\r\n" + host + token + lines + "\r\n" + body;
}

std::vector<Malformed> framing() {
    const std::string chunked = "Transfer-Encoding: chunked\r\n";
    return {
        {"TwoEqualLengths", post("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"), 400},
        {"TwoDifferentLengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "ab"), 400},
        {"LengthList", post("Content-Length: 2, 2\r\n", "ab"), 400},
        {"LengthWithSign", post("Content-Length: +2\r\n", "ab"), 400},
        {"NegativeLength", post("Content-Length: -2\r\n", "ab"), 400},
        {"HexLength", post("Content-Length: 0x2\r\n", "ab"), 400},
        {"EmptyLength", post("Content-Length:\r\n", "ab"), 400},
        {"HugeLength", post("Content-Length: 99999999999999999999\r\n", "ab"), 400},
        {"LengthAndChunked", post("Content-Length: 2\r\n" + chunked, "0\r\n\r\n"), 400},
        {"ChunkedAndLength", post(chunked + "Content-Length: 2\r\n", "0\r\n\r\n"), 400},
        {"ChunkedTwice", post(chunked + chunked, "0\r\n\r\n"), 400},
        {"GzipChunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400},
        {"Identity", post("Transfer-Encoding: identity\r\n", ""), 400},
        {"ChunkedIdentity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 400},
        {"ChunkedWithTab", post("Transfer-Encoding: x\tchunked\r\n", "0\r\n\r\n"), 400},
        {"ChunkedWithParameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 400},
        {"EmptyCoding", post("Transfer-Encoding:\r\n", ""), 400},
        {"ChunkedInHttp10", "POST /text HTTP/1.0\r\n" + host + token + chunked + "\r\n0\r\n\r\n", 400},
        {"BadChunkSize", post(chunked, "zz\r\n"), 400},
        {"NegativeChunkSize", post(chunked, "-1\r\n"), 400},
        {"LongChunkExtension", post(chunked, "1;" + std::string(300, 'x') + "\r\na\r\n0\r\n\r\n"), 400},
        {"ChunkLongerThanSaid", post(chunked, "1\r\nab\r\n0\r\n\r\n"), 400},
        {"BareNewlineAfterChunk", post(chunked, "1\r\na\n0\r\n\r\n"), 400},
    };
}

std::vector<Malformed> lines() {
    return {
        {"FoldedHeader", get("A: b\r\n folded\r\n"), 400},
        {"FoldedWithTab", get("A: b\r\n\tfolded\r\n"), 400},
        {"FoldedFirstHeader", "GET /hello HTTP/1.1\r\n " + host + token + "\r\n", 400},
        {"FoldedChunked", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
        {"BareNewlines", "GET /hello HTTP/1.1\nHost: localhost\n\n", 400},
        {"BareReturn", get("A: b\rC: d\r\n"), 400},
        {"NulInValue", get(std::string("A: b\0c\r\n", 8)), 400},
        {"ControlInValue", get("A: b\x01\r\n"), 400},
        {"DeleteInValue", get("A: b\x7f\r\n"), 400},
        {"NoColon", get("broken\r\n"), 400},
        {"EmptyName", get(": b\r\n"), 400},
        {"SpaceInName", get("A b: c\r\n"), 400},
        {"SpaceBeforeColon", get("Content-Length : 2\r\n"), 400},
        {"NonAsciiName", get("\xC3\xA9: c\r\n"), 400},
        {"TwoTokens", get(token), 400},
        {"EmptyRequestLine", "\r\nGET /hello HTTP/1.1\r\n\r\n", 400},
        {"NoVersion", "GET /hello\r\n" + host + "\r\n", 400},
        {"Http09", "GET /hello HTTP/0.9\r\n" + host + "\r\n", 400},
        {"Http2", "GET /hello HTTP/2.0\r\n" + host + "\r\n", 400},
        {"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"TwoSpaces", "GET  /hello HTTP/1.1\r\n" + host + "\r\n", 400},
        {"TrailingSpace", "GET /hello HTTP/1.1 \r\n" + host + "\r\n", 400},
        {"BadMethod", "G\"T /hello HTTP/1.1\r\n" + host + "\r\n", 400},
        {"ATlsHello", "\x16\x03\x01\x02", 400},
        {"UnknownExpectation", post("Expect: magic\r\nContent-Length: 1\r\n", "a"), 417},
    };
}

std::vector<Malformed> hosts_and_targets() {
    return {
        {"NoHost", "GET /hello HTTP/1.1\r\n" + token + "\r\n", 400},
        {"NoHostInHttp10", "GET /hello HTTP/1.0\r\n" + token + "\r\n", 400},
        {"TwoHosts", get(host), 400},
        {"EmptyHost", "GET /hello HTTP/1.1\r\nHost:\r\n" + token + "\r\n", 400},
        {"ForeignHost", "GET /hello HTTP/1.1\r\nHost: evil.example\r\n" + token + "\r\n", 400},
        {"UserInHost", "GET /hello HTTP/1.1\r\nHost: a@localhost\r\n" + token + "\r\n", 400},
        {"AbsoluteTarget", get_target("http://localhost/hello"), 400},
        {"StarTarget", "OPTIONS * HTTP/1.1\r\n" + host + token + "\r\n", 400},
        {"ConnectTarget", "CONNECT localhost:1 HTTP/1.1\r\n" + host + token + "\r\n", 400},
        {"NonAsciiTarget", get_target("/hell\xC3\xB6"), 400},
        {"FragmentInTarget", get_target("/hello#x"), 400},
        {"BadPercent", get_target("/hello%g0"), 400},
        {"CutPercent", get_target("/hello%2"), 400},
        {"EncodedNul", get_target("/hello%00"), 400},
        {"EncodedNewline", get_target("/hello%0d%0aX:%20y"), 400},
        {"EncodedSlash", get_target("/file%2Fa"), 400},
        {"EncodedDots", get_target("/file/%2e%2e/token"), 400},
        {"EncodedDotsAndSlash", get_target("/file/..%2ftoken"), 400},
        {"Dots", get_target("/file/../token"), 400},
        {"Backslash", get_target("/file/..\\token"), 400},
        {"EncodedBackslash", get_target("/file/..%5ctoken"), 400},
        {"OverlongUtf8", get_target("/file/%c0%ae%c0%ae/token"), 400},
        {"RepeatedQueryName", get_target("/hello?a=1&a=2"), 400},
        {"BadUtf8InQuery", get_target("/hello?a=%ff"), 400},
    };
}

class Refusals : public testing::TestWithParam<Malformed> {
protected:
    static void SetUpTestSuite() { server = std::make_unique<TestServer>(); }
    static void TearDownTestSuite() { server.reset(); }
    static std::unique_ptr<TestServer> server;
};
std::unique_ptr<TestServer> Refusals::server;

TEST_P(Refusals, IsAnsweredAndTheConnectionCloses) {
    const int handled = server->handled;
    RawSocket socket(server->http_port);
    // a second request rides along, as it would in an attack: it must not be served
    socket.send(GetParam().raw + request("GET", "/hello"));

    const auto answer = socket.answer();

    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, GetParam().status) << answer->body;
    EXPECT_TRUE(answer->has("Connection: close"));
    EXPECT_TRUE(answer->body.starts_with("{\"error\":")) << answer->body;
    EXPECT_TRUE(socket.ends());
    const bool in_body =
        answer->body.find("chunked body") != std::string::npos; // seen by the handler, as a failed read
    EXPECT_EQ(server->handled, handled + (in_body ? 1 : 0));
}

std::string name_of(const testing::TestParamInfo<Malformed>& info) {
    return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Framing, Refusals, testing::ValuesIn(framing()), name_of);
INSTANTIATE_TEST_SUITE_P(Lines, Refusals, testing::ValuesIn(lines()), name_of);
INSTANTIATE_TEST_SUITE_P(Targets, Refusals, testing::ValuesIn(hosts_and_targets()), name_of);

class RequestTest : public testing::Test {
protected:
    TestServer server;
    Answer answered(const std::string& raw) const { return ask(server, raw).value_or(Answer()); }
};

TEST_F(RequestTest, ConfiguredNamesMayStandInTheHostHeader) {
    const TestServer named({}, {"head.example"});

    const auto answer = ask(named, "GET /hello HTTP/1.1\r\nHost: head.example:99\r\n" + token + "\r\n");

    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
}

TEST_F(RequestTest, AGoodOneIsAnsweredWithSafeHeaders) {
    const Answer answer = answered(request("GET", "/hello"));

    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "{\"hello\":\"world\"}");
    EXPECT_TRUE(answer.has("Content-Type: application/json"));
    EXPECT_TRUE(answer.has("Cache-Control: no-store"));
    EXPECT_TRUE(answer.has("X-Content-Type-Options: nosniff"));
}

TEST_F(RequestTest, HandlersSeeDecodedPathQueryAndCaller) {
    const Answer answer = answered(request("GET", "/where/x%20y/d/e%25?q=a+b"));

    const auto seen = nlohmann::json::parse(answer.body);
    EXPECT_EQ(seen["path"], "/where/x y/d/e%");
    EXPECT_EQ(seen["query"]["q"], "a b");
    EXPECT_EQ(seen["parameters"]["a"], "x y");
    EXPECT_EQ(seen["parameters"]["b"], "d/e%");
    EXPECT_EQ(seen["who"], "admin");
    EXPECT_TRUE(seen["peer"].get<std::string>().starts_with("127.0.0.1:"));
}

TEST_F(RequestTest, WithoutATokenNothingIsToldNotEvenWhatExists) {
    for (const char* target : {"/hello", "/nothing-here"}) {
        const Answer answer = answered("GET " + std::string(target) + " HTTP/1.1\r\n" + host + "\r\n");
        EXPECT_EQ(answer.status, 401) << target;
        EXPECT_NE(answer.head.find("WWW-Authenticate: Bearer"), std::string::npos) << target;
    }
    EXPECT_EQ(server.handled, 0);
}

TEST_F(RequestTest, OtherSchemesAndTokensAreUnauthorized) {
    for (const char* value : {"Basic cmlnaHQtdG9rZW4=", "Bearer", "Bearer ", "Bearer wrong", "right-token"}) {
        const Answer answer = answered("GET /hello HTTP/1.1\r\n" + host + "Authorization: " + value + "\r\n\r\n");
        EXPECT_EQ(answer.status, 401) << value;
    }
}

TEST_F(RequestTest, RolesDecideAndOpenRoutesNeedNone) {
    const std::string agent = std::string("Authorization: bearer ") + TestServer::agent_token + "\r\n\r\n";

    EXPECT_EQ(answered(request("GET", "/agents-only")).status, 403);
    EXPECT_EQ(answered("GET /agents-only HTTP/1.1\r\n" + host + agent).status, 200);
    EXPECT_EQ(answered("GET /open HTTP/1.1\r\n" + host + "\r\n").status, 200);
    EXPECT_EQ(answered("GET /open HTTP/1.1\r\n" + host + "Authorization: Bearer wrong\r\n\r\n").status, 200);
}

TEST_F(RequestTest, UnknownPathsAndMethodsAreTold) {
    const Answer method = answered(request("DELETE", "/hello"));

    EXPECT_EQ(answered(request("GET", "/nothing-here")).status, 404);
    EXPECT_EQ(method.status, 405);
    EXPECT_TRUE(method.has("Allow: GET"));
    EXPECT_EQ(answered(request("BREW", "/hello")).status, 405);
}

TEST_F(RequestTest, TooManyFailedLoginsAreSlowedDownButNeverAValidToken) {
    ServerLimits limits;
    limits.failed_logins_per_minute = 3;
    const TestServer strict(limits);
    const std::string wrong = "GET /hello HTTP/1.1\r\n" + host + "Authorization: Bearer wrong\r\n\r\n";

    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(ask(strict, wrong)->status, 401);
    }
    const auto limited = ask(strict, wrong);
    const auto valid = ask(strict, request("GET", "/hello"));

    EXPECT_EQ(limited->status, 429);
    EXPECT_TRUE(limited->has("Retry-After: 60"));
    EXPECT_EQ(valid->status, 200);
}

TEST_F(RequestTest, ErrorsCarryCodeMessageAndFaults) {
    const Answer faulty = answered(request("GET", "/faulty"));

    EXPECT_EQ(faulty.status, 400);
    const auto error = nlohmann::json::parse(faulty.body)["error"];
    EXPECT_EQ(error["code"], "BadRequest");
    EXPECT_EQ(error["details"][0]["target"], "/nodeCount");
    EXPECT_EQ(error["details"][0]["message"], "is too large");
}

TEST_F(RequestTest, InternalErrorsKeepTheirDetail) {
    for (const char* target : {"/internal", "/throws", "/silent"}) {
        const Answer answer = answered(request("GET", target));
        EXPECT_EQ(answer.status, 500) << target;
        EXPECT_EQ(answer.body.find("secret"), std::string::npos) << target;
        EXPECT_NE(answer.body.find("InternalServerError"), std::string::npos) << target;
    }
}

TEST_F(RequestTest, AHandlerThatThrowsCostsTheConnection) {
    RawSocket socket(server.http_port);
    socket.send(request("GET", "/throws"));

    const auto answer = socket.answer();

    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->has("Connection: close"));
    EXPECT_TRUE(socket.ends());
}

TEST_F(RequestTest, PipelinedRequestsAreAnsweredInOrder) {
    RawSocket socket(server.http_port);
    socket.send(request("POST", "/text", "", "first") + request("GET", "/hello") +
                request("POST", "/text", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n" +
                request("POST", "/text", "", "last"));

    EXPECT_EQ(socket.answer()->body, "first");
    EXPECT_EQ(socket.answer()->body, "{\"hello\":\"world\"}");
    EXPECT_EQ(socket.answer()->body, "abc");
    EXPECT_EQ(socket.answer()->body, "last");
}

TEST_F(RequestTest, ARequestMayArriveByteByByte) {
    RawSocket socket(server.http_port);
    for (const char c : request("POST", "/text", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n") {
        socket.send(std::string_view(&c, 1));
    }

    EXPECT_EQ(socket.answer()->body, "abc");
}

TEST_F(RequestTest, Http10ClosesUnlessAskedToStay) {
    RawSocket closing(server.http_port);
    RawSocket staying(server.http_port);
    closing.send("GET /hello HTTP/1.0\r\n" + host + token + "\r\n");
    staying.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n" + host + token + "\r\n");

    EXPECT_TRUE(closing.answer()->has("Connection: close"));
    EXPECT_TRUE(closing.ends());
    EXPECT_TRUE(staying.answer()->has("Connection: keep-alive"));
    staying.send(request("GET", "/hello"));
    EXPECT_EQ(staying.answer()->status, 200);
}

TEST_F(RequestTest, CountersTellRoutesAndStatuses) {
    answered(request("GET", "/where/a/b"));
    answered(request("GET", "/where/c/d"));
    answered(request("GET", "/nothing"));
    answered("GET / HTTP/1.1\r\n\r\n");

    const auto counters = server.counters();

    EXPECT_EQ(counters.requests_total, 4);
    EXPECT_EQ(counters.connections_total, 4);
    EXPECT_EQ(counters.by_route_and_status.at("GET /where/{a}/{b...} 200"), 2);
    EXPECT_EQ(counters.by_route_and_status.at("GET - 404"), 1);
    EXPECT_EQ(counters.by_route_and_status.at("GET - 400"), 1);
}

TEST(Listen, RefusesPlainHttpBeyondLoopbackAndBadAddresses) {
    asio::io_context io;
    Server server(io, Router(), nullptr, {}, {});

    EXPECT_EQ(server.listen({"0.0.0.0", 0}, nullptr).error().code(), Errc::invalid_argument);
    EXPECT_EQ(server.listen({"localhost", 0}, nullptr).error().code(), Errc::invalid_argument);
    const auto port = server.listen({"127.0.0.1", 0}, nullptr);
    ASSERT_TRUE(port);
    const auto again = server.listen({"127.0.0.1", *port}, nullptr);
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().detail().find("Address already in use"), std::string::npos);
}

} // namespace
} // namespace linarite::http
