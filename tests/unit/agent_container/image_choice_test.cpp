#include "agent/container/dockerfile.hpp"
#include "agent/container/image_choice.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::HasSubstr;

const std::vector<ImageRule> rules{{"mcr.example/azureml/*", "local/base:1"}, {"*/private/*", ""}, {"team*", "b:2"}};

proto::ContainerSettings asks_for(const std::string& image) {
    proto::ContainerSettings container;
    container.use_docker = true;
    container.base_image = image;
    return container;
}

TEST(ImageChoice, WithoutARuleAnImageIsWhatItSays) {
    const auto choice = choose_image(asks_for("registry/mine:1"), rules, {});

    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->image, "registry/mine:1");
    EXPECT_THAT(choice->reason, HasSubstr("registry/mine:1"));
}

TEST(ImageChoice, AzuresOwnImagesAreTheNodeItselfUnlessTheyAreMapped) {
    for (const std::string image : {"mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20250101", "pytorch:1.4-cpu"}) {
        const auto choice = choose_image(asks_for(image), rules, {});
        ASSERT_TRUE(choice);
        EXPECT_EQ(choice->image, "") << image;
        EXPECT_THAT(choice->reason, HasSubstr(image));
    }
    EXPECT_EQ(choose_image(asks_for("mcr.example/azureml/deep/openmpi:1"), rules, {})->image, "local/base:1");
    EXPECT_EQ(choose_image(asks_for(""), rules, {})->reason, "");
}

TEST(ImageChoice, AzuresMpiImagesAreTheStandInWhereTheNodeHasIt) {
    const StandIn here{"", true};
    const StandIn missing{"", false};
    const StandIn no_engine{"no container engine is on this node", false};
    for (const std::string image :
         {"mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04", "azureml/openmpi4.1.0-cuda11.1-cudnn8-ubuntu20.04:3",
          "mcr.microsoft.com/azureml/intelmpi2018.3-ubuntu16.04:20210714.v1"}) {
        const auto container = asks_for(image);
        ASSERT_TRUE(wants_stand_in(container, rules)) << image;

        EXPECT_EQ(choose_image(container, rules, here)->image, stand_in_image);
        EXPECT_THAT(choose_image(container, rules, here)->reason, HasSubstr("is replaced by 'linarite/openmpi:1'"));
        EXPECT_EQ(choose_image(container, rules, missing)->image, "");
        EXPECT_THAT(choose_image(container, rules, missing)->reason, HasSubstr("(deploy/images/build makes it)"));
        EXPECT_EQ(choose_image(container, rules, no_engine)->image, "");
        EXPECT_THAT(choose_image(container, rules, no_engine)->reason, HasSubstr("since no container engine is on"));
    }
}

TEST(ImageChoice, NothingElseIsAskedForTheStandIn) {
    auto off = asks_for("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04");
    off.use_docker = false;

    EXPECT_FALSE(wants_stand_in(off, rules));
    EXPECT_FALSE(wants_stand_in(asks_for("mcr.example/azureml/openmpi4.1.0-ubuntu22.04"), rules)) << "mapped";
    for (const std::string image : {"", "pytorch:1.4-cpu", "mcr.microsoft.com/azureml/minimal-ubuntu22.04", "mine:1",
                                    "mcr.microsoft.com/other/openmpi4.1.0-ubuntu22.04"}) {
        EXPECT_FALSE(wants_stand_in(asks_for(image), rules)) << image;
        EXPECT_NE(choose_image(asks_for(image), rules, {"", true})->image, stand_in_image) << image;
    }
}

TEST(ImageChoice, AnImageHasItsRegistrysAddressBeforeItsName) {
    auto container = asks_for("team/x:1");
    container.registry_address = "reg.example:5000";

    EXPECT_EQ(choose_image(container, {}, {})->image, "reg.example:5000/team/x:1");
    EXPECT_EQ(choose_image(container, {{"reg.example:5000/*", "a:1"}}, {})->image, "a:1");
    EXPECT_EQ(choose_image(container, {{"team/*", "b:1"}}, {})->image, "b:1");
}

TEST(ImageChoice, TheFirstRuleThatMatchesCounts) {
    EXPECT_EQ(choose_image(asks_for("teams/private/x"), rules, {})->image, "");
    EXPECT_EQ(choose_image(asks_for("teams/x"), rules, {})->image, "b:2");
    EXPECT_THAT(choose_image(asks_for("teams/x"), rules, {})->reason, HasSubstr("is mapped by"));
}

