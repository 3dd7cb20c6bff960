// The real uv, and real packages from the index that pip is configured for.
#include "agent/environment/cache.hpp"
#include "agent/environment/hard_links.hpp"
#include "agent/environment/process.hpp"
#include "environment_programs.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <sys/wait.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Lines = std::vector<std::string>;

// One agent's worth of objects. A process that forks makes it after the fork.
struct Agent {
    explicit Agent(const fs::path& root, fs::path uv = {}) {
        EnvironmentSettings settings;
        settings.environments = root / "envs";
        settings.tools =
            fs::path(LINARITE_BIN_DIR).parent_path() / "test-tools"; // uv is installed once per build folder
        settings.uv = std::move(uv);
        cache = std::make_unique<EnvironmentCache>(io.get_executor(), pool, settings);
    }
    Result<PreparedEnvironment> install(const Lines& pip, Lines* log = nullptr) {
        proto::PythonEnvironment python;
        python.pip_packages = pip;
        return prepare(python, log);
    }
    Result<PreparedEnvironment> prepare(const proto::PythonEnvironment& python, Lines* log = nullptr) {
        LogSink sink = [log](std::string line) {
            if (log != nullptr) {
                log->push_back(std::move(line));
            }
        };
        return test::run(io, cache->prepare(python, {}, sink, CancelToken()), std::chrono::seconds(120));
    }
    Lines run(const PreparedEnvironment& environment, const std::string& code) {
        return run_in(io, environment, {environment.python.string(), "-c", code});
    }
    asio::io_context io;
    asio::thread_pool pool{1};
    std::unique_ptr<EnvironmentCache> cache;
};

class CacheTest : public testing::Test {
protected:
    test::Scratch scratch;
};

// Where the index is not to be reached.
class Offline {
public:
    Offline() {
        for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}) {
            ::setenv(name, "http://127.0.0.1:9", 1); // nobody listens there
        }
        ::setenv("UV_HTTP_RETRIES", "0", 1);
    }
    Offline(const Offline&) = delete;
    Offline& operator=(const Offline&) = delete;
    ~Offline() {
        for (const char* name : {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}) {
            ::unsetenv(name);
        }
        ::unsetenv("UV_HTTP_RETRIES");
    }
};

TEST_F(CacheTest, BuildsOnceAndReusesWithoutAWord) {
    Agent agent(scratch.root());
    Lines log;
    const auto built = agent.install({"six"}, &log);
    ASSERT_TRUE(built) << built.error().detail();
    EXPECT_FALSE(built->reused);
    EXPECT_THAT(built->lock, HasSubstr("six=="));
    EXPECT_THAT(log, Contains(HasSubstr("+ six==")));
    EXPECT_THAT(log.front(), HasSubstr("installed by uv"));
    EXPECT_THAT(agent.run(*built, "import six, sys; print(sys.prefix)"), Contains(built->variables.at("VIRTUAL_ENV")));

    Lines again_log;
    const auto begun = std::chrono::steady_clock::now();
    const auto again = agent.install({" SIX "}, &again_log);

    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(20)); // it takes well under 1 ms
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->reused);
    EXPECT_EQ(again->key, built->key);
    EXPECT_EQ(again->lock, built->lock);
    EXPECT_THAT(again_log, IsEmpty());
}

// Packages of conda's time import pip without asking for it.
TEST_F(CacheTest, AnEnvironmentHasPipAsThoseOfCondaHave) {
    Agent agent(scratch.root());

    const auto built = agent.install({"six"});

    ASSERT_TRUE(built) << built.error().detail();
    EXPECT_THAT(built->lock, HasSubstr("pip=="));
    EXPECT_THAT(agent.run(*built, "import pip; print('pip', pip.__version__)"), Contains(HasSubstr("pip ")));
}

TEST_F(CacheTest, ANewAgentFindsWhatIsThere) {
    const auto built = Agent(scratch.root()).install({"six"});
    ASSERT_TRUE(built);
    const Offline offline;

    const auto again = Agent(scratch.root()).install({"six"});

    ASSERT_TRUE(again) << again.error().detail();
    EXPECT_TRUE(again->reused);
    EXPECT_EQ(again->python, built->python);
}

