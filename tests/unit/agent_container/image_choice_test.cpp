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
    const auto choice = choose_image(asks_for("registry/mine:1"), rules);

    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->image, "registry/mine:1");
    EXPECT_THAT(choice->reason, HasSubstr("registry/mine:1"));
}

TEST(ImageChoice, AzuresOwnImagesAreTheNodeItselfUnlessTheyAreMapped) {
    for (const std::string image : {"mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20250101", "pytorch:1.4-cpu"}) {
        const auto choice = choose_image(asks_for(image), rules);
        ASSERT_TRUE(choice);
        EXPECT_EQ(choice->image, "") << image;
        EXPECT_THAT(choice->reason, HasSubstr(image));
    }
    EXPECT_EQ(choose_image(asks_for("mcr.example/azureml/deep/openmpi:1"), rules)->image, "local/base:1");
    EXPECT_EQ(choose_image(asks_for(""), rules)->reason, "");
}

TEST(ImageChoice, TheFirstRuleThatMatchesCounts) {
    EXPECT_EQ(choose_image(asks_for("teams/private/x"), rules)->image, "");
    EXPECT_EQ(choose_image(asks_for("teams/x"), rules)->image, "b:2");
    EXPECT_THAT(choose_image(asks_for("teams/x"), rules)->reason, HasSubstr("is mapped by"));
}

TEST(ImageChoice, WithDockerSwitchedOffItIsTheNodeItself) {
    auto container = asks_for("registry/mine:1");
    container.use_docker = false;

    EXPECT_EQ(choose_image(container, rules)->image, "");
    EXPECT_THAT(choose_image(container, rules)->reason, HasSubstr("switched off"));
}

TEST(ImageChoice, ADockerfileIsRefusedInWords) {
    auto container = asks_for("");
    container.base_dockerfile = "FROM scratch";

    const auto refused = choose_image(container, {});

    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(), HasSubstr("dockerfile"));
}

TEST(ImageChoice, RulesAreReadFromTheCommandLine) {
    EXPECT_EQ(*parse_image_rule("a/*=b:1"), (ImageRule{"a/*", "b:1"}));
    EXPECT_EQ(*parse_image_rule("a=none"), (ImageRule{"a", ""}));
    EXPECT_EQ(*parse_image_rule("a="), (ImageRule{"a", ""}));
    EXPECT_FALSE(parse_image_rule("a"));
    EXPECT_FALSE(parse_image_rule("=b"));
}

} // namespace
} // namespace linarite::agent
