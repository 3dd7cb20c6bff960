#include "server/service/blob_links.hpp"
#include "support/scratch.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace linarite::service {
namespace {

using namespace std::chrono_literals;

TEST(BlobLinksTest, AFileOfARunGoesThroughAPathOfHarmlessCharacters) {
    const ArtifactBlob blob{RunId("exp_1_abc"), "outputs/50% größer+1 & \xE2\x82\xAC.txt"};
    const std::string start = std::string("/") + artifact_container + "/";

    const std::string path = artifact_blob_path(blob, "0123");

    ASSERT_TRUE(path.starts_with(start)) << path;
    EXPECT_TRUE(std::all_of(path.begin(), path.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_';
    })) << path;
    const auto back = parse_artifact_blob(path.substr(start.size()));
    ASSERT_TRUE(back) << back.error().detail();
    EXPECT_EQ(*back, blob);
    EXPECT_NE(artifact_blob_path(blob, "1"), artifact_blob_path(blob, "2"));
}

TEST(BlobLinksTest, RefusesNamesThatLeaveTheRunsFolder) {
    const std::string start = std::string("/") + artifact_container + "/";
    for (const ArtifactBlob& blob : {ArtifactBlob{RunId("r"), "../x"}, ArtifactBlob{RunId("r"), "/etc/passwd"},
                                     ArtifactBlob{RunId(".."), "x"}, ArtifactBlob{RunId("r"), ""}}) {
        EXPECT_FALSE(parse_artifact_blob(artifact_blob_path(blob).substr(start.size()))) << blob.path;
    }
    for (const char* name : {"", "x", "!!!!/0", "eA/0"}) {
        EXPECT_FALSE(parse_artifact_blob(name)) << name;
    }
}

TEST(BlobLinksTest, AnArchiveIsNoUpload) {
    const SnapshotId id(std::string(64, 'a'));
    const std::string start = std::string("/") + snapshot_container + "/";
    EXPECT_EQ(parse_zip_blob(zip_blob_path(id).substr(start.size())), id);
    EXPECT_TRUE(parse_zip_blob(std::string(32, 'a')).empty());
    EXPECT_TRUE(parse_zip_blob("zip-../../token").empty());
}

TEST(BlobLinksTest, AContainersSignatureIsForItsNamesItsRightsAndItsTime) {
    const test::Scratch scratch;
    const auto tokens = Tokens::open(scratch / "key");
    ASSERT_TRUE(tokens);
    const Time now = from_ms(1'800'000'000'000);
    const BlobNames names{"acct", "c"};
    const std::string sas = container_sas(*tokens, names, now + 1h, "rl");
    const std::string signature = sas.substr(sas.find("&sig=") + 5);
    ASSERT_TRUE(sas.starts_with("sv=linarite-1&sr=c&sp=rl&se=1800003600&sig=")) << sas;

    EXPECT_TRUE(check_container_sas(*tokens, names, "rl", now + 1h, signature, now));
    EXPECT_FALSE(check_container_sas(*tokens, names, "rwl", now + 1h, signature, now));
    EXPECT_FALSE(check_container_sas(*tokens, names, "rl", now + 2h, signature, now));
    EXPECT_FALSE(check_container_sas(*tokens, names, "rl", now + 1h, signature, now + 1h));
    EXPECT_FALSE(check_container_sas(*tokens, {"acct", "d"}, "rl", now + 1h, signature, now));
    EXPECT_FALSE(check_container_sas(*tokens, {"other", "c"}, "rl", now + 1h, signature, now));
    EXPECT_FALSE(tokens->check_link(LinkRight::write, "/c/x", now + 1h, signature, now));
}

} // namespace
} // namespace linarite::service
