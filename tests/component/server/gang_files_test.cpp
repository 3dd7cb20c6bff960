// What two nodes that share no directory bring of one run, and what each gets of the other.
#include "common/hash.hpp"
#include "component/server/app_fixture.hpp"
#include "proto/frames.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <chrono>

namespace linarite::test {
namespace {

class GangFilesTest : public AppTest {
protected:
    struct Member {
        std::unique_ptr<HttpClient> client;
        std::string secret;
        std::string host;
        std::string shared_dir;
    };

    proto::SyncRequest picture_of(const std::string& name) {
        proto::SyncRequest request = picture(name);
        request.host_id = members_.at(name).host;
        request.shared_dir = members_.at(name).shared_dir;
        if (fence_ != 0) {
            proto::RunReport report;
            report.run = RunId("r1");
            report.fence = fence_;
            request.runs.push_back(report);
        }
        return request;
    }
    asio::awaitable<void> add(std::string name, std::string host, std::string shared_dir = "") {
        const Json offered = co_await post("/api/v1/nodes/join-tokens", Json::object());
        const auto key = proto::parse_join_string(offered.at("join").get<std::string>());
        const Json request = proto::print(proto::JoinRequest{1, name, key ? key->token : ""});
        const auto body = co_await stranger_->call("POST", "/api/v1/agent/join", request);
        const auto answer = proto::parse_join_answer(body ? *body : Json());
        members_[name] = Member{nullptr, answer ? answer->secret : "", std::move(host), std::move(shared_dir)};
        co_await connect(name);
    }
    /// To the coordinator that is there now.
    asio::awaitable<void> connect(std::string name) {
        Member& member = members_.at(name);
        member.client = std::make_unique<HttpClient>(executor_, client::Address{url_, member.secret, ""});
        co_await sync(*member.client, picture_of(name));
    }
    /// Run r1 on all nodes: index 0 is n0.
    asio::awaitable<void> place() {
        co_await submit("r1", static_cast<int>(members_.size()));
        const proto::SyncAnswer answer = co_await sync(*members_["n0"].client, picture_of("n0"));
        EXPECT_EQ(answer.runs.size(), 1U);
        fence_ = answer.runs.at(0).fence;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            EXPECT_EQ(answer.runs.at(0).gang.at(i).node.str(), "n" + std::to_string(i));
        }
    }
    asio::awaitable<Response> send(std::string node, std::string frames) {
        co_return co_await send_frames(*members_.at(node).client,
                                       "/api/v1/agent/runs/r1/files?fence=" + std::to_string(fence_), frames);
    }
    static std::string whole(const std::string& path, const std::string& text, bool closed = true) {
        const std::string hash = sha256_hex(text);
        return proto::print_frame_header({path, 0, text.size(), false, hash, closed ? hash : ""}) + text;
    }
    /// `text` is what the file has in the end; these are its bytes from `offset` on.
    static std::string grown(const std::string& path, const std::string& text, std::uint64_t offset, bool closed) {
        return proto::print_frame_header(
                   {path, offset, text.size() - offset, false, "", closed ? sha256_hex(text) : ""}) +
               text.substr(offset);
    }
    asio::awaitable<void> must_take(std::string node, std::string frames) {
        const Response response = co_await send(node, frames);
        EXPECT_EQ(response.status, 200) << response.body;
    }
    asio::awaitable<Json> list(std::string node, std::uint64_t since = 0) {
        const Response response = co_await ask("GET", target("") + "&since=" + std::to_string(since), nullptr,
                                               members_.at(node).client.get());
        EXPECT_EQ(response.status, 200) << response.body;
        co_return Json::parse(response.body, nullptr, false);
    }
    static std::vector<std::string> paths(const Json& list) {
        std::vector<std::string> out;
        for (const Json& file : list.at("files")) {
            out.push_back(file.at("path"));
        }
        return out;
    }
    [[nodiscard]] std::string target(const std::string& rest) const {
        return "/api/v1/agent/runs/r1/gang-files" + rest + "?fence=" + std::to_string(fence_);
    }
    asio::awaitable<std::string> content(std::string path) {
        const Response response = co_await ask("GET", "/api/v1/runs/r1/files/" + path);
        EXPECT_EQ(response.status, 200) << path << ": " << response.body;
        co_return response.body;
    }
    asio::awaitable<std::vector<std::string>> warnings() {
        const Json run = co_await get("/api/v1/runs/r1");
        co_return run.at("warnings").get<std::vector<std::string>>();
    }
    asio::awaitable<std::uint64_t> version_for(std::string node) {
        const proto::SyncAnswer answer = co_await sync(*members_.at(node).client, picture_of(node));
        co_return answer.runs.at(0).files_version;
    }
    void with_two_hosts(Script script) {
        with_coordinator([this, script = std::move(script)]() -> asio::awaitable<void> {
            co_await add("n0", "host-a");
            co_await add("n1", "host-b");
            co_await place();
            co_await script();
            members_.clear();
        });
    }

