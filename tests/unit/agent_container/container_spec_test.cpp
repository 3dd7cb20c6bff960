#include "agent/container/container_spec.hpp"
#include "agent/container/output_frames.hpp"
#include "agent/container/pull_progress.hpp"
#include "agent/container/registry_login.hpp"
#include "common/hash.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using Json = nlohmann::json;

TEST(ContainerSpec, SaysWhatTheEngineIsToMake) {
    ContainerSpec spec;
    spec.image = "sha256:1";
    spec.argv = {"/opt/shim", "supervise", "/w/job.json"};
    spec.variables = {{"A", "b c"}};
    spec.user = "1000:1000";
    spec.labels = {{"linarite.run", "r1"}};
    spec.mounts = {{"/w", false}, {"/a:b", true}};
    spec.shm_bytes = 1 << 28;
    spec.memory_bytes = 1 << 30;
    spec.nano_cpus = 500'000'000;
    spec.limits = {{"memlock", -1, -1}};

    const Json document = print(spec);

    EXPECT_EQ(document["Entrypoint"], Json({"/opt/shim", "supervise", "/w/job.json"}));
    EXPECT_EQ(document["Env"], Json({"A=b c"}));
    const Json& host = document["HostConfig"];
    EXPECT_EQ(host["NetworkMode"], "host");
    EXPECT_EQ(host["Init"], true);
    EXPECT_EQ(host["IpcMode"], "private");
    EXPECT_EQ(host["Memory"], host["MemorySwap"]);
    EXPECT_EQ(host["Mounts"][0]["Source"], "/a:b"); // a colon is nothing special
    EXPECT_EQ(host["Mounts"][0]["ReadOnly"], true);
    EXPECT_EQ(host["Ulimits"][0]["Soft"], -1);
    EXPECT_FALSE(host.contains("DeviceRequests"));
}

TEST(ContainerSpec, TheHostsIpcHasNoSizeOfItsOwn) {
    ContainerSpec spec;
    spec.host_ipc = true;
    spec.shm_bytes = 1 << 28;
    spec.gpus = true;

    const Json host = print(spec)["HostConfig"];

    EXPECT_EQ(host["IpcMode"], "host");
    EXPECT_FALSE(host.contains("ShmSize"));
    EXPECT_EQ(host["DeviceRequests"][0]["Capabilities"], Json::array({Json::array({"gpu"})}));
}

TEST(ContainerSpec, AViewIsSaidAsEachEngineTakesIt) {
    ContainerSpec spec;
    spec.views = {{"/envs/e1", "/runs/r/changes"}};

    const Json docker = print(spec)["HostConfig"];
    const Json podman = print(spec, true)["HostConfig"];

    ASSERT_EQ(docker["Mounts"].size(), 1U);
    EXPECT_EQ(docker["Mounts"][0]["Type"], "volume");
    EXPECT_EQ(docker["Mounts"][0]["Target"], "/envs/e1");
    EXPECT_EQ(docker["Mounts"][0]["VolumeOptions"]["DriverConfig"]["Options"]["o"],
              "lowerdir=/envs/e1,upperdir=/runs/r/changes/upper,workdir=/runs/r/changes/work");
    EXPECT_EQ(podman["Binds"],
              Json::array({"/envs/e1:/envs/e1:O,upperdir=/runs/r/changes/upper,workdir=/runs/r/changes/work"}));
    EXPECT_TRUE(podman["Mounts"].empty());
}

TEST(ContainerSpec, AViewThatCannotBeSaidIsAReadOnlyMount) {
    for (const fs::path path : {"/a,b", "/a:b"}) {
        ContainerSpec spec;
        spec.views = {{path, "/runs/r/changes"}};
        for (const bool podman : {false, true}) {
            const Json host = print(spec, podman)["HostConfig"];
            EXPECT_FALSE(host.contains("Binds"));
            ASSERT_EQ(host["Mounts"].size(), 1U);
            EXPECT_EQ(host["Mounts"][0]["Type"], "bind");
            EXPECT_EQ(host["Mounts"][0]["ReadOnly"], true);
        }
    }
}

