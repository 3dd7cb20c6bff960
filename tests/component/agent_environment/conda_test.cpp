// Conda environments with rattler's real solver and installer, from a channel of files.
#include "agent/environment/cache.hpp"
#include "environment_programs.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Lines = std::vector<std::string>;

class CondaTest : public testing::Test {
protected:
    // The channel is the same for all tests: packing a Python takes seconds.
    static void SetUpTestSuite() {
        shared().emplace();
        const std::string command = std::string(LINARITE_SOURCE_DIR) +
                                    "/tests/support/make_conda_channel --python /usr/bin/python3 " + channel();
        ASSERT_EQ(std::system(command.c_str()), 0); // NOLINT(concurrency-mt-unsafe, cert-env33-c)
    }
    static void TearDownTestSuite() { shared().reset(); }
    static std::string channel() { return (shared()->root() / "channel").string(); }
    static std::optional<test::Scratch>& shared() {
        static std::optional<test::Scratch> scratch;
        return scratch;
    }

    CondaTest() {
        settings.environments = scratch.root() / "envs";
        settings.tools = fs::path(LINARITE_BIN_DIR).parent_path() / "test-tools"; // rattler is installed once
        settings.conda = "rattler";
        python.channels = {"file://" + channel()};
    }

    Result<PreparedEnvironment> prepare() {
        log.clear();
        EnvironmentCache cache(io.get_executor(), pool, settings);
        LogSink sink = [this](std::string line) { log.push_back(std::move(line)); };
        return test::run(io, cache.prepare(python, {}, sink, CancelToken()), std::chrono::seconds(180));
    }

    Lines run(const PreparedEnvironment& environment, Lines arguments) {
        return run_in(io, environment, std::move(arguments));
    }

    test::Scratch scratch;
    asio::io_context io;
    asio::thread_pool pool{1};
    EnvironmentSettings settings;
    proto::PythonEnvironment python;
    Lines log;
};

TEST_F(CondaTest, MakesAnEnvironmentWithAPythonOfItsOwn) {
    python.conda_packages = {"lin-greet", "lin-native"};

    const auto built = prepare();

    ASSERT_TRUE(built) << built.error().detail() << testing::PrintToString(log);
    EXPECT_THAT(built->lock, HasSubstr("lin-hello 1.1 py_0 sha256:"));
    EXPECT_THAT(log, Contains(HasSubstr("] making a conda environment with rattler")));
    EXPECT_THAT(log, Contains(" + lin-greet 1.0 py_0"));
    const std::string prefix = built->variables.at("CONDA_PREFIX");
    EXPECT_THAT(run(*built, {built->python.string(), "-c",
                             "import lin_greet, ssl, sqlite3, sys; print(lin_greet.greeting, sys.prefix)"}),
                Contains("greetings, 1.1 " + prefix));
    EXPECT_THAT(run(*built, {prefix + "/bin/lin-native"}), Contains("lin-native of " + prefix));
    EXPECT_THAT(run(*built, {prefix + "/bin/lin-hello"}), Contains("lin-hello 1.1 " + prefix));

    python.conda_packages = {" Lin-Native", "lin-greet"};
    const auto again = prepare();
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->reused);
    EXPECT_EQ(again->lock, built->lock);
}

TEST_F(CondaTest, PackagesOfTheIndexGoOnTop) {
    python.conda_packages = {"lin-hello=1.0"};
    python.pip_packages = {"six"};

    const auto built = prepare();

    ASSERT_TRUE(built) << built.error().detail() << testing::PrintToString(log);
    EXPECT_THAT(built->lock, HasSubstr("lin-hello 1.0 "));
    EXPECT_THAT(built->lock, HasSubstr("# from the package index:\nsix=="));
    EXPECT_THAT(built->lock, Not(HasSubstr("lin-hello==")));
    EXPECT_THAT(run(*built, {built->python.string(), "-c", "import lin_hello, six; print(lin_hello.__version__)"}),
                Contains("1.0"));
}

TEST_F(CondaTest, WhatActivationScriptsSetComesWithTheEnvironment) {
    python.conda_packages = {"lin-active"};

    const auto built = prepare();
    const auto again = prepare();

    ASSERT_TRUE(built && again) << (built ? again : built).error().detail();
    const std::string prefix = built->variables.at("CONDA_PREFIX");
    EXPECT_THAT(built->variables, testing::Contains(testing::Pair("LIN_HOME", prefix + "/share/lin")));
    EXPECT_EQ(again->variables, built->variables);
    EXPECT_FALSE(built->variables.contains("HOME")); // the node's own are none of the environment's
}

TEST_F(CondaTest, AnUnsatisfiableRequestFailsInTheSolversWords) {
    python.conda_packages = {"lin-clash"};

    const auto built = prepare();

    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().code(), Errc::invalid_argument);
    EXPECT_THAT(built.error().detail(), HasSubstr("lin-hello >=2, which cannot be installed"));
    for (const auto& entry : fs::directory_iterator(settings.environments)) {
        EXPECT_TRUE(entry.path().extension() == ".lock" || entry.path().filename() == ".conda-pkgs")
            << entry.path() << " is left of a build that failed";
    }
}

TEST_F(CondaTest, WhatTheMachineLacksIsNamed) {
    python.conda_packages = {"lin-needs-gpu"};
    const auto built = prepare();
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().detail(), HasSubstr("__cuda >=99"));
}

TEST_F(CondaTest, AnInstallScriptThatFailsIsNamed) {
    python.conda_packages = {"lin-broken"};
    const auto built = prepare();
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().detail(), HasSubstr("of package 'lin-broken' failed"));
}

TEST_F(CondaTest, AChannelThatIsNotThereIsNamed) {
    python.channels = {"file:///nowhere/channel"};
    python.conda_packages = {"lin-hello"};
    const auto built = prepare();
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().detail(), HasSubstr("/nowhere/channel"));
}

TEST_F(CondaTest, AnUnreachableChannelIsSaidToBeOne) {
    python.channels = {"http://127.0.0.1:9/channel"}; // nobody listens there
    python.conda_packages = {"lin-hello"};
    const auto built = prepare();
    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().code(), Errc::unavailable);
    EXPECT_THAT(built.error().detail(), HasSubstr("can't be reached"));
}

TEST_F(CondaTest, ThePythonThatTheSdkPutsInIsAWish) {
    python.python_version = "3.8.13"; // the channel has another one
    python.conda_packages = {"lin-hello"};
    const auto built = prepare();
    ASSERT_TRUE(built) << built.error().detail();
    EXPECT_THAT(log, Contains(HasSubstr("warning: python=3.8.13 can't be had with these packages: trying python=3.8")));

    python.python_version = "3.7"; // somebody wants that one
    const auto refused = prepare();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(), HasSubstr("python 3.7"));
}

TEST_F(CondaTest, APasswordInAChannelIsInNoLogAndNoMarker) {
    python.channels = {"http://anna:secret@127.0.0.1:9/channel"};
    python.conda_packages = {"lin-hello"};
    const auto built = prepare();
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().detail(), Not(HasSubstr("secret")));
    for (const std::string& line : log) {
        EXPECT_THAT(line, Not(HasSubstr("secret")));
    }
}

} // namespace
} // namespace linarite::agent
