#include "client/connection.hpp"
#include "client/discovery.hpp"
#include "client/http_client.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/json_reader.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::client {

bool operator==(const Event& a, const Event& b) {
    return a.name == b.name && a.data == b.data;
}
std::ostream& operator<<(std::ostream& out, const Event& event) {
    return out << event.name << "=" << event.data;
}

namespace {

TEST(Encode, KeepsOnlyUnreservedCharacters) {
    EXPECT_EQ(encode_part("a b/c?d%e+f&g~h-i.j_k"), "a%20b%2Fc%3Fd%25e%2Bf%26g~h-i.j_k");
    EXPECT_EQ(encode_part("\xC3\xA9\n"), "%C3%A9%0A");
    EXPECT_EQ(encode_path("outputs/a b.txt"), "outputs/a%20b.txt");
    EXPECT_EQ(encode_query({{"a", "1 2"}, {"b", "x&y"}}), "?a=1%202&b=x%26y");
    EXPECT_EQ(encode_query({}), "");
}

const std::string sample =
    ": hello\n\nevent: status\ndata: {\"a\":1}\n\ndata: one\ndata: two\r\n\r\nid: 7\n\nevent:log\ndata:x\n\n";
const std::vector<Event> sample_events{{"status", "{\"a\":1}"}, {"message", "one\ntwo"}, {"log", "x"}};

TEST(EventReader, CutsAStreamIntoEvents) {
    EventReader reader;

    EXPECT_EQ(reader.feed(sample), sample_events);
}

TEST(EventReader, DoesNotCareWhereTheBytesAreCut) {
    for (std::size_t step = 1; step < sample.size(); ++step) {
        EventReader reader;
        std::vector<Event> events;
        for (std::size_t at = 0; at < sample.size(); at += step) {
            for (Event& event : reader.feed(std::string_view(sample).substr(at, step))) {
                events.push_back(std::move(event));
            }
        }
        EXPECT_EQ(events, sample_events) << step;
    }
}

TEST(EventReader, AnEmptyDataLineIsAnEvent) {
    EventReader reader;

    EXPECT_EQ(reader.feed("data:\n\n"), (std::vector<Event>{{"message", ""}}));
    EXPECT_TRUE(reader.feed("event: x\n\n\n\n").empty());
}

TEST(ParseUrl, UnderstandsHostsAndPorts) {
    EXPECT_EQ(parse_url("https://localhost:8443/")->authority(), "localhost:8443");
    EXPECT_TRUE(parse_url("https://a.example")->tls);
    EXPECT_EQ(parse_url("https://a.example")->port, "443");
    EXPECT_EQ(parse_url("http://[::1]:8080")->host, "::1");
    EXPECT_EQ(parse_url("http://[::1]:8080")->authority(), "[::1]:8080");
    for (const char* url : {"", "localhost:1", "ftp://a", "http://", "http://a:b", "http://a:1/x", "http://[::1",
                            "http://u@h", "http://a b", "http://[::1]x"}) {
        EXPECT_FALSE(parse_url(url)) << url;
    }
}

class DiscoveryTest : public testing::Test {
protected:
    DiscoveryTest() : dir_(fs::temp_directory_path() / ("linarite-discovery-" + random_hex(8))) {
        fs::create_directories(dir_.tls());
        endpoint_.pid = static_cast<int>(::getpid());
        endpoint_.https_url = "https://127.0.0.1:8443";
        endpoint_.http_url = "http://127.0.0.1:8080";
        endpoint_.ca_file = (dir_.tls() / "ca.pem").string();
        endpoint_.version = "0.1.0";
        put(dir_.tls() / "ca.pem", "CA TEXT");
        put(dir_.token(), "secret\n");
    }
    ~DiscoveryTest() override {
        std::error_code ignored;
        fs::remove_all(dir_.root(), ignored);
    }
    static void put(const fs::path& file, const std::string& text) { ASSERT_TRUE(write_file_durably(file, text)); }
    void publish() { put(dir_.endpoint(), proto::print_json(proto::print(endpoint_))); }

    DataDir dir_;
    proto::Endpoint endpoint_;
};

TEST_F(DiscoveryTest, PrefersPlainHttpOfTheLocalCoordinator) {
    publish();

    const auto found = find_coordinator(dir_, "", "");

    ASSERT_TRUE(found) << found.error().detail();
    EXPECT_EQ(found->url, "http://127.0.0.1:8080");
    EXPECT_EQ(found->token, "secret");
}

TEST_F(DiscoveryTest, TakesHttpsWithItsCaOtherwise) {
    endpoint_.http_url = "";
    publish();

    const auto found = find_coordinator(dir_, "", "given");

    ASSERT_TRUE(found) << found.error().detail();
    EXPECT_EQ(found->url, "https://127.0.0.1:8443");
    EXPECT_EQ(found->ca_pem, "CA TEXT");
    EXPECT_EQ(found->token, "given");
}

TEST_F(DiscoveryTest, SaysHowToStartOneWhenNoneRuns) {
    const auto found = find_coordinator(dir_, "", "");

    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Errc::unavailable);
    EXPECT_EQ(found.error().detail(), "no coordinator is running for data directory '" + dir_.root().string() +
                                          "': start one with 'linarite up'");
}

TEST_F(DiscoveryTest, AFileLeftByADeadCoordinatorCountsAsNone) {
    const pid_t dead = ::fork();
    if (dead == 0) {
        ::_exit(0);
    }
    ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
    endpoint_.pid = static_cast<int>(dead);
    publish();

    EXPECT_EQ(find_coordinator(dir_, "", "").error().code(), Errc::unavailable);
}

TEST_F(DiscoveryTest, NeverSendsTheLocalTokenElsewhere) {
    publish();

    EXPECT_EQ(find_coordinator(dir_, "https://other.example:8443", "").error().code(), Errc::unauthorized);
    EXPECT_EQ(find_coordinator(dir_, "https://127.0.0.1:8443/", "")->token, "secret");
    EXPECT_EQ(find_coordinator(dir_, "https://other.example:8443", "theirs")->token, "theirs");
    EXPECT_EQ(find_coordinator(dir_, "https://other.example:8443", "theirs")->ca_pem, "CA TEXT");
}

TEST_F(DiscoveryTest, ADamagedFileOrAMissingTokenIsNamed) {
    publish();
    fs::remove(dir_.token());
    EXPECT_EQ(find_coordinator(dir_, "", "").error().code(), Errc::unauthorized);

    put(dir_.endpoint(), "{");
    EXPECT_NE(find_coordinator(dir_, "", "").error().detail().find("endpoint.json"), std::string::npos);
}

} // namespace
} // namespace linarite::client
