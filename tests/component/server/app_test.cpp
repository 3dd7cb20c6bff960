// A whole coordinator on free ports, driven over HTTP as the CLI and an agent would; no agent process, no job.
#include "common/hash.hpp"
#include "component/server/app_fixture.hpp"
#include "proto/frames.hpp"

#include <set>

namespace linarite::test {
namespace {

using namespace std::chrono_literals;

TEST_F(AppTest, EveryCallNeedsAToken) {
    with_coordinator([this]() -> asio::awaitable<void> {
        HttpClient stranger(executor_, client::Address{url_, "wrong", ""});
        const auto refused = co_await stranger.call("GET", "/healthz");
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Errc::unauthorized);
        const Json health = co_await get("/healthz");
        EXPECT_EQ(health.at("status"), "ok");
    });
}

TEST_F(AppTest, ServesTheSameOverHttpsWithItsOwnAuthority) {
    with_coordinator([this]() -> asio::awaitable<void> {
        std::string token = read_file(folder_ / "token").value();
        token.pop_back();
        const std::string ca = read_file(folder_ / "tls" / "ca.pem").value();
        HttpClient secure(executor_, client::Address{https_url_, token, ca});
        const auto health = co_await secure.call("GET", "/healthz");
        EXPECT_TRUE(health) << (health ? "" : health.error().detail());
    });
}

TEST_F(AppTest, ARunGoesFromSubmitToCompletedAsItsAgentReports) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        proto::SyncRequest request = picture("n1");
        proto::SyncAnswer answer = co_await sync(*agent, request);
        EXPECT_TRUE(answer.runs.empty());
        const Json submitted = co_await submit("r1");
        EXPECT_EQ(submitted.at("status"), "Provisioning");

        request.seen = answer.version;
        request.wait = 5s;
        answer = co_await sync(*agent, request);
        EXPECT_EQ(answer.runs.size(), 1U);
        const proto::DesiredRun wanted = answer.runs.at(0);
        EXPECT_EQ(wanted.want, proto::Want::launch) << "a single node needs no barrier";
        EXPECT_EQ(wanted.variables.at("AZUREML_RUN_ID"), "r1");
        const std::string log = "hello\n";
        proto::FrameHeader header;
        header.path = "azureml-logs/70_driver_log.txt";
        header.size = log.size();
        header.sha256 = sha256_hex(log);
        const std::string target = "/api/v1/agent/runs/r1/files?fence=" + std::to_string(wanted.fence);
        const auto stored = co_await send_frames(*agent, target, proto::print_frame_header(header) + log);
        EXPECT_EQ(stored.status, 200) << stored.body;
        proto::RunReport report;
        report.run = wanted.run;
        report.fence = wanted.fence;
        report.phase = proto::Phase::done;
        report.ending = proto::Ending{};
        report.ending->started = true;
        request.runs = {report};
        request.wait = 0ms;
        co_await sync(*agent, request);

        const Json run = co_await get("/api/v1/runs/r1");
        EXPECT_EQ(run.at("status"), "Completed");
        const Json events = co_await get("/api/v1/runs/r1/events");
        std::string statuses;
        for (const Json& event : events.at("events")) {
            statuses += event.at("status").get<std::string>() + " ";
        }
        EXPECT_EQ(statuses, "NotStarted Queued Provisioning Preparing Starting Running Finalizing Completed ");
        HttpClient::Request file;
        file.target = "/api/v1/runs/r1/files/azureml-logs/70_driver_log.txt";
        const auto body = co_await admin_->send(file);
        EXPECT_EQ(body->body, log);
    });
}

TEST_F(AppTest, AnAgentIsToldOnlyWhatItDoesNotKnow) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await submit("r1");
        proto::SyncRequest request = picture("n1");
        const proto::SyncAnswer whole = co_await sync(*agent, request);
        EXPECT_EQ(whole.runs.size(), 1U);
        const proto::DesiredRun& wanted = whole.runs.at(0);
        EXPECT_FALSE(wanted.brief);
        EXPECT_TRUE(wanted.definition.is_object());
        proto::RunReport report;
        report.run = wanted.run;
        report.fence = wanted.fence;

        request.runs = {report};
        const proto::SyncAnswer brief = co_await sync(*agent, request); // it has seen nothing yet, but has the run
        EXPECT_EQ(brief.runs.size(), 1U);
        EXPECT_TRUE(brief.runs.at(0).brief);
        EXPECT_EQ(brief.runs.at(0).want, wanted.want);
        request.seen = brief.version;
        const proto::SyncAnswer nothing = co_await sync(*agent, request); // a report beside a poll
        EXPECT_TRUE(nothing.unchanged);
        EXPECT_TRUE(nothing.runs.empty());
        request.runs.front().fence = wanted.fence + 1; // of some other placement
        request.seen = 0;
        const proto::SyncAnswer other = co_await sync(*agent, request);
        EXPECT_EQ(other.runs.size(), 1U);
        EXPECT_FALSE(other.runs.at(0).brief);
    });
}

