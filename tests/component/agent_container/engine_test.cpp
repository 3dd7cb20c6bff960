#include "agent/container/container_supervisor.hpp"
#include "agent/container/engine.hpp"
#include "agent/container/images.hpp"
#include "fake_engine.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <sys/file.h>

namespace linarite::agent {
namespace {

using namespace std::chrono_literals;
using test::FakeEngine;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::StartsWith;

const FakeEngine::Answer version{
    200, R"({"ApiVersion":"1.41","Version":"20.10.24","Platform":{"Name":""}})", {}, false};

class EngineTest : public testing::Test {
protected:
    /// Answers what begins so, in the order given; everything else is not found.
    struct Rule {
        std::string start;
        FakeEngine::Answer answer;
    };
    std::shared_ptr<Engine> engine(std::vector<Rule> rules) {
        fake_ =
            std::make_unique<FakeEngine>((scratch_ / "e.sock").string(), [rules](const FakeEngine::Question& asked) {
                for (const Rule& rule : rules) {
                    if (asked.line.starts_with(rule.start)) {
                        return rule.answer;
                    }
                }
                return asked.line == "GET /version"
                           ? version
                           : FakeEngine::Answer{404, R"({"message":"no such thing"})", {}, false};
            });
        return std::make_shared<Engine>(io_.get_executor(), scratch_ / "e.sock");
    }

