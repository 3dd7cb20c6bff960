#include "proto/container_arguments.hpp"

#include <gmock/gmock.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(ContainerArguments, WhatIsSafeIsTakenInEitherSpelling) {
    const auto taken = parse_container_arguments({"--shm-size", "512m", "--ipc=host", "-m", "8g", "--cpus=1.5",
                                                  "--ulimit", "memlock=-1", "--ulimit=nofile=10:20", "-e", "A=b=c"});

    ASSERT_TRUE(taken) << taken.error().detail();
    EXPECT_EQ(taken->shm_size, "512m");
    EXPECT_TRUE(taken->host_ipc);
    EXPECT_EQ(taken->memory_bytes, std::uint64_t{8} << 30U);
    EXPECT_EQ(taken->cpus, 1.5);
    EXPECT_THAT(taken->limits,
                ElementsAre(ContainerArguments::Limit{"memlock", -1, -1}, ContainerArguments::Limit{"nofile", 10, 20}));
    EXPECT_THAT(taken->variables, ElementsAre(Pair("A", "b=c")));
}

TEST(ContainerArguments, WhatReachesOutOfTheContainerIsRefusedByName) {
    using Words = std::vector<std::string>;
    for (const Words& words : {Words{"--privileged"}, Words{"-v", "/:/host"}, Words{"--pid=host"},
                               Words{"--cap-add=ALL"}, Words{"image"}, Words{""}}) {
        const auto refused = parse_container_arguments(words);
        ASSERT_FALSE(refused);
        EXPECT_THAT(refused.error().detail(), HasSubstr("is not let through"));
    }
}

TEST(ContainerArguments, ValuesThatMakeNoSenseAreRefused) {
    using Words = std::vector<std::string>;
    for (const Words& words : {Words{"--shm-size"}, Words{"--shm-size=big"}, Words{"--ipc=shareable"},
                               Words{"--memory=0"}, Words{"--cpus=-1"}, Words{"--cpus=x"}, Words{"--ulimit=nofile"},
                               Words{"--ulimit==1"}, Words{"-e", "A"}, Words{"--env==x"}}) {
        EXPECT_FALSE(parse_container_arguments(words)) << words.front();
    }
}

TEST(ContainerArguments, SizesAreReadAsTheEngineReadsThem) {
    EXPECT_EQ(parse_byte_size("0"), 0U);
    EXPECT_EQ(parse_byte_size("64b"), 64U);
    EXPECT_EQ(parse_byte_size("2G"), std::uint64_t{2} << 30U);
    for (const char* text : {"", "g", "2t", "-1", "1.5g", "99999999999999999999", "9999999999g"}) {
        EXPECT_FALSE(parse_byte_size(text)) << text;
    }
}

} // namespace
} // namespace linarite::proto