    std::map<std::string, Member> members_;
    Fence fence_ = 0;
};

TEST_F(GangFilesTest, AClosedFileIsListedForTheOthersInTheOrderOfClosing) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        co_await must_take("n0", whole("outputs/z", "data") + whole("outputs/a", "marker") +
                                     grown("logs/l", "line\n", 0, true) + whole("outputs/open", "x", false) +
                                     grown("logs/growing", "x", 0, false) +
                                     grown("azureml-logs/70_driver_log_0.txt", "x", 0, false));

        const Json seen = co_await list("n1");
        const Json own = co_await list("n0");

        EXPECT_EQ(paths(seen), (std::vector<std::string>{"outputs/z", "outputs/a", "logs/l"}));
        EXPECT_EQ(seen.at("files")[0].at("sha256"), sha256_hex("data"));
        EXPECT_TRUE(paths(own).empty());
        const Json later = co_await list("n1", seen.at("version"));
        EXPECT_TRUE(paths(later).empty());
        EXPECT_EQ(later.at("version"), seen.at("version"));
        const std::uint64_t version = co_await version_for("n1");
        EXPECT_EQ(version, seen.at("version"));
    });
}

TEST_F(GangFilesTest, TheHeldPollOfTheOtherNodeIsAnsweredWhenAFileIsClosed) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        using namespace boost::asio::experimental::awaitable_operators;
        proto::SyncRequest request = picture_of("n1");
        const proto::SyncAnswer before = co_await sync(*members_["n1"].client, request);
        request.seen = before.version;
        request.wait = std::chrono::seconds(30);
        auto poll = sync(*members_["n1"].client, request);
        auto close = must_take("n0", whole("outputs/x", "x"));
        const auto began = std::chrono::steady_clock::now();

        const proto::SyncAnswer after = co_await (std::move(poll) && std::move(close));

        EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
        EXPECT_GT(after.runs.at(0).files_version, 0U);
    });
}

TEST_F(GangFilesTest, BytesAreServedAsTheyWereClosed) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        co_await must_take("n0", whole("outputs/a", "aaa") + grown("logs/l", "one\n", 0, true));
        co_await must_take("n0", grown("logs/l", "one\ntwo\n", 4, false));

        const Json wanted{{"files",
                           {{{"path", "logs/l"}, {"size", 4}},
                            {{"path", "outputs/missing"}, {"size", 1}},
                            {{"path", "outputs/a"}, {"size", 4}},
                            {{"path", "outputs/a"}, {"size", 3}}}}};
        const Response got = co_await ask("POST", target("/content"), wanted, members_["n1"].client.get());

        EXPECT_EQ(got.status, 200) << got.body;
        EXPECT_EQ(got.body, proto::print_frame_header({"logs/l", 0, 4, false, "", ""}) + "one\n" +
                                proto::print_frame_header({"outputs/a", 0, 3, false, "", ""}) + "aaa");
    });
}

TEST_F(GangFilesTest, OnlyTheRunsOwnNodesUnderItsFenceGetThem) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await add("n0", "host-a");
        co_await add("n1", "host-b");
        co_await place();
        const auto other = co_await ready_node("n9");
        for (const std::string& rest : {target("") + "&since=0", target("") + "0&since=0", target("")}) {
            const bool stale = rest.find("0&since") != std::string::npos;
            const Response stranger = co_await ask("GET", rest, nullptr, other.get());
            const Response member = co_await ask("GET", rest, nullptr, members_["n1"].client.get());
            const bool complete = rest.find("since") != std::string::npos;
            EXPECT_EQ(stranger.status, !complete ? 400 : stale ? 409 : 403) << rest << stranger.body;
            EXPECT_EQ(member.status, !complete ? 400 : stale ? 409 : 200) << rest << member.body;
        }
        const Json bad{{"files", {{{"path", "../x"}, {"size", 1}}}}};
        const Response refused = co_await ask("POST", target("/content"), bad, members_["n1"].client.get());
        EXPECT_EQ(refused.status, 400);
        const Response brought = co_await send_frames(
            *other, "/api/v1/agent/runs/r1/files?fence=" + std::to_string(fence_), whole("outputs/x", "x"));
        EXPECT_EQ(brought.status, 403) << brought.body;
        members_.clear();
    });
}

TEST_F(GangFilesTest, ANameOfTwoNodesIsKeptForTheLowerOne) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        co_await must_take("n0", whole("outputs/m.pkl", "of 0"));
        co_await must_take("n1", whole("outputs/m.pkl", "of 1"));
        co_await must_take("n1", whole("outputs/m.pkl", "of 1 again"));
        co_await must_take("n1", whole("outputs/late.pkl", "late 1"));
        co_await must_take("n0", whole("outputs/late.pkl", "late 0"));

        const std::string low = co_await content("outputs/m.pkl");
        const std::string high = co_await content("outputs/m.node1.pkl");
        const std::string late_low = co_await content("outputs/late.pkl");
        const std::string late_high = co_await content("outputs/late.node1.pkl");
        EXPECT_EQ(low, "of 0");
        EXPECT_EQ(high, "of 1 again");
        EXPECT_EQ(late_low, "late 0");
        EXPECT_EQ(late_high, "late 1");
        const std::vector<std::string> said = co_await warnings();
        EXPECT_EQ(said.size(), 2U);
        EXPECT_EQ(said.at(0), "'outputs/m.pkl' was written by more than one node, with different bytes: the copy of "
                              "node 1 ('n1') is kept as 'outputs/m.node1.pkl'");
        const Json seen = co_await list("n0");
        EXPECT_EQ(paths(seen), (std::vector<std::string>{"outputs/m.node1.pkl", "outputs/late.node1.pkl"}));
    });
}

