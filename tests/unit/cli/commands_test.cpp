#include "cli/commands.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace linarite::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// A command line as main() runs it, with no coordinator in its data directory.
class CommandLineTest : public testing::Test {
protected:
    CommandLineTest() {
        options_.version = "1.2.3";
        app_.name("linarite");
        add_client_commands(app_, options_, chosen_);
        folder_.write("proj/train.py", "print(1)\n");
    }

    int run(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"--data-dir", (folder_.path() / "data").string()});
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const int code = parse_and_run(app_, options_, std::move(arguments), chosen_);
        out_ = testing::internal::GetCapturedStdout();
        err_ = testing::internal::GetCapturedStderr();
        return code;
    }

    TempFolder folder_;
    GlobalOptions options_;
    CLI::App app_{"test"};
    std::function<int()> chosen_;
    std::string out_;
    std::string err_;
};

TEST_F(CommandLineTest, WithoutACoordinatorACommandSaysHowToStartOne) {
    for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
             {"runs"}, {"env"}, {"run", "true"}, {"init", (folder_.path() / "proj").string()}, {"workspace", "list"}}) {
        EXPECT_EQ(run(command), 3) << command.front();
        EXPECT_THAT(err_, HasSubstr("linarite up")) << command.front();
        EXPECT_EQ(out_, "");
    }
}

TEST_F(CommandLineTest, VersionNeedsNoCoordinator) {
    EXPECT_EQ(run({"version"}), 0);
    EXPECT_THAT(out_, HasSubstr("linarite 1.2.3\n"));
}

TEST_F(CommandLineTest, JsonIsOneDocument) {
    EXPECT_EQ(run({"version", "-o", "json"}), 0);
    const auto document = nlohmann::json::parse(out_, nullptr, false);
    EXPECT_EQ(document["version"], "1.2.3");
    EXPECT_TRUE(document["coordinator"].is_null());
}

TEST_F(CommandLineTest, GlobalOptionsStandBeforeOrBehindTheCommand) {
    EXPECT_EQ(run({"version", "--data-dir", "/x", "--no-color"}), 0);
    EXPECT_EQ(options_.data_dir, "/x");
    EXPECT_TRUE(options_.no_color);
}

TEST_F(CommandLineTest, WhatIsNotUnderstoodIsBadUsage) {
    EXPECT_EQ(run({"frobnicate"}), 2);
    EXPECT_EQ(run({"runs", "--nope"}), 2);
    EXPECT_THAT(err_, AllOf(HasSubstr("--nope"), HasSubstr("linarite runs --help")));
    EXPECT_EQ(run({}), 2);
    EXPECT_EQ(run({"runs", "-o", "xml"}), 2);
    EXPECT_EQ(run({"run"}), 2);
    EXPECT_EQ(run({"run", "--nope", "x"}), 2);
    EXPECT_EQ(run({"workspace", "create"}), 2);
    EXPECT_EQ(run({"runs", "--", "x"}), 2);
    EXPECT_EQ(run({"logs", "r1", "-f", "-o", "json"}), 2);
    EXPECT_EQ(run({"datastore"}), 2);
}

/// What a command line that is given again leaves to its options must not count: each has an app of its own.
class EnvironmentLineTest : public CommandLineTest {
protected:
    int anew(std::vector<std::string> arguments) {
        GlobalOptions options;
        CLI::App app{"test"};
        std::function<int()> chosen;
        add_client_commands(app, options, chosen);
        arguments.insert(arguments.begin(), {"--data-dir", (folder_.path() / "data").string()});
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const int code = parse_and_run(app, options, std::move(arguments), chosen);
        out_ = testing::internal::GetCapturedStdout();
        err_ = testing::internal::GetCapturedStderr();
        return code;
    }
};

