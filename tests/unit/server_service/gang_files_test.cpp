#include "server/service/gang_files.hpp"

#include <gmock/gmock.h>

namespace linarite::service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(GangFilesTest, ANameBelongsToTheFirstThatWritesIt) {
    GangFiles files;
    EXPECT_EQ(files.artifact_of("outputs/a", 1), "outputs/a");

    files.put("outputs/a", 1, "x", 1, false);

    EXPECT_FALSE(files.is_contested("outputs/a", 1));
    EXPECT_TRUE(files.is_contested("outputs/a", 0));
    EXPECT_TRUE(files.is_contested("outputs/a", 2));
}

TEST(GangFilesTest, TheSameBytesAreOneFile) {
    GangFiles files;
    files.put("outputs/a", 0, "x", 1, false);
    EXPECT_TRUE(files.others_have("outputs/a", 1, "x"));
    EXPECT_FALSE(files.others_have("outputs/a", 1, "y"));
    EXPECT_FALSE(files.others_have("outputs/a", 1, "")) << "what is not closed yet is not the same yet";

    files.put("outputs/a", 1, "x", 1, false);

    EXPECT_EQ(files.find("outputs/a", 1)->stored, "outputs/a");
    EXPECT_FALSE(files.others_have("outputs/a", 0, "z")) << "and it is the other one's, too";
}

TEST(GangFilesTest, AHigherNodeGetsANameForItself) {
    GangFiles files;
    files.put("outputs/m.pkl", 0, "x", 1, false);

    const auto parting = files.part("outputs/m.pkl", 2);

    EXPECT_EQ(parting.from, "");
    EXPECT_EQ(parting.kept, "outputs/m.node2.pkl");
    EXPECT_EQ(parting.loser, 2);
    EXPECT_EQ(files.artifact_of("outputs/m.pkl", 2), "outputs/m.node2.pkl");
    EXPECT_FALSE(files.is_contested("outputs/m.pkl", 2));
    EXPECT_FALSE(files.is_contested("outputs/m.pkl", 0));
}

TEST(GangFilesTest, ALowerNodeTakesTheNameOver) {
    GangFiles files;
    files.put("logs/t", 1, "x", 1, true);
    files.put("logs/t", 2, "x", 1, true);

    const auto parting = files.part("logs/t", 0);

    EXPECT_EQ(parting.from, "logs/t");
    EXPECT_EQ(parting.to, "logs/t.node1");
    EXPECT_THAT(parting.moved, ElementsAre(1, 2));
    EXPECT_EQ(files.artifact_of("logs/t", 0), "logs/t");
    EXPECT_EQ(files.artifact_of("logs/t", 2), "logs/t.node1") << "they had the same bytes";
    EXPECT_EQ(files.find("logs/t", 1)->sha256, "x");
    EXPECT_TRUE(files.find("logs/t", 1)->executable);

    const auto again = files.part("logs/t", 2);
    EXPECT_THAT(again.moved, IsEmpty());
    EXPECT_EQ(files.artifact_of("logs/t", 2), "logs/t.node2");
}

TEST(GangFilesTest, ANameThatIsTakenIsNotGiven) {
    GangFiles files;
    files.put("outputs/m.node1.pkl", 0, "own", 1, false);
    files.put("outputs/m.pkl", 0, "x", 1, false);
    files.part("outputs/m.pkl", 1);
    EXPECT_EQ(files.artifact_of("outputs/m.pkl", 1), "outputs/m.node1.node1.pkl");

    files.put("outputs/n", 0, "x", 1, false);
    files.part("outputs/n", 1);
    EXPECT_EQ(files.artifact_of("outputs/n.node1", 0), "outputs/n.node0.node1")
        << "nor is one that was given taken again";
}

TEST(GangFilesTest, WhatWasStoredIsKnownAgain) {
    store::GangFileRow row{RunId("r"), "outputs/m", 1, "outputs/m.node1", "x", 1, false, 7};
    const GangFiles files({row});

    EXPECT_EQ(files.artifact_of("outputs/m", 1), "outputs/m.node1");
    EXPECT_EQ(files.artifact_of("outputs/m", 0), "outputs/m");
    EXPECT_EQ(files.artifact_of("outputs/m.node1", 0), "outputs/m.node0.node1");
}

TEST(GangFilesTest, TheNodeStandsBeforeTheSuffix) {
    EXPECT_EQ(name_for_node("outputs/a.b/model.tar.gz", 3), "outputs/a.b/model.tar.node3.gz");
    EXPECT_EQ(name_for_node("outputs/a.b/model", 3), "outputs/a.b/model.node3");
    EXPECT_EQ(name_for_node("outputs/.hidden", 3), "outputs/.hidden.node3");
}

} // namespace
} // namespace linarite::service