TEST_F(GangFilesTest, TheSameBytesOfTwoNodesAreOneFileWithoutAWarning) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        co_await must_take("n0", whole("outputs/c.json", "{}") + grown("logs/l", "same\n", 0, true));
        co_await must_take("n1", whole("outputs/c.json", "{}") + grown("logs/l", "same\n", 0, true));

        const Json files = co_await get("/api/v1/runs/r1/files");
        const std::vector<std::string> said = co_await warnings();
        EXPECT_EQ(files.at("files").size(), 2U) << files;
        EXPECT_TRUE(said.empty());
    });
}

TEST_F(GangFilesTest, LogsThatPartInTheMiddleAreBothWhole) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        co_await must_take("n1", grown("logs/l", "start\n", 0, false));
        co_await must_take("n0", grown("logs/l", "start\n", 0, false));

        // n0 has the same so far; when it goes on otherwise it takes the name over, and has to begin anew there
        const Response told = co_await send("n0", grown("logs/l", "start\nzero\n", 6, false));
        EXPECT_EQ(told.status, 409) << told.body;
        EXPECT_EQ(Json::parse(told.body, nullptr, false).at("length"), 0);
        co_await must_take("n0", grown("logs/l", "start\nzero\n", 0, false));
        co_await must_take("n1", grown("logs/l", "start\none\n", 6, false));
        const std::string last = "start\none\nend\n";
        const Response end =
            co_await send("n1", proto::print_frame_header({"logs/l", 10, 4, false, sha256_hex(last), ""}) + "end\n");
        EXPECT_EQ(end.status, 200) << end.body;

        const std::string zero = co_await content("logs/l");
        const std::string one = co_await content("logs/l.node1");
        EXPECT_EQ(zero, "start\nzero\n");
        EXPECT_EQ(one, last);
    });
}

TEST_F(GangFilesTest, BothNodesAtOnceLoseNothing) {
    with_two_hosts([this]() -> asio::awaitable<void> {
        using namespace boost::asio::experimental::awaitable_operators;
        for (int i = 0; i < 20; ++i) {
            const std::string name = "outputs/f" + std::to_string(i);
            auto zero = send("n0", whole(name, std::string(300'000, '0')) + whole(name + "b", "b0"));
            auto one = send("n1", whole(name, std::string(300'000, '1')) + whole(name + "b", "b1"));
            const auto [first, second] = co_await (std::move(zero) && std::move(one));
            EXPECT_EQ(first.status, 200) << first.body;
            EXPECT_EQ(second.status, 200) << second.body;
            const std::string of_zero = co_await content(name);
            const std::string of_one = co_await content(name + ".node1");
            EXPECT_EQ(of_zero, std::string(300'000, '0'));
            EXPECT_EQ(of_one, std::string(300'000, '1'));
        }
        const std::vector<std::string> said = co_await warnings();
        EXPECT_EQ(said.size(), 21U) << "many warnings are no use";
    });
}

TEST_F(GangFilesTest, ARestartedCoordinatorKnowsWhoseFilesTheyAre) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await add("n0", "host-a");
        co_await add("n1", "host-b");
        co_await place();
        co_await must_take("n0", whole("outputs/m", "of 0"));
        co_await must_take("n1", whole("outputs/m", "of 1"));
        members_["n0"].client.reset();
        members_["n1"].client.reset();
    });
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await connect("n0");
        co_await connect("n1");

        const Json seen = co_await list("n0");
        co_await must_take("n1", whole("outputs/m", "of 1, later"));

        EXPECT_EQ(paths(seen), std::vector<std::string>{"outputs/m.node1"});
        const std::string low = co_await content("outputs/m");
        const std::string high = co_await content("outputs/m.node1");
        EXPECT_EQ(low, "of 0");
        EXPECT_EQ(high, "of 1, later");
        const std::uint64_t version = co_await version_for("n0");
        EXPECT_GT(version, 0U);
        members_.clear();
    });
}

TEST_F(GangFilesTest, NodesWithOneDirectoryHaveNothingToBringToEachOther) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await add("n0", "host-a", "shared-1");
        co_await add("n1", "host-b", "shared-1");
        co_await add("n2", "host-a");
        co_await place();
        co_await must_take("n0", whole("outputs/m", "of 0"));

        const Json seen = co_await list("n1");
        const std::uint64_t version = co_await version_for("n1");

        EXPECT_TRUE(paths(seen).empty());
        EXPECT_EQ(version, 0U);
        members_.clear();
    });
}

} // namespace
} // namespace linarite::test
