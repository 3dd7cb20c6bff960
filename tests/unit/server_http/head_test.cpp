#include "server/http/head.hpp"

#include <gtest/gtest.h>

#include <random>

namespace linarite::http {
namespace {

using beast_http::status;

RequestHead decoded(const std::string& target) {
    RequestHead head;
    const auto refusal = decode_target(target, head);
    EXPECT_FALSE(refusal) << target << ": " << (refusal ? refusal->message : "");
    return head;
}

bool refused(const std::string& target) {
    RequestHead head;
    return decode_target(target, head).has_value();
}

TEST(DecodeTarget, DecodesPathAndQueryOnce) {
    const RequestHead head = decoded("/runs/a%20b/%25%32%46?x=1&name=a+b%2Bc&empty=&flag&&u=%C3%A9");

    EXPECT_EQ(head.path, "/runs/a b/%2F");
    EXPECT_EQ(head.query, (std::map<std::string, std::string>{
                              {"x", "1"}, {"name", "a b+c"}, {"empty", ""}, {"flag", ""}, {"u", "\xC3\xA9"}}));
}

TEST(DecodeTarget, KeepsPlusAndDotsWithinNames) {
    EXPECT_EQ(decoded("/a+b/..c/d..").path, "/a+b/..c/d..");
    EXPECT_EQ(decoded("/").path, "/");
}

TEST(DecodeTarget, HasOneSpellingForPathsWithDoubledSlashes) {
    EXPECT_EQ(decoded("/a//b/").path, "/a/b");
    EXPECT_EQ(decoded("//a").path, "/a");
    EXPECT_EQ(decoded("//").path, "/");
    EXPECT_TRUE(refused("//..//a"));
}

TEST(DecodeTarget, RefusesWhatCouldLeaveItsFolderOrMeanTwoThings) {
    for (const char* target :
         {"",        "a",      "*",      "http://localhost/a", "/.",         "/..",   "/a/../b", "/a/./b",
          "/%2e%2e", "/%2E/x", "/a%2fb", "/a%2F..%2Fb",        "/a%5cb",     "/a\\b", "/a%00",   "/a%0d%0ab",
          "/a%7f",   "/a%1fb", "/%ff",   "/%c0%ae%c0%ae",      "/%ed%a0%80", "/%",    "/%4",     "/%zz",
          "/a%2",    "/a%g0",  "/a#b",   "/\xC3\xA9",          "/a b",       "/a\tb"}) {
        EXPECT_TRUE(refused(target)) << target;
    }
}

TEST(DecodeTarget, RefusesABadQuery) {
    for (const char* target :
         {"/a?x=%", "/a?x=%zz", "/a?x=%00", "/a?x=%0a", "/a?x=%ff", "/a?x=1&x=1", "/a?%78=1&x=2"}) {
        EXPECT_TRUE(refused(target)) << target;
    }
}

TEST(HostNames, AllowsOwnNamesWithAnyPortInAnyCase) {
    const HostNames hosts({"Head.Example", "10.0.0.7", "fd00::7"});

    for (const char* host : {"localhost", "LOCALHOST:8443", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080",
                             "head.example:99", "10.0.0.7", "[fd00::7]:8443"}) {
        EXPECT_TRUE(hosts.allows(host)) << host;
    }
    for (const char* host : {"", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                             "localhost:x", "localhost:123456", "localhost@evil", "10.0.0.8", "[::2]", "::1"}) {
        EXPECT_FALSE(hosts.allows(host)) << host;
    }
}

TEST(HostNames, AStarAllowsAnyName) {
    EXPECT_TRUE(HostNames({"*"}).allows("anything.example:1"));
}

ServerLimits small_limits() {
    ServerLimits limits;
    limits.request_line = 64;
    limits.header_block = 128;
    limits.header_fields = 4;
    return limits;
}

std::optional<status> scan_status(const std::string& text) {
    const ServerLimits limits = small_limits();
    HeadScanner scanner(limits);
    scanner.scan(text);
    return scanner.refusal() ? std::optional(scanner.refusal()->status) : std::nullopt;
}

TEST(HeadScanner, FindsTheEndWhereverTheBytesAreCut) {
    const std::string head = "GET /a HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\r\n";
    const std::string all = head + "GET /next";
    const ServerLimits limits = small_limits();
    for (std::size_t cut = 0; cut <= head.size(); ++cut) {
        HeadScanner scanner(limits);
        const auto early = scanner.scan(std::string_view(all).substr(0, cut));
        EXPECT_EQ(early.has_value(), cut == head.size()) << cut;
        EXPECT_EQ(early ? early : scanner.scan(all), head.size()) << cut;
        EXPECT_FALSE(scanner.refusal()) << cut;
    }
}

TEST(HeadScanner, RefusesWhatTheParserWouldForgive) {
    const std::string line = "GET / HTTP/1.1\r\n";
    for (const std::string& text : std::vector<std::string>{
             std::string("\r\n"), std::string("\n"), "GET / HTTP/1.1\nHost: a\r\n", line + "A: b\nC: d",
             line + "A: b\rC", line + "A: b\r\r\n", line + " folded", line + "A: b\r\n folded\r\n",
             line + "A: b\r\n\tfolded\r\n", line + std::string("A: \0b", 5), line + "A: \x01", line + "A: \x7f",
             std::string("\x16\x03\x01")}) {
        const ServerLimits limits = small_limits();
        HeadScanner fresh(limits);
        fresh.scan(text + "\r\n");
        ASSERT_TRUE(fresh.refusal()) << testing::PrintToString(text);
        EXPECT_EQ(fresh.refusal()->status, status::bad_request) << testing::PrintToString(text);
    }
}

TEST(HeadScanner, RefusesTooMuchBeforeItIsAllThere) {
    EXPECT_EQ(scan_status("GET /" + std::string(100, 'a')), status::uri_too_long);
    EXPECT_EQ(scan_status("GET / HTTP/1.1\r\nA: " + std::string(200, 'a')), status::request_header_fields_too_large);
    EXPECT_EQ(scan_status("GET / HTTP/1.1\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\n"),
              status::request_header_fields_too_large);
    EXPECT_EQ(scan_status("GET / HTTP/1.1\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\n\r\n"), std::nullopt);
}

ParsedHead parsed(const std::string& raw) {
    ParsedHead head;
    const auto refusal = parse_head(raw, HostNames({}), head);
    EXPECT_FALSE(refusal) << (refusal ? refusal->message : "");
    return head;
}

TEST(ParseHead, GivesMethodPathHeadersAndFraming) {
    const ParsedHead head =
        parsed("PUT /a?b=c HTTP/1.1\r\nHost: localhost:1\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 12\r\n"
               "Expect: 100-continue\r\n\r\n");

    EXPECT_EQ(head.head.method, beast_http::verb::put);
    EXPECT_EQ(head.head.path, "/a");
    EXPECT_EQ(head.head.headers.at("x-a"), "1, 2");
    EXPECT_EQ(head.head.content_length, 12);
    EXPECT_EQ(head.body, ParsedHead::Body::length);
    EXPECT_TRUE(head.expects_continue);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_EQ(parsed("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n").body,
              ParsedHead::Body::chunked);
    EXPECT_FALSE(parsed("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").keep_alive);
    EXPECT_FALSE(parsed("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").keep_alive);
}

// A head made wrong at random places is refused or understood, never more than that (sanitizers watch).
TEST(ParseHead, SurvivesRandomDamage) {
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same every time
    const std::string good =
        "POST /a/b%20c?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    const std::string bytes = std::string("\r\n\t :%/\\;,\x00\x7f\xff", 13) + "Aa09";
    const ServerLimits limits;
    for (int round = 0; round < 20'000; ++round) {
        std::string damaged = good;
        for (unsigned hits = random() % 3; hits < 3; ++hits) {
            damaged[random() % damaged.size()] = bytes[random() % bytes.size()];
        }
        HeadScanner scanner(limits);
        const auto length = scanner.scan(damaged);
        if (!length) {
            continue;
        }
        ParsedHead head;
        if (!parse_head(std::string_view(damaged).substr(0, *length), HostNames({}), head)) {
            EXPECT_EQ(head.head.path.find(".."), std::string::npos);
            EXPECT_EQ(head.head.path.front(), '/');
        }
    }
}

} // namespace
} // namespace linarite::http