TEST_F(AppTest, TheSameRunIdTwiceIsTheSameRunAndAnotherBodyAConflict) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        const Json first = co_await submit("r1");
        const Json again = co_await submit("r1");
        EXPECT_EQ(first.at("created"), again.at("created"));
        const std::string other = co_await make_snapshot("print('other')\n");
        const auto refused = co_await admin_->call("POST", "/api/v1/runs",
                                                   Json{{"run_id", "r1"},
                                                        {"experiment", "e"},
                                                        {"snapshot", other},
                                                        {"definition", Json{{"script", "train.py"}}}});
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Errc::conflict);
    });
}

TEST_F(AppTest, AllFaultsOfASubmitComeAtOnceAndNothingIsStored) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        const Json definition{{"script", "trian.py"},
                              {"nodeCount", 3},
                              {"communicator", "IntelMpi"},
                              {"dataReferences", Json{{"d", Json{{"dataStoreName", "nowhere"}, {"mode", "mount"}}}}}};
        const auto refused = co_await admin_->call(
            "POST", "/api/v1/runs", Json{{"experiment", "e"}, {"snapshot", snapshot}, {"definition", definition}});
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Errc::invalid_argument);
        std::set<std::string> pointers;
        const Error error = refused.error(); // by value: Boost 1.81 returns no reference
        for (const Fault& fault : error.faults()) {
            pointers.insert(fault.pointer);
        }
        const std::set<std::string> expected{"/definition/script", "/definition/nodeCount",
                                             "/definition/dataReferences/d/dataStoreName"};
        EXPECT_EQ(pointers, expected);
        const Json runs = co_await get("/api/v1/runs");
        EXPECT_TRUE(runs.at("runs").empty());
    });
}

TEST_F(AppTest, AQueuedRunSaysWhatItWaitsForAndIsCanceledAtOnce) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await submit("r1");
        co_await submit("r2");
        const Json why = co_await get("/api/v1/runs/r2/explain");
        EXPECT_EQ(why.at("status"), "Queued");
        EXPECT_NE(why.at("reason").get<std::string>().find("r1"), std::string::npos) << why.dump();
        const Json canceled = co_await post("/api/v1/runs/r2/cancel", Json::object());
        EXPECT_EQ(canceled.at("status"), "Canceled");
    });
}

TEST_F(AppTest, AStaleFenceMayNotWrite) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await submit("r1");
        proto::FrameHeader header;
        header.path = "outputs/x";
        header.sha256 = sha256_hex("");
        const auto refused =
            co_await send_frames(*agent, "/api/v1/agent/runs/r1/files?fence=999", proto::print_frame_header(header));
        EXPECT_EQ(refused.status, 409) << refused.body;
    });
}

TEST_F(AppTest, ARestartGoesOnWithTheSameRuns) {
    std::string fence;
    with_coordinator([&]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await submit("r1");
        co_await submit("r2");
        const proto::SyncAnswer answer = co_await sync(*agent, picture("n1"));
        EXPECT_EQ(answer.runs.size(), 1U);
        fence = std::to_string(answer.runs.at(0).fence);
    });

    with_coordinator([&]() -> asio::awaitable<void> {
        const Json first = co_await get("/api/v1/runs/r1");
        EXPECT_EQ(first.at("status"), "Provisioning");
        const Json second = co_await get("/api/v1/runs/r2");
        EXPECT_EQ(second.at("status"), "Queued");
        const Json nodes = co_await get("/api/v1/nodes");
        EXPECT_EQ(nodes.at("nodes").at(0).at("runs"), Json::array({"r1"}));
    });
}

TEST_F(AppTest, FollowingEndsWhenTheRunEnds) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await submit("r1");
        co_await submit("r2");
        co_await post("/api/v1/runs/r2/cancel", Json::object());
        client::EventReader reader;
        std::vector<std::string> names;
        HttpClient::Request request;
        request.target = "/api/v1/runs/r2/follow";
        const auto answer =
            co_await admin_->download(request, [&](std::string_view piece) -> asio::awaitable<Result<void>> {
                for (const client::Event& event : reader.feed(piece)) {
                    names.push_back(event.name);
                }
                co_return Result<void>{};
            });
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
        const std::vector<std::string> expected{"status", "end"};
        EXPECT_EQ(names, expected);
    });
}

} // namespace
} // namespace linarite::test
