#include "proto/agent_protocol.hpp"
#include "proto/registry.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

std::string with_registry(const std::string& image, const std::string& members) {
    return R"({"script":"a.py","environment":{"docker":{"enabled":true,"baseImage":")" + image +
           R"(","baseImageRegistry":{)" + members + "}}}}";
}

ContainerSettings container(const std::string& image, const std::string& members) {
    return definition(with_registry(image, members)).container;
}

TEST(Registry, TheRegistryIsTheFirstPartThatLooksLikeAHost) {
    EXPECT_EQ(registry_of("127.0.0.1:5000/orch/base:1"), "127.0.0.1:5000");
    EXPECT_EQ(registry_of("localhost/x"), "localhost");
    EXPECT_EQ(registry_of("team/x:1"), "");
    EXPECT_EQ(registry_of("debian:12"), "");
    EXPECT_EQ(registry_of("docker.io/team/x"), "");
}

TEST(Registry, AnAddressGoesBeforeNamesThatHaveNone) {
    EXPECT_EQ(full_image_name(container("team/x:1", R"("address":"reg.example:5000")")), "reg.example:5000/team/x:1");
    EXPECT_EQ(full_image_name(container("x", R"("address":"https://reg.example/v2/")")), "reg.example/x");
    EXPECT_EQ(full_image_name(container("x", R"("address":"reg.example/group/")")), "reg.example/group/x");
    EXPECT_EQ(full_image_name(container("other.example/x:1", R"("address":"reg.example")")), "other.example/x:1");
    EXPECT_EQ(full_image_name(container("docker.io/x:1", R"("address":"reg.example")")), "docker.io/x:1");
    EXPECT_EQ(full_image_name(container("team/x:1", "")), "team/x:1");
}

TEST(Registry, ALoginIsForTheAddressOrElseForTheImagesOwnRegistry) {
    EXPECT_EQ(login_server(container("x", R"("address":"reg.example:5000","username":"u")")), "reg.example:5000");
    EXPECT_EQ(login_server(container("o.example/x", R"("address":"reg.example/a","username":"u")")), "reg.example");
    EXPECT_EQ(login_server(container("o.example/x", R"("username":"u")")), "o.example");
    EXPECT_EQ(login_server(container("x", R"("username":"u")")), "");
    EXPECT_EQ(login_server(container("x", R"("address":"https://index.docker.io/v1/","username":"u")")), "");
}

TEST(Registry, ADefinitionNeverSaysThePassword) {
    const Json document =
        Json::parse(with_registry("x:1", R"("address":"reg.example","username":"anna","password":"pass:word")"));

    EXPECT_EQ(registry_password(document), "pass:word");
    EXPECT_THAT(without_registry_password(document).dump(), Not(HasSubstr("pass:word")));
    const auto parsed = parse_run_definition(document);
    ASSERT_TRUE(parsed);
    const Json printed = print_run_definition(*parsed);
    EXPECT_THAT(printed.dump(), Not(HasSubstr("pass:word")));
    EXPECT_EQ(*parse_run_definition(printed), *parsed);
    EXPECT_EQ(registry_password(printed), "");
    EXPECT_EQ(registry_password(Json::array()), "");
}

TEST(Registry, WhatOpensNoRegistryIsRefused) {
    const auto lonely = parse_run_definition(Json::parse(with_registry("x", R"("password":"p")")));
    const auto managed = parse_run_definition(
        Json::parse(with_registry("x", R"("address":"r.example","registryIdentity":{"resourceId":"/a/b"})")));

    ASSERT_FALSE(lonely);
    EXPECT_THAT(lonely.error().faults(),
                Contains(Field(&Fault::pointer, "/environment/docker/baseImageRegistry/username")));
    ASSERT_FALSE(managed);
    EXPECT_THAT(managed.error().faults(), Contains(Field(&Fault::message, HasSubstr("username and password"))));
}

TEST(Registry, AnAgentIsToldTheLoginWithTheRestOfTheRun) {
    DesiredRun run;
    run.run = RunId("r1");
    run.registry = {"anna", "pass:word", "reg.example:5000"};
    SyncAnswer answer;
    answer.runs = {run};

    const auto read = parse_sync_answer(Json::parse(print_json(print(answer))));

    ASSERT_TRUE(read) << read.error().detail();
    EXPECT_EQ(read->runs.front().registry, run.registry);
    answer.runs.front().brief = true;
    EXPECT_THAT(print(answer).dump(), Not(HasSubstr("pass:word")));
}

} // namespace
} // namespace linarite::proto
