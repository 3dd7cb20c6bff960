// What an engine is told when a run is started in a container.
#include "agent/container/containers.hpp"
#include "fake_engine.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace linarite::agent {
namespace {

using test::FakeEngine;
using Json = nlohmann::json;

class ContainersTest : public testing::Test {
protected:
    void SetUp() override {
        const std::string socket = (scratch_ / "e.sock").string();
        fake_ = std::make_unique<FakeEngine>(socket, [this](const FakeEngine::Question& asked) {
            if (asked.line == "GET /version") {
                return FakeEngine::Answer{200, R"({"ApiVersion":"1.41","Version":"20.10"})", {}, false};
            }
            if (asked.line.starts_with("POST /v1.41/containers/create")) {
                made_ = Json::parse(asked.body).at("Labels");
                mounts_ = Json::parse(asked.body).at("HostConfig").at("Mounts");
            }
            if (asked.line.ends_with("/start") && mounts_.dump().find("overlay") != std::string::npos) {
                return FakeEngine::Answer{500, R"({"message":"no overlay on this file system"})", {}, false};
            }
            if (asked.line.starts_with("GET /v1.41/containers/json")) {
                const Json list{{{"Id", "new"}, {"Labels", made_}},
                                {{"Id", "old"}, {"Labels", Json{{"linarite.agent", "me"}, {"linarite.process", "x"}}}},
                                {{"Id", "run"}, {"Labels", Json{{"linarite.agent", "me"}, {"linarite.run", "r1"}}}},
                                {{"Id", "gone"}, {"Labels", Json{{"linarite.agent", "me"}, {"linarite.run", "r2"}}}}};
                return FakeEngine::Answer{200, list.dump(), {}, false};
            }
            return FakeEngine::Answer{200, R"({"Id":"1"})", {}, false};
        });
        ::setenv("DOCKER_HOST", ("unix://" + socket).c_str(), 1);
        fs::create_directories(scratch_ / "state");
    }
    void TearDown() override { ::unsetenv("DOCKER_HOST"); }

    /// The body of the only order to make a container.
    Json order(ContainerPolicy policy, bool gpus, std::vector<std::string> arguments = {}) {
        Containers containers(io_.get_executor(), pool_, std::move(policy));
        ContainerOrder wanted;
        wanted.run = RunId("r1");
        wanted.fence = 7;
        wanted.image.facts.id = "sha256:ab";
        wanted.settings.arguments = std::move(arguments);
        wanted.mounts = {{scratch_ / "state", false}};
        wanted.shim = "/opt/linarite-shim";
        wanted.job_file = scratch_ / "job.json";
        wanted.facts_dir = scratch_ / "state";
        wanted.gpus = gpus;
        wanted.views = views_;
        const auto started = test::run(io_, containers.start(std::move(wanted)));
        EXPECT_TRUE(started) << (started ? "" : started.error().detail());
        const auto asked = fake_->asked();
        const auto made = std::ranges::find_if(asked, [](const auto& each) {
            return each.line.starts_with("POST /v1.41/containers/create?name=linarite-7-");
        });
        return made == asked.end() ? Json() : Json::parse(made->body);
    }

    asio::io_context io_;
    asio::thread_pool pool_{1};
    test::Scratch scratch_;
    std::vector<View> views_;
    Json made_;   // labels of the last container that was made
    Json mounts_; // and what it sees
    std::unique_ptr<FakeEngine> fake_;
};

TEST_F(ContainersTest, GpusAreAskedForIfTheRunHasSome) {
    const Json host = order({}, true).at("HostConfig");

    const Json all{{"Driver", ""}, {"Count", -1}, {"Capabilities", Json::array({Json::array({"gpu"})})}};
    EXPECT_EQ(host.at("DeviceRequests"), Json::array({all}));
}

TEST_F(ContainersTest, WithoutGpusNoneAreAskedFor) {
    EXPECT_FALSE(order({}, false).at("HostConfig").contains("DeviceRequests"));
}

TEST_F(ContainersTest, TheTighterOfTheOperatorsAndTheRunsLimitsCounts) {
    ContainerPolicy policy;
    policy.memory_bytes = std::uint64_t{1} << 30U;
    policy.cpus = 4;

    const Json host = order(policy, false, {"--memory", "2g", "--cpus", "1.5", "--shm-size", "1g"}).at("HostConfig");

    EXPECT_EQ(host.at("Memory"), std::uint64_t{1} << 30U);
    EXPECT_EQ(host.at("MemorySwap"), std::uint64_t{1} << 30U);
    EXPECT_EQ(host.at("NanoCpus"), 1'500'000'000);
    EXPECT_EQ(host.at("ShmSize"), std::uint64_t{1} << 30U);
}

TEST_F(ContainersTest, AContainerIsTheRunsAndItsUserTheAgents) {
    ContainerPolicy policy;
    policy.owner = "me";

    const Json body = order(policy, false);

    EXPECT_EQ(body.at("User"), own_user());
    EXPECT_EQ(body.at("Image"), "sha256:ab");
    EXPECT_EQ(body.at("Labels"), (Json{{"linarite.agent", "me"}, {"linarite.run", "r1"}, {"linarite.fence", "7"}}));
    EXPECT_TRUE(Containers::holds(scratch_ / "state"));
}

TEST_F(ContainersTest, AViewThatTheEngineCannotMountIsReadOnlyInstead) {
    views_ = {{"/envs/e1", scratch_ / "changes"}};

    const Json first = order({}, false); // that the run is started is checked there

    const bool tried = first.at("HostConfig").at("Mounts").dump().find("overlay") != std::string::npos;
    EXPECT_EQ(tried, ::geteuid() == 0);
    const Json mount{{"Type", "bind"}, {"Source", "/envs/e1"}, {"Target", "/envs/e1"}, {"ReadOnly", true}};
    EXPECT_NE(std::ranges::find(mounts_, mount), mounts_.end()) << mounts_.dump();
}

TEST_F(ContainersTest, WhatFormerProcessesLeftIsRemovedAndNothingOfThisOne) {
    ContainerPolicy policy;
    policy.owner = "me";
    Containers containers(io_.get_executor(), pool_, policy);
    test::run(io_, containers.provide({"team/x:1"}, [](const std::string&) {}, {})); // looks into it

    const auto sweep = [&]() -> asio::awaitable<bool> {
        co_await containers.sweep([](const RunId& run) { return run.str() == "r1"; });
        co_return true;
    };
    test::run(io_, sweep());

    std::vector<std::string> removed;
    for (const auto& asked : fake_->asked()) {
        if (asked.line.starts_with("DELETE ") && asked.line.find("linarite-look") == std::string::npos) {
            removed.push_back(asked.line);
        }
    }
    EXPECT_THAT(removed, testing::ElementsAre("DELETE /v1.41/containers/old?force=1&v=1",
                                              "DELETE /v1.41/containers/gone?force=1&v=1"));
}

} // namespace
} // namespace linarite::agent
