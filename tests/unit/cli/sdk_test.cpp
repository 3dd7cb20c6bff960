#include "cli/commands.hpp"
#include "cli/init.hpp"
#include "cli/sdk_environment.hpp"
#include "fake_connection.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <sys/stat.h>

namespace linarite::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

const auto nothing = [](const char*) { return std::string(); };

client::SecureAddress coordinator(const std::string& url = "https://127.0.0.1:8443") {
    return {client::Address{url, "the-token", "OUR CA\n"}, true};
}

TEST(SdkEnvironmentTest, VariablesLeadToFilesThatNameTheCoordinator) {
    const TempFolder folder;
    const fs::path place = folder.path() / "with blank" / "sdk";

    const auto environment = prepare_sdk(coordinator(), place, nothing);

    ASSERT_TRUE(environment) << environment.error().detail();
    EXPECT_EQ(environment->set.at("AZUREML_SERVICE_PRINCIPAL_PASSWORD"), "the-token");
    EXPECT_EQ(environment->set.at("AZUREML_SERVICE_PRINCIPAL_TENANT_ID"), "adfs");
    EXPECT_THAT(environment->set.at("ARM_CLOUD_METADATA_URL"), HasSubstr("/with%20blank/sdk/cloud.json"));
    EXPECT_EQ(environment->set.at("REQUESTS_CA_BUNDLE"), (place / "ca-bundle.pem").string());
    EXPECT_EQ(environment->unset, std::vector<std::string>{"MSI_ENDPOINT"});
    EXPECT_FALSE(environment->set.contains("NO_PROXY"));
    const auto clouds = nlohmann::json::parse(folder.read("with blank/sdk/cloud.json"));
    EXPECT_EQ(clouds.at(0).at("resourceManager"), "https://127.0.0.1:8443");
    EXPECT_THAT(folder.read("with blank/sdk/ca-bundle.pem"), EndsWith("OUR CA\n"));
    EXPECT_FALSE(fs::exists(environment->set.at("AZURE_CONFIG_DIR"))) << "it would keep an old address for ever";
}

TEST(SdkEnvironmentTest, AProxyIsPassedByAndItsExceptionsAreKept) {
    const TempFolder folder;
    const auto inherited = [](const char* name) {
        const std::string asked = name;
        return asked == "https_proxy" ? "http://proxy:3128" : asked == "no_proxy" ? "intranet" : std::string();
    };

    const auto environment = prepare_sdk(coordinator(), folder.path(), inherited);

    ASSERT_TRUE(environment);
    EXPECT_EQ(environment->set.at("no_proxy"), "intranet,127.0.0.1");
    EXPECT_EQ(environment->set.at("NO_PROXY"), "intranet,127.0.0.1");
}

TEST(SdkEnvironmentTest, FilesOfAnotherCoordinatorAreInTheCache) {
    const TempFolder folder;
    ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);

    auto remote = coordinator("https://big.example:8443");
    remote.is_local = false;
    const auto there = sdk_folder(remote, "/data");
    ::unsetenv("XDG_CACHE_HOME");

    EXPECT_EQ(*there, folder.path() / "linarite" / "big.example_8443");
    EXPECT_EQ(*sdk_folder(coordinator(), "/data"), "/data/sdk");
}

TEST(SdkEnvironmentTest, ShellLinesSurviveWhateverIsInThem) {
    SdkEnvironment environment;
    environment.set = {{"A", "it's $HOME \"x\"\n`y`"}};
    environment.unset = {"B"};

    EXPECT_EQ(shell_lines(environment), "export A='it'\\''s $HOME \"x\"\n`y`'\nunset B\n");
}

class InitTest : public testing::Test {
protected:
    InitTest() {
        connection_.answers["GET /api/v1/workspaces"] = {
            Json{{"workspaces",
                  Json::array({row("linarite", "local", "s0"), row("mlws", "a", "s1"), row("mlws", "b", "s1")})}}};
        options_.folder = folder_.path().string();
    }
    static Json row(const std::string& name, const std::string& group, const std::string& subscription) {
        return Json{{"name", name}, {"resource_group", group}, {"subscription", subscription}};
    }
    Result<int> run() {
        CommandContext context{global_, connection_, Terminal()};
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        auto code = init(context, options_);
        out_ = testing::internal::GetCapturedStdout();
        testing::internal::GetCapturedStderr();
        return code;
    }
    [[nodiscard]] Json config() const { return Json::parse(folder_.read(".azureml/config.json")); }

    TempFolder folder_;
    GlobalOptions global_;
    FakeConnection connection_;
    InitOptions options_;
    std::string out_;
};

TEST_F(InitTest, TheFirstWorkspaceIsTheDefault) {
    ASSERT_TRUE(run());
    EXPECT_EQ(config(), (Json{{"subscription_id", "s0"}, {"resource_group", "local"}, {"workspace_name", "linarite"}}));
    EXPECT_THAT(out_, HasSubstr(".azureml/config.json\n"));
}

TEST_F(InitTest, OneOfSeveralIsNamedAsFarAsNeeded) {
    options_.workspace = "MLWS";
    const auto several = run();
    EXPECT_EQ(several.error().code(), Errc::invalid_argument);
    EXPECT_THAT(several.error().detail(), HasSubstr("s1/a/mlws, s1/b/mlws"));

    options_.group = "b";
    ASSERT_TRUE(run());
    EXPECT_EQ(config().at("resource_group"), "b");
}

TEST_F(InitTest, AnUnknownOneIsNotFound) {
    options_.workspace = "nope";
    const auto missing = run();
    EXPECT_EQ(missing.error().code(), Errc::not_found);
    EXPECT_THAT(missing.error().detail(), HasSubstr("linarite workspace create"));
    EXPECT_FALSE(fs::exists(folder_.path() / ".azureml"));
}

TEST_F(InitTest, AnotherWorkspacesFileIsReplacedByForceAlone) {
    const std::string theirs = R"({"subscription_id": "x", "resource_group": "y", "workspace_name": "z", "more": 1})";
    folder_.write(".azureml/config.json", theirs);

    EXPECT_EQ(run().error().code(), Errc::conflict);
    EXPECT_EQ(folder_.read(".azureml/config.json"), theirs);
    options_.force = true;
    ASSERT_TRUE(run());
    EXPECT_EQ(config().at("workspace_name"), "linarite");
}

TEST_F(InitTest, AFileThatSaysTheSameStaysAsItIs) {
    const std::string ours =
        R"({"subscription_id": "S0", "resource_group": "local", "workspace_name": "Linarite", "more": 1})";
    folder_.write(".azureml/config.json", ours);

    ASSERT_TRUE(run());
    EXPECT_EQ(folder_.read(".azureml/config.json"), ours);
}

} // namespace
} // namespace linarite::cli