TEST(ImageChoice, WithDockerSwitchedOffItIsTheNodeItself) {
    auto container = asks_for("registry/mine:1");
    container.use_docker = false;

    EXPECT_EQ(choose_image(container, rules, {})->image, "");
    EXPECT_THAT(choose_image(container, rules, {})->reason, HasSubstr("switched off"));
}

proto::ContainerSettings builds(const std::string& dockerfile) {
    auto container = asks_for("");
    container.base_dockerfile = dockerfile;
    return container;
}

TEST(ImageChoice, ADockerfileIsBuiltUnderTheNameOfItsContent) {
    const auto choice = choose_image(builds("FROM debian:12\nRUN true\n"), rules, {});
    const auto other = choose_image(builds("FROM debian:12\nRUN false\n"), rules, {});

    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->dockerfile, "FROM debian:12\nRUN true\n");
    EXPECT_EQ(choice->image, image_of_dockerfile(choice->dockerfile));
    EXPECT_NE(choice->image, other->image);
    EXPECT_EQ(choice->reason, "container: an image that is built of the run's dockerfile");
}

TEST(ImageChoice, WhatADockerfileBuildsOnIsMappedToo) {
    const std::string azures = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04";
    const auto container = builds("FROM team/x:1 AS first\nFROM " + azures + "\nCOPY --from=first /a /a\n");
    ASSERT_TRUE(wants_stand_in(container, rules));

    const auto choice = choose_image(container, rules, {"", true});
    const auto without = choose_image(container, {}, {"", false});

    ASSERT_TRUE(choice && without);
    EXPECT_EQ(choice->dockerfile, "FROM b:2 AS first\nFROM linarite/openmpi:1\nCOPY --from=first /a /a\n");
    EXPECT_EQ(choice->image, image_of_dockerfile(choice->dockerfile));
    EXPECT_THAT(choice->reason, HasSubstr("on 'b:2' in the place of 'team/x:1' (team*, by this node's operator)"));
    EXPECT_THAT(choice->reason, HasSubstr("on 'linarite/openmpi:1' in the place of '" + azures + "'"));
    EXPECT_EQ(without->dockerfile, container.base_dockerfile) << "the engine may be able to fetch them";
}

TEST(ImageChoice, ADockerfileNeedsImagesAndMayBeMappedAsAWhole) {
    const auto container = builds("FROM my/private/x\n");
    const std::string name = image_of_dockerfile(container.base_dockerfile);

    const auto refused = choose_image(container, rules, {});

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(),
                HasSubstr("'my/private/x', which this node's operator maps (*/private/*) to"));
    EXPECT_THAT(refused.error().detail(), HasSubstr("map '" + name + "' itself"));
    EXPECT_EQ(choose_image(container, {{"linarite/dockerfile:*", ""}}, {})->image, "");
    EXPECT_EQ(choose_image(container, {{"*", "rootfs:/srv/r"}}, {})->dockerfile, "") << "the whole is mapped";
    EXPECT_FALSE(choose_image(container, {{"my/*", "rootfs:/srv/r"}}, {}));
}

TEST(ImageChoice, ADockerfileWithOtherFilesMakesAnotherImage) {
    const auto container = builds("FROM debian:12\n");

    const auto choice = choose_image(container, {}, {}, "hash");

    EXPECT_EQ(choice->image, image_of_dockerfile(container.base_dockerfile, "hash"));
    EXPECT_NE(choice->image, image_of_dockerfile(container.base_dockerfile, "other"));
    EXPECT_EQ(choice->reason, "container: an image that is built of the run's build context");
    EXPECT_EQ(choose_image(container, {{choice->image, "ours:1"}}, {}, "hash")->image, "ours:1");
}

TEST(ImageChoice, RulesAreReadFromTheCommandLine) {
    EXPECT_EQ(*parse_image_rule("a/*=b:1"), (ImageRule{"a/*", "b:1"}));
    EXPECT_EQ(*parse_image_rule("a=none"), (ImageRule{"a", ""}));
    EXPECT_EQ(*parse_image_rule("a="), (ImageRule{"a", ""}));
    EXPECT_EQ(*parse_image_rule("a/*=rootfs:/srv/root"), (ImageRule{"a/*", "rootfs:/srv/root"}));
    EXPECT_FALSE(parse_image_rule("a=rootfs:srv/root"));
    EXPECT_FALSE(parse_image_rule("a"));
    EXPECT_FALSE(parse_image_rule("=b"));
}

} // namespace
} // namespace linarite::agent
