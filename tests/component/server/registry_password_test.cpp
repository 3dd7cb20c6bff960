// The password of the registry that a run's image comes from: the run's own nodes get it, and nobody else.
#include "app_fixture.hpp"
#include "common/files.hpp"

#include <gmock/gmock.h>

#include <filesystem>

namespace linarite::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* password = "open-sesame-4711";

class RegistryPasswordTest : public AppTest {
protected:
    static Json definition() {
        const Json registry{{"address", "reg.example:5000"}, {"username", "anna"}, {"password", password}};
        return Json{{"script", "train.py"},
                    {"environment",
                     {{"docker", {{"enabled", true}, {"baseImage", "team/x:1"}, {"baseImageRegistry", registry}}}}}};
    }
    asio::awaitable<Json> submit_with_password(std::string id) {
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        co_return co_await post(
            "/api/v1/runs",
            Json{{"run_id", id}, {"experiment", "e"}, {"snapshot", snapshot}, {"definition", definition()}});
    }
    /// Submits a run that no node takes yet.
    asio::awaitable<void> leave_waiting(std::string id) {
        const auto drained = co_await ready_node("n0");
        co_await must(200, "POST", "/api/v1/nodes/n0/drain");
        co_await submit_with_password(std::move(id));
    }
    /// The login that a new node is told, which gets the run that waits.
    asio::awaitable<proto::RegistryLogin> told(std::string node) {
        const auto agent = co_await join(node);
        co_await sync(*agent, picture(node));
        proto::SyncRequest request = picture(node);
        const proto::SyncAnswer answer = co_await sync(*agent, request);
        EXPECT_EQ(answer.runs.size(), 1U);
        co_return answer.runs.empty() ? proto::RegistryLogin{"nobody", "", ""} : answer.runs.front().registry;
    }
    /// The files below that hold the password.
    static std::vector<std::string> holders(const fs::path& folder) {
        std::vector<std::string> found;
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            const auto bytes = entry.is_regular_file() ? read_file(entry.path()) : Result<std::string>("");
            if (bytes && bytes->find(password) != std::string::npos) {
                found.push_back(entry.path().string());
            }
        }
        return found;
    }
    static proto::RunReport done(const proto::DesiredRun& run) {
        proto::RunReport report;
        report.run = run.run;
        report.fence = run.fence;
        report.phase = proto::Phase::done;
        report.ending = proto::Ending{};
        report.ending->started = true;
        return report;
    }
};

TEST_F(RegistryPasswordTest, OnlyTheRunsOwnNodesAreToldAndNothingIsKept) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        proto::SyncRequest request = picture("n1");
        co_await sync(*agent, request);
        const Json submitted = co_await submit_with_password("r1");
        EXPECT_THAT(submitted.dump(), Not(HasSubstr(password)));
        const auto other = co_await ready_node("n2");

        const proto::SyncAnswer mine = co_await sync(*agent, request);
        const proto::SyncAnswer theirs = co_await sync(*other, picture("n2"));

        EXPECT_EQ(mine.runs.size(), 1U);
        EXPECT_EQ(mine.runs.front().registry, (proto::RegistryLogin{"anna", password, "reg.example:5000"}));
        EXPECT_THAT(theirs.runs, IsEmpty());
        for (const char* target : {"/api/v1/runs/r1", "/api/v1/runs/r1/events", "/api/v1/runs"}) {
            const Response answer = co_await ask("GET", target);
            EXPECT_EQ(answer.status, 200) << target;
            EXPECT_THAT(answer.body, Not(HasSubstr(password))) << target;
        }
        EXPECT_THAT(holders(folder_.root()), IsEmpty()) << "while the run is under way";
        request.runs = {done(mine.runs.front())};
        co_await sync(*agent, request);
        EXPECT_EQ((co_await get("/api/v1/runs/r1")).at("status"), "Completed");
    });
    EXPECT_THAT(holders(folder_.root()), IsEmpty());
}

TEST_F(RegistryPasswordTest, ARestartedCoordinatorStillKnowsIt) {
    with_coordinator([this]() -> asio::awaitable<void> { co_await leave_waiting("r1"); });
    EXPECT_THAT(holders(folder_.root()), IsEmpty());

    with_coordinator([this]() -> asio::awaitable<void> {
        const proto::RegistryLogin login = co_await told("n1");
        EXPECT_EQ(login.password, password);
    });
}

TEST_F(RegistryPasswordTest, ARestoredBackupDoesNotKnowIt) {
    const fs::path copy = folder_ / "copy";
    with_coordinator([this, copy]() -> asio::awaitable<void> {
        co_await leave_waiting("r1");
        co_await post("/api/v1/backup", Json{{"directory", copy.string()}});
    });
    EXPECT_TRUE(fs::exists(folder_ / "sealing_key"));
    EXPECT_FALSE(fs::exists(copy / "sealing_key")) << "it opens what the copy of the history holds";
    fs::remove(folder_ / "sealing_key"); // as where a backup is restored

    with_coordinator([this]() -> asio::awaitable<void> {
        const proto::RegistryLogin login = co_await told("n1");
        EXPECT_EQ(login, proto::RegistryLogin());
    });
}

TEST_F(RegistryPasswordTest, ADryRunSaysThatAPasswordIsMissing) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1");
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        Json body{{"experiment", "e"}, {"snapshot", snapshot}, {"definition", definition()}};
        const Json complete = co_await post("/api/v1/runs?dry_run=true", body);
        EXPECT_THAT(complete.dump(), Not(HasSubstr(password)));
        EXPECT_THAT(complete.at("warnings").dump(), Not(HasSubstr("without a password")));

        body["definition"]["environment"]["docker"]["baseImageRegistry"]["password"] = nullptr;
        const Json lacking = co_await post("/api/v1/runs?dry_run=true", body);
        EXPECT_THAT(lacking.at("warnings").dump(), HasSubstr("user 'anna' comes without a password"));
    });
}

} // namespace
} // namespace linarite::test