TEST(ContainerSpec, MountsThatOthersGiveAreLeftOut) {
    EXPECT_THAT(tidy_mounts({{"/w/wd", false}, {"/w", false}, {"/w", true}, {"/data", true}, {"/w/data", true}}),
                ElementsAre(BindMount{"/data", true}, BindMount{"/w", false}, BindMount{"/w/data", true}));
    EXPECT_THAT(tidy_mounts({{"/wider", true}, {"/w", true}}),
                ElementsAre(BindMount{"/w", true}, BindMount{"/wider", true}));
}

TEST(OutputFrames, FramesAreCutIntoLinesWhereverTheyEnd) {
    const std::string stream = std::string("\1\0\0\0\0\0\0\3one", 11) + std::string("\2\0\0\0\0\0\0\6-1\ntwo", 14) +
                               std::string("\1\0\0\0\0\0\0\1\n", 9) + std::string("\1\0\0\0\0\0\0\4last", 12);
    for (std::size_t step = 1; step < stream.size(); ++step) {
        std::vector<std::string> lines;
        OutputFrames frames([&](std::string line) { lines.push_back(std::move(line)); });
        for (std::size_t at = 0; at < stream.size(); at += step) {
            frames.feed(std::string_view(stream).substr(at, step));
        }
        frames.finish();
        EXPECT_THAT(lines, ElementsAre("one-1", "two", "last")) << step;
    }
}

TEST(PullProgress, StepsAreLinesAndBytesAreSummedUp) {
    std::vector<std::string> lines;
    std::chrono::steady_clock::time_point now;
    PullProgress progress([&](std::string line) { lines.push_back(std::move(line)); }, [&] { return now; });

    progress.feed("{\"status\":\"Pulling from team/x\",\"id\":\"1\"}\r\n{\"status\":\"Downloading\",\"id\":\"ab\",");
    progress.feed("\"progressDetail\":{\"current\":2000000,\"total\":9000000}}\n");
    progress.feed(R"({"status":"Downloading","id":"cd","progressDetail":{"current":1000000,"total":1000000}})"
                  "\n");
    now += std::chrono::seconds(6);
    progress.feed(R"({"status":"Downloading","id":"cd","progressDetail":{"current":1000000,"total":1000000}})"
                  "\n");
    progress.feed(R"({"status":"Download complete","progressDetail":{},"id":"cd"})"
                  "\n");

    EXPECT_THAT(lines, ElementsAre("1: Pulling from team/x", "downloading: 2 of 9 MB so far",
                                   "downloading: 3 of 10 MB so far", "cd: Download complete"));
    EXPECT_FALSE(progress.error());
}

TEST(PullProgress, WhatABuildPrintsIsCutIntoLines) {
    std::vector<std::string> lines;
    PullProgress progress([&](std::string line) { lines.push_back(std::move(line)); }, std::chrono::steady_clock::now);

    progress.feed(R"({"stream":"Step 1/2 : FROM a\n"})"
                  "\n"
                  R"({"stream":" ---\u003e Running in 12\n"}
{"stream":"half"}
{"stream":" a line\r\n\n"}
{"stream":"\u001b[91mto stderr\u001b[0m\n"}
{"aux":{"ID":"sha256:12"}}
)");

    EXPECT_THAT(lines, ElementsAre("Step 1/2 : FROM a", " ---> Running in 12", "half a line", "to stderr"));
}

TEST(PullProgress, AnErrorComesInTheMiddleOfASuccess) {
    PullProgress progress([](const std::string&) {}, std::chrono::steady_clock::now);

    progress.feed(R"({"errorDetail":{"message":"no space"},"error":"no space left on device"})"
                  "\n");

    EXPECT_EQ(progress.error(), "no space left on device");
}

TEST(RegistryLogin, WhatDockerLoginLeftIsUsedForItsRegistryAlone) {
    const test::Scratch scratch;
    scratch.write("config.json",
                  R"({"auths":{"reg.example:5000":{"auth":")" + base64_encode("anna:pass:word") + R"("}}})");
    ::setenv("DOCKER_CONFIG", scratch.root().c_str(), 1);

    const auto login = find_login("reg.example:5000/team/x:1");
    const auto other = find_login("other.example/x");
    ::unsetenv("DOCKER_CONFIG");

    EXPECT_EQ(login.username, "anna");
    EXPECT_EQ(login.password, "pass:word");
    EXPECT_EQ(login.server, "reg.example:5000");
    EXPECT_EQ(other.username, "");
}

} // namespace
} // namespace linarite::agent