TEST_F(CacheTest, BuildsOfflineFromPackagesThatWereKept) {
    ASSERT_TRUE(Agent(scratch.root()).install({"six"}));
    const Offline offline;
    Lines log;

    const auto built = Agent(scratch.root()).install({"six>=1.0"}, &log);

    ASSERT_TRUE(built) << built.error().detail();
    EXPECT_FALSE(built->reused);
}

TEST_F(CacheTest, AnUnreachableIndexIsSaidToBeOne) {
    const Offline offline;

    const auto built = Agent(scratch.root()).install({"six"});

    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().code(), Errc::unavailable);
    EXPECT_THAT(built.error().detail(), HasSubstr("can't be reached"));
}

TEST_F(CacheTest, AnUnsolvableRequestFailsInTheSolversWords) {
    Lines log;

    const auto built = Agent(scratch.root()).install({"six==99.0"}, &log);

    ASSERT_FALSE(built);
    EXPECT_EQ(built.error().code(), Errc::invalid_argument);
    EXPECT_THAT(built.error().detail(), HasSubstr("Because there is no version of six==99"));
    EXPECT_LE(built.error().detail().size(), 2200U);
    EXPECT_THAT(log, Contains(HasSubstr("Because there is no version of six==99")));
}

TEST_F(CacheTest, AMalformedRequirementFailsInUvsWords) {
    const auto built = Agent(scratch.root()).install({"six>=1.2,<<2"});

    EXPECT_EQ(built.error().code(), Errc::invalid_argument);
    EXPECT_THAT(built.error().detail(), HasSubstr("<<"));
}

TEST_F(CacheTest, RequestsWithoutPackagesTakeTheInterpreterAsItIs) {
    Agent agent(scratch.root());
    Lines log;

    const auto got = agent.install(Lines{}, &log);

    ASSERT_TRUE(got);
    EXPECT_EQ(got->key, "");
    EXPECT_FALSE(fs::exists(scratch / "envs"));
    EXPECT_THAT(log, IsEmpty());
    EXPECT_THAT(got->python.string(), Not(HasSubstr("shims")));
    agent.run(*got, "pass");
}

TEST_F(CacheTest, AnOtherPythonIsTakenWithAWarning) {
    proto::PythonEnvironment python;
    python.python_version = "3.99.7";
    Lines log;

    const auto got = Agent(scratch.root()).prepare(python, &log);

    ASSERT_TRUE(got);
    ASSERT_EQ(log.size(), 1U);
    EXPECT_THAT(log[0], HasSubstr("warning: python 3.99.7 was asked for; this node has 3."));
}

TEST_F(CacheTest, AUserManagedInterpreterIsLookedUpAndNothingIsBuilt) {
    Agent agent(scratch.root());
    proto::PythonEnvironment python;
    python.user_managed = true;
    python.pip_packages = {"six==99"};

    const auto got = agent.prepare(python);
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->python.is_absolute());
    agent.run(*got, "pass");

    python.interpreter_path = "/no/such/python";
    EXPECT_THAT(agent.prepare(python).error().detail(), HasSubstr("'/no/such/python'"));
}

TEST_F(CacheTest, RequestsAtTheSameTimeShareOneBuildAndItsLog) {
    Agent agent(scratch.root());
    proto::PythonEnvironment python;
    python.pip_packages = {"six"};
    std::array<Lines, 3> logs;
    std::array<std::optional<Result<PreparedEnvironment>>, 3> got;
    for (std::size_t i = 0; i < logs.size(); ++i) {
        asio::co_spawn(
            agent.io,
            agent.cache->prepare(
                python, {}, [&logs, i](std::string line) { logs.at(i).push_back(std::move(line)); }, CancelToken()),
            [&got, i](std::exception_ptr, Result<PreparedEnvironment> result) { got.at(i) = std::move(result); });
    }

    ASSERT_TRUE(test::run_until(agent.io, [&] { return got[0] && got[1] && got[2]; }));

    for (std::size_t i = 0; i < logs.size(); ++i) {
        ASSERT_TRUE(got.at(i)->has_value());
        EXPECT_EQ(std::count_if(logs.at(i).begin(), logs.at(i).end(),
                                [](const std::string& line) { return line.find("was built in") != std::string::npos; }),
                  1);
    }
    const std::string waits = "waiting for another build of the same environment";
    EXPECT_EQ(std::count_if(logs.begin(), logs.end(),
                            [&](const Lines& log) { return std::find(log.begin(), log.end(), waits) != log.end(); }),
              2); // whichever came first builds
}

