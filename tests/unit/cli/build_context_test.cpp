#include "cli/build_context.hpp"
#include "client/http_client.hpp"
#include "fake_connection.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class BuildContextTest : public testing::Test {
protected:
    void SetUp() override {
        folder_.write("Dockerfile", "FROM x\nCOPY tools /tools\n");
        folder_.write("tools/a", "one");
    }
    [[nodiscard]] LocalContext read() const {
        const auto context = read_context(folder_.path(), "Dockerfile");
        EXPECT_TRUE(context) << context.error().detail();
        return *context;
    }
    TempFolder folder_;
};

TEST_F(BuildContextTest, IsNamedByItsContent) {
    const LocalContext first = read();
    EXPECT_THAT(first.location(), StartsWith("workspaceartifactstore/DockerBuildContext/"));
    EXPECT_EQ(read().location(), first.location());
    std::vector<std::string> names;
    for (const LocalFile& file : first.files) {
        names.push_back(file.name.substr(first.path.size()));
    }
    EXPECT_THAT(names, ElementsAre("/Dockerfile", "/tools/a"));
    folder_.write("tools/a", "two");
    EXPECT_NE(read().location(), first.location());
}

TEST_F(BuildContextTest, WhatHasNoDockerfileIsRefused) {
    EXPECT_THAT(read_context(folder_.path(), "tools/Dockerfile").error().detail(),
                HasSubstr("has no file 'tools/Dockerfile'"));
    EXPECT_THAT(read_context(folder_.path() / "Dockerfile", "Dockerfile").error().detail(),
                HasSubstr("is not a folder"));
}

TEST_F(BuildContextTest, OnlyWhatIsNotThereIsSent) {
    const LocalContext context = read();
    const std::string files = "/api/v1/datastores/workspaceartifactstore/files";
    const std::string list = "GET " + files + "?prefix=" + client::encode_part(context.path + "/");
    FakeConnection connection;
    connection.answers["PUT " + files + "/" + context.path + "/tools/a"].push_back(Json::object());
    connection.answers["PUT " + files + "/" + context.path + "/Dockerfile"].push_back(Json::object());
    const Json dockerfile{{"path", context.path + "/Dockerfile"}, {"size", 25}};
    connection.answers[list].push_back(Json{{"files", Json::array({dockerfile})}});

    const auto sent = send_context(connection, context, Terminal());

    ASSERT_TRUE(sent) << sent.error().detail();
    EXPECT_EQ(connection.uploaded, "one");
    EXPECT_THAT(connection.asked, ElementsAre(list, HasSubstr("/tools/a")));
}

} // namespace
} // namespace linarite::cli
