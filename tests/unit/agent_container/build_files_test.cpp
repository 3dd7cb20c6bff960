#include "agent/container/build_files.hpp"
#include "agent/container/dockerfile.hpp"
#include "list_tar.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class BuildFilesTest : public testing::Test {
protected:
    void SetUp() override {
        scratch_.write("context/docker/Dockerfile", "FROM debian:12\nCOPY data /data\n");
        scratch_.write("context/data/a", "first");
        scratch_.write("context/data/b", std::string(1'000'000, 'b'));
    }
    [[nodiscard]] Result<BuildFiles> read(const std::string& dockerfile = "docker/Dockerfile") const {
        return read_build_files(scratch_ / "context", dockerfile);
    }
    [[nodiscard]] std::string hash() const {
        const auto files = read();
        EXPECT_TRUE(files) << files.error().detail();
        return files->sha256;
    }
    test::Scratch scratch_;
};

TEST_F(BuildFilesTest, AreReadAndHashed) {
    const auto files = read();

    ASSERT_TRUE(files) << files.error().detail();
    EXPECT_EQ(files->text, "FROM debian:12\nCOPY data /data\n");
    const std::string before = files->sha256;
    EXPECT_EQ(hash(), before);
    scratch_.write("context/data/a", "other");
    const std::string changed = hash();
    EXPECT_NE(changed, before);
    fs::rename(scratch_ / "context/data/a", scratch_ / "context/data/c");
    EXPECT_NE(hash(), changed);
    EXPECT_NE(image_of_dockerfile(files->text, before), image_of_dockerfile(files->text, changed));
    EXPECT_NE(image_of_dockerfile(files->text, before), image_of_dockerfile(files->text));
}

TEST_F(BuildFilesTest, ArePackedWithAnotherTextOfTheirDockerfile) {
    const auto files = read();
    ASSERT_TRUE(files) << files.error().detail();

    ASSERT_TRUE(pack_build_files(*files, "FROM ours:3\n", scratch_ / "x.tar"));

    EXPECT_THAT(list_tar(scratch_ / "x.tar"),
                ElementsAre(Pair("data/a", "first"), Pair("data/b", std::string(1'000'000, 'b')),
                            Pair("docker/Dockerfile", "FROM ours:3\n")));
}

TEST_F(BuildFilesTest, ADockerfileAloneIsPackedToo) {
    ASSERT_TRUE(pack_dockerfile("FROM x\n", scratch_ / "x.tar"));

    EXPECT_THAT(list_tar(scratch_ / "x.tar"), ElementsAre(Pair("Dockerfile", "FROM x\n")));
    EXPECT_EQ(pack_dockerfile("FROM x\n", scratch_ / "nowhere/x.tar").error().code(), Errc::internal);
}

TEST_F(BuildFilesTest, WhatCannotBeBuiltFromIsSaid) {
    const Error none = read("Dockerfile").error();
    EXPECT_EQ(none.code(), Errc::not_found);
    EXPECT_THAT(none.detail(), HasSubstr("no 'Dockerfile'; it has data/a, data/b, docker/Dockerfile"));
    scratch_.write("context/Dockerfile", " \n");
    EXPECT_THAT(read("Dockerfile").error().detail(), HasSubstr("is empty"));
    fs::create_symlink("/etc/passwd", scratch_ / "context/data/link");
    EXPECT_THAT(read().error().detail(), HasSubstr("'data/link' in the build context can't be used: it is a"));
    EXPECT_EQ(read().error().code(), Errc::invalid_argument);
}

} // namespace
} // namespace linarite::agent