// Runs `work` in a process of its own and gives its pid.
pid_t in_child(const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(work());
    }
    return pid;
}

TEST_F(CacheTest, TwoProcessesBuildOnce) {
    const fs::path root = scratch.root();
    const auto work = [root] {
        Agent agent(root);
        const auto got = agent.install({"six", "idna"});
        return got ? (got->reused ? 10 : 11) : 1;
    };
    const std::array<pid_t, 2> pids{in_child(work), in_child(work)};
    Lines ends;
    for (const pid_t pid : pids) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        ends.push_back(std::to_string(WEXITSTATUS(status)));
    }

    EXPECT_THAT(ends, testing::UnorderedElementsAre("10", "11"));
}

TEST_F(CacheTest, ABuildThatWasKilledIsDoneAnew) {
    const fs::path root = scratch.root();
    const pid_t pid = in_child([root] {
        Agent agent(root);
        proto::PythonEnvironment python;
        python.pip_packages = {"six"};
        const LogSink die = [](const std::string& line) {
            if (line.find("Using Python") != std::string::npos) {
                ::raise(SIGKILL);
            }
        };
        const auto got = test::run(agent.io, agent.cache->prepare(python, {}, die, CancelToken()));
        return got ? 0 : 1;
    });
    int status = 0;
    ::waitpid(pid, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_TRUE(fs::exists(root / "envs"));

    Agent agent(root);
    const auto got = agent.install({"six"});

    ASSERT_TRUE(got) << got.error().detail();
    EXPECT_FALSE(got->reused);
    agent.run(*got, "import six");
}

TEST_F(CacheTest, CancellingTheOnlyWaiterEndsTheBuildAndTheNextOneBeginsAnew) {
    // an installer that never ends, and says who it is
    const fs::path fake = scratch.write("uv", "#!/bin/sh\necho pid $$\nsleep 600\n");
    fs::permissions(fake, fs::perms::owner_all);
    Agent agent(scratch.root(), fake);
    proto::PythonEnvironment python;
    python.pip_packages = {"six"};
    const CancelToken cancel;
    int pid = 0;
    const LogSink sink = [&](const std::string& line) {
        if (line.starts_with("pid ")) {
            pid = std::stoi(line.substr(4));
            asio::post(agent.io, [cancel] { cancel.cancel(); });
        }
    };

    const auto got = test::run(agent.io, agent.cache->prepare(python, {}, sink, cancel));

    EXPECT_EQ(got.error().code(), Errc::conflict);
    ASSERT_GT(pid, 0);
    EXPECT_TRUE(test::run_until(agent.io, [pid] { return !test::is_running(pid); }));
    pid = 0;
    const auto next = test::run(agent.io, agent.cache->prepare(
                                              python, {},
                                              [&](std::string line) {
                                                  if (line.starts_with("pid ")) {
                                                      pid = std::stoi(line.substr(4));
                                                      ::kill(-pid, SIGKILL);
                                                  }
                                              },
                                              CancelToken()));
    EXPECT_GT(pid, 0);
    EXPECT_EQ(next.error().code(), Errc::invalid_argument);
}

TEST_F(CacheTest, ThoseWhoAskForInterpretersAtOnceAreGivenTheSame) {
    asio::io_context io;
    asio::thread_pool pool{1};
    Node node(pool, EnvironmentSettings{});
    std::vector<const Interpreters*> given;
    for (int i = 0; i < 2; ++i) {
        asio::co_spawn(io, node.interpreters(),
                       [&](const std::exception_ptr&, const Interpreters* found) { given.push_back(found); });
    }

    ASSERT_TRUE(test::run_until(io, [&] { return given.size() == 2; }));

    EXPECT_EQ(given[0], given[1]);
}

TEST_F(CacheTest, FilesOfAnEnvironmentAreReadOnly) {
    Agent agent(scratch.root());
    const auto built = agent.install({"six"});
    ASSERT_TRUE(built);

    const fs::path six = agent.run(*built, "import six; print(six.__file__)").at(0);

    EXPECT_EQ(fs::status(six).permissions() & fs::perms::owner_write, fs::perms::none);
    EXPECT_TRUE(fs::hard_link_count(six) == 1 || hard_links_are_safe()) << "a run may spoil the cache";
}

} // namespace
} // namespace linarite::agent
