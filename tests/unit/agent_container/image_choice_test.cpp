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

TEST(ImageChoice, ADockerfileIsRefusedInWords) {
    auto container = asks_for("");
    container.base_dockerfile = "FROM scratch";

    const auto refused = choose_image(container, {}, {});

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(), HasSubstr("dockerfile"));
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