    asio::io_context io_;
    asio::thread_pool pool_{1};
    test::Scratch scratch_;
    std::unique_ptr<FakeEngine> fake_;
};

TEST_F(EngineTest, TheOlderOfBothVersionsIsSpoken) {
    const auto old = engine({{"GET /version", {200, R"({"ApiVersion":"1.39","Version":"18.9"})", {}, false}}});

    test::run(io_, old->inspect("x"));

    EXPECT_THAT(fake_->asked(), Contains(Field(&FakeEngine::Question::line, "GET /v1.39/containers/x/json")));
}

TEST_F(EngineTest, ErrorsAreTheEnginesOwnWords) {
    const auto found = engine({{"POST /v1.41/containers/x/start", {400, R"({"message":"bad mount"})", {}, false}},
                               {"POST /v1.41/containers/create", {409, R"({"message":"name taken"})", {}, false}}});

    const auto started = test::run(io_, found->start("x"));
    const auto made = test::run(io_, found->create("x", {}));

    EXPECT_EQ(started.error().code(), Errc::invalid_argument);
    EXPECT_EQ(started.error().detail(), "bad mount");
    EXPECT_EQ(made.error().code(), Errc::conflict);
    EXPECT_EQ(test::run(io_, found->find_image("y")).error().code(), Errc::not_found);
    EXPECT_TRUE(test::run(io_, found->remove("gone")));
}

TEST_F(EngineTest, NobodyAtTheSocketIsUnavailable) {
    Engine absent(io_.get_executor(), scratch_ / "nothing.sock");

    const auto asked = test::run(io_, absent.introduce());

    EXPECT_EQ(asked.error().code(), Errc::unavailable);
    EXPECT_THAT(asked.error().detail(), HasSubstr("nothing.sock"));
}

TEST_F(EngineTest, AnEngineThatIsSilentIsGivenUp) {
    engine({{"GET /slow", {200, "", {}, true}}});
    EngineRequest request;
    request.target = "/slow";
    request.timeout = 50ms;

    const auto asked = test::run(io_, ask_engine(io_.get_executor(), scratch_ / "e.sock", request, {}, {}));

    EXPECT_EQ(asked.error().code(), Errc::unavailable);
    EXPECT_THAT(asked.error().detail(), HasSubstr("did not answer within"));
}

TEST_F(EngineTest, ACallIsEndedWhenItIsCancelled) {
    engine({{"GET /slow", {200, "", {}, true}}});
    EngineRequest request;
    request.target = "/slow";
    CancelToken cancel;
    std::optional<Result<EngineAnswer>> asked;
    asio::co_spawn(io_, ask_engine(io_.get_executor(), scratch_ / "e.sock", request, {}, cancel),
                   [&](const std::exception_ptr&, Result<EngineAnswer> answer) { asked.emplace(std::move(answer)); });
    ASSERT_TRUE(test::run_until(io_, [&] { return !fake_->asked().empty(); }));

    cancel.cancel();

    ASSERT_TRUE(test::run_until(io_, [&] { return asked.has_value(); }));
    EXPECT_EQ(asked->error().code(), Errc::conflict);
}

TEST_F(EngineTest, AnImageThatIsHereIsNotAskedForAtItsRegistry) {
    const auto found =
        engine({{"GET /v1.41/images/team/x%3A1/json",
                 {200,
                  R"({"Id":"sha256:ab","RepoDigests":["r/x@sha256:cd"],"Config":{"Env":["PATH=/a:/b","X=1=2"]}})",
                  {},
                  false}}});

    const auto image = test::run(io_, found->find_image("team/x:1"));

    ASSERT_TRUE(image) << image.error().detail();
    EXPECT_EQ(image->id, "sha256:ab");
    EXPECT_EQ(image->variables.at("X"), "1=2");
    Image described;
    described.facts = *image;
    EXPECT_EQ(described.digest(), "sha256:cd");
}

TEST_F(EngineTest, APullThatFailsInTheMiddleIsNoSuccess) {
    const FakeEngine::Answer failing{
        200,
        "",
        {"{\"status\":\"Pulling\"}\n{\"sta", "tus\":\"x\"}\n", "{\"error\":\"denied: who are you\"}\n"},
        false};
    const auto found = engine({{"POST /v1.41/images/create", failing}});
    const RegistryLogin login{"anna", "\xfb\xff", "r:5000"};
    std::vector<std::string> said;

    const auto pulled = test::run(
        io_, found->pull("r:5000/team/x", login, [&](std::string line) { said.push_back(std::move(line)); }, {}));

    EXPECT_EQ(pulled.error().detail(), "denied: who are you");
    EXPECT_THAT(said, ElementsAre("Pulling", "x"));
    const auto asked = fake_->asked().back();
    EXPECT_EQ(asked.line, "POST /v1.41/images/create?fromImage=r%3A5000%2Fteam%2Fx&tag=latest"); // never all tags
    EXPECT_EQ(asked.login.find_first_of("+/"), std::string::npos);
}

TEST_F(EngineTest, AnImageThatCannotBeHadIsSaidSoByName) {
    const auto found = engine({{"POST /v1.41/images/create", {404, R"({"message":"manifest unknown"})", {}, false}}});
    Images images(found, pool_, {"0:0", {}, scratch_ / "scratch"});

    const auto image = test::run(io_, images.provide({"team/none:1"}, [](const std::string&) {}, {}));

    EXPECT_EQ(image.error().code(), Errc::invalid_argument);
    EXPECT_EQ(image.error().detail(), "ImagePullError: image 'team/none:1' can't be had: manifest unknown");
}

TEST_F(EngineTest, OursAreFoundByTheirLabel) {
    const auto found =
        engine({{"GET /v1.41/containers/json?all=1&filters=",
                 {200, R"([{"Id":"a","Labels":{"linarite.run":"r1"}},{"Id":"b","Labels":null}])", {}, false}}});

    const auto list = test::run(io_, found->list("linarite.agent", "me"));

    ASSERT_TRUE(list) << list.error().detail();
    ASSERT_EQ(list->size(), 2U);
    EXPECT_EQ((*list)[0].labels.at("linarite.run"), "r1");
}

// ---- how a container's end is told without its supervisor's word ---------------------------------------------------

class LostContainerTest : public EngineTest {
protected:
    /// Something was launched in the folder, and nothing is left but what the engine knows.
    Result<ExitFact> end(const std::string& state) {
        scratch_.write("state/supervisor.json", "{}");
        const auto found =
            engine({{"GET /v1.41/containers/c/json", {200, R"({"Id":"1","State":)" + state + "}", {}, false}},
                    {"GET /v1.41/containers/c/logs", {200, "", {std::string("\2\0\0\0\0\0\0\4oops", 12)}, false}},
                    {"DELETE /v1.41/containers/c", {204, "", {}, false}}});
        auto attached = ContainerSupervisor::attach(io_.get_executor(), found, "c", scratch_ / "state");
        EXPECT_TRUE(attached);
        EXPECT_FALSE((*attached)->lives());
        return test::run(io_, (*attached)->wait());
    }
};

TEST_F(LostContainerTest, MemoryIsTheReasonIfTheEngineSaysSo) {
    const auto fact = end(R"({"Running":false,"ExitCode":137,"OOMKilled":true})");

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_TRUE(fact->started && fact->out_of_memory);
    EXPECT_EQ(fact->signal, SIGKILL);
}

TEST_F(LostContainerTest, ASupervisorThatComplainedIsQuoted) {
    const auto fact = end(R"({"Running":false,"ExitCode":2,"OOMKilled":false})");

    ASSERT_FALSE(fact);
    EXPECT_THAT(fact.error().detail(), HasSubstr("oops"));
}

TEST_F(LostContainerTest, WhatWasNeverStartedIsCalledOff) {
    fs::create_directories(scratch_ / "state");
    const auto found = engine({});

    const auto attached = ContainerSupervisor::attach(io_.get_executor(), found, "c", scratch_ / "state");

    ASSERT_FALSE(attached);
    EXPECT_EQ(attached.error().code(), Errc::not_found);
    EXPECT_TRUE(fs::exists(scratch_ / "state/void"));
}

TEST_F(LostContainerTest, AStopThatNobodyOfOursAskedForIsAnEndFromOutside) {
    scratch_.write("state/exit.json", R"({"started":true,"exit_code":0,"signal":15,"stopped":true})");
    const auto found = engine({});
    auto attached = ContainerSupervisor::attach(io_.get_executor(), found, "c", scratch_ / "state");
    ASSERT_TRUE(attached);

    const auto fact = test::run(io_, (*attached)->wait());

    ASSERT_FALSE(fact);
    EXPECT_THAT(fact.error().detail(), HasSubstr("from outside"));
}

TEST_F(LostContainerTest, AStopThatWasAskedForIsAnOrdinaryEnd) {
    scratch_.write("state/exit.json", R"({"started":true,"exit_code":0,"signal":15,"stopped":true})");
    const auto found = engine({});
    auto attached = ContainerSupervisor::attach(io_.get_executor(), found, "c", scratch_ / "state");
    ASSERT_TRUE(attached && (*attached)->stop(Millis(0)));

    const auto fact = test::run(io_, (*attached)->wait());

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_TRUE(fact->stopped);
}

TEST(EngineSocket, OnlyAUnixSocketWillDo) {
    ::setenv("DOCKER_HOST", "tcp://10.0.0.1:2375", 1);
    const auto refused = find_engine_socket();
    ::setenv("DOCKER_HOST", "unix:///there/docker.sock", 1);
    const auto taken = find_engine_socket();
    ::unsetenv("DOCKER_HOST");

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(), StartsWith("DOCKER_HOST is 'tcp://10.0.0.1:2375'"));
    EXPECT_EQ(*taken, "/there/docker.sock");
}

TEST(EngineSocket, PodmansOfTheUserIsFoundByItself) {
    const test::Scratch scratch;
    fs::create_directories(scratch / "podman");
    const fs::path socket = scratch / "podman/podman.sock";
    asio::io_context io;
    const asio::local::stream_protocol::acceptor there(io, asio::local::stream_protocol::endpoint(socket.string()));
    ::unsetenv("DOCKER_HOST");
    ::setenv("XDG_RUNTIME_DIR", scratch.root().c_str(), 1);

    const auto found = find_engine_socket();
    ::unsetenv("XDG_RUNTIME_DIR");

    ASSERT_TRUE(found) << found.error().detail();
    const bool machine_has_one = fs::exists("/var/run/docker.sock") || fs::exists("/run/podman/podman.sock");
    EXPECT_TRUE(*found == socket || machine_has_one) << *found;
}

TEST_F(EngineTest, PodmanIsKnownByItsComponents) {
    const auto found = engine(
        {{"GET /version",
          {200, R"({"ApiVersion":"1.41","Version":"4.3.1","Components":[{"Name":"Podman Engine"}]})", {}, false}}});

    const auto name = test::run(io_, found->introduce());

    EXPECT_THAT(*name, StartsWith("Podman 4.3.1 at "));
    EXPECT_TRUE(found->is_podman());
}

/// An engine of some product, what it says about itself, and what it is then told about the user 1000.
struct Mode {
    std::string name;
    std::string component;
    FakeEngine::Answer info;
    std::string user;
    std::string name_space;
    std::string introduction;
};

class EngineModeTest : public EngineTest, public testing::WithParamInterface<Mode> {};

TEST_P(EngineModeTest, TheUserOfAContainerIsTheSameOutside) {
    const Mode& mode = GetParam();
    const std::string said =
        R"({"ApiVersion":"1.41","Version":"4","Components":[{"Name":")" + mode.component + R"("}]})";
    const auto found = engine({{"GET /version", {200, said, {}, false}},
                               {"GET /v1.41/info", mode.info},
                               {"POST /v1.41/containers/create", {201, R"({"Id":"1"})", {}, false}}});
    ContainerSpec spec;
    spec.user = "1000:1000";

    const auto made = test::run(io_, found->create("x", spec));

    ASSERT_TRUE(made) << made.error().detail();
    const auto body = nlohmann::json::parse(fake_->asked().back().body);
    EXPECT_EQ(body.at("User"), mode.user);
    EXPECT_EQ(body.at("HostConfig").value("UsernsMode", ""), mode.name_space);
    EXPECT_THAT(*test::run(io_, found->introduce()), StartsWith(mode.introduction));
    EXPECT_EQ(found->parts_networks(), mode.introduction == "Docker Engine 4 (rootless) at ");
}

INSTANTIATE_TEST_SUITE_P(
    Engines, EngineModeTest,
    testing::Values(
        Mode{"Docker",
             "Engine",
             {200, R"({"SecurityOptions":["name=seccomp"]})", {}, false},
             "1000:1000",
             "",
             "Docker Engine 4 at "},
        Mode{"DockerRootless",
             "Engine",
             {200, R"({"SecurityOptions":["name=rootless"]})", {}, false},
             "0:0",
             "",
             "Docker Engine 4 (rootless) at "},
        Mode{"Podman", "Podman Engine", {200, R"({"Rootless":false})", {}, false}, "1000:1000", "", "Podman 4 at "},
        Mode{"PodmanRootless",
             "Podman Engine",
             {200, R"({"Rootless":true})", {}, false},
             "1000:1000",
             "keep-id",
             "Podman 4 (rootless) at "},
        Mode{"ThatKeepsItToItself", "Engine", {403, "no", {}, false}, "1000:1000", "", "Docker Engine 4 at "}),
    [](const auto& each) { return each.param.name; });

} // namespace
} // namespace linarite::agent