TEST_F(EnvironmentLineTest, EnvironmentsAreListedAndPrunedWithoutACoordinator) {
    EXPECT_EQ(anew({"env", "list"}), 0);
    EXPECT_THAT(err_, HasSubstr("no environments are kept here"));
    const std::string key(64, 'a');
    for (const std::string cache : {"data/envs", "data/agent-big/envs"}) {
        folder_.write((std::filesystem::path(cache) / key / ".linarite-ready.json").string(),
                      R"({"provider": "pip", "python": "3.11.2", "requirements": ["a", "b", "c", "d"]})");
    }

    EXPECT_EQ(anew({"env", "list"}), 0);
    EXPECT_THAT(out_, AllOf(HasSubstr("agent-big/envs"), HasSubstr("data/envs"), HasSubstr("aaaaaaaaaaaa  pip"),
                            HasSubstr("a, b, c, +1")));
    EXPECT_EQ(anew({"env", "list", "--wide", "--env-dir", (folder_.path() / "data/envs").string()}), 0);
    EXPECT_THAT(out_, AllOf(HasSubstr(key), HasSubstr("a, b, c, d"), testing::Not(HasSubstr("agent-big"))));
    EXPECT_EQ(anew({"env", "list", "-o", "json"}), 0);
    EXPECT_EQ(nlohmann::json::parse(out_)["folders"].size(), 2U);

    EXPECT_EQ(anew({"env", "prune", "--all", "--dry-run"}), 0);
    EXPECT_THAT(out_, HasSubstr("would remove"));
    EXPECT_EQ(anew({"env", "prune", "--older-than", "1d"}), 0);
    EXPECT_THAT(out_, HasSubstr("nothing is to be removed"));
    EXPECT_EQ(anew({"env", "prune", "--all", "-o", "json"}), 0);
    EXPECT_EQ(nlohmann::json::parse(out_)["folders"][0]["removals"][0]["fate"], "removed");
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "data/envs" / key));

    for (const std::vector<std::string>& bad :
         std::vector<std::vector<std::string>>{{"env", "prune", "--older-than", "30"},
                                               {"env", "prune", "--older-than", "-1d"},
                                               {"env", "prune", "--max-size", "much"},
                                               {"env", "prune", "--max-size", "0"},
                                               {"env", "drop"}}) {
        EXPECT_EQ(anew(bad), 2) << bad.back();
    }
}

TEST_F(CommandLineTest, EachCommandHelpsWithAnExample) {
    for (const char* name : {"submit", "runs", "show", "explain", "cancel", "logs", "download", "datastore", "nodes",
                             "workspace", "init", "run", "env", "backup", "version"}) {
        EXPECT_EQ(run({name, "--help"}), 0);
        EXPECT_THAT(out_, AllOf(HasSubstr("Example"), HasSubstr(std::string("linarite ") + name))) << name;
    }
    EXPECT_EQ(run({"--help"}), 0);
    EXPECT_THAT(out_, AllOf(HasSubstr("Exit codes"), HasSubstr("Runs:"), HasSubstr("Cluster:")));
}

class SubmitLineTest : public CommandLineTest {
protected:
    // Faults of the definition are found after the connection; so a url that nobody answers is given.
    int submit(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"submit", "--url", "http://127.0.0.1:1"});
        ::setenv("LINARITE_TOKEN", "t", 1);
        const int code = run(std::move(arguments));
        ::unsetenv("LINARITE_TOKEN");
        return code;
    }
    [[nodiscard]] std::string project() const { return (folder_.path() / "proj").string(); }
};

TEST_F(SubmitLineTest, AMissingScriptIsSaidBeforeAnythingIsSent) {
    EXPECT_EQ(submit({project(), "--", "tran.py"}), 2);
    EXPECT_THAT(err_, AllOf(HasSubstr("/script (SCRIPT)"), HasSubstr("there are: train.py")));
}

TEST_F(SubmitLineTest, TheScriptMayStandWithoutDashesAndTakesWhatFollows) {
    EXPECT_EQ(submit({project(), "tran.py", "--nodes", "[1,2]", "--help"}), 2);
    EXPECT_THAT(err_, HasSubstr("'tran.py' is not in"));
    EXPECT_EQ(submit({project(), "train.py", "--nodes", "0"}), 3) << "--nodes is the script's here: " << err_;
}

TEST_F(SubmitLineTest, AnOptionThatIsNotKnownIsNotTakenForAScript) {
    EXPECT_EQ(submit({project(), "--nods", "2", "train.py"}), 2);
    EXPECT_THAT(err_, HasSubstr("--nods"));
}

TEST_F(SubmitLineTest, RepeatedOptionsTakeOneValueEach) {
    EXPECT_EQ(submit({project(), "--pip", "numpy", "--pip", "scipy", "train.py"}), 3);
    EXPECT_THAT(err_, HasSubstr("127.0.0.1:1"));
}

TEST_F(SubmitLineTest, FlagsThatCannotBeReadAreNamed) {
    EXPECT_EQ(submit({project(), "--env", "A", "--", "train.py"}), 2);
    EXPECT_THAT(err_, HasSubstr("(--env)"));
}

TEST_F(SubmitLineTest, FaultsOfTheDefinitionAreNamedWithTheirFlags) {
    EXPECT_EQ(submit({project(), "--nodes", "0", "--", "train.py"}), 2);
    EXPECT_THAT(err_, HasSubstr("/nodeCount (--nodes)"));
}

TEST_F(SubmitLineTest, WaitingForADryRunIsBadUsage) {
    EXPECT_EQ(submit({project(), "--dry-run", "--wait", "--", "train.py"}), 2);
}

} // namespace
} // namespace linarite::cli
