// Environments that are in use, and those that make room: several agents as processes, and a disk that is full. The
// installer here is a small script, so that many rounds are quick; cache_test.cpp has the real one.
#include "agent/environment/cache.hpp"
#include "agent/environment/records.hpp"
#include "agent/environment/room.hpp"
#include "environments/eviction.hpp"
#include "environments/usage.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"
#include "support/small_disk.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <new>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Lines = std::vector<std::string>;

const std::atomic<bool> never{false};

// Makes a folder with a link to the interpreter; installs a file of so many MiB; and says a build has been.
constexpr const char* script = R"sh(#!/bin/sh
case "$1 $2" in
"venv "*) for folder; do :; done; mkdir -p "$folder/bin" && ln -s /bin/sh "$folder/bin/python" ;;
"pip install") folder=${4%/bin/python}; echo build >> BUILDS || exit 1
    if ! head -c MIBm /dev/zero > "$folder/content"; then
        echo "error: Failed to install: No space left on device (os error 28)"; exit 2
    fi ;;
"pip freeze") echo six==1.0 ;;
esac
)sh";

class RoomTest : public testing::Test {
protected:
    struct Agent {
        Agent(const RoomTest& test, environments::Limits limits) {
            EnvironmentSettings settings;
            settings.environments = test.cache;
            settings.tools = test.scratch.root() / "tools";
            settings.uv = test.scratch.root() / "uv";
            settings.limits = limits;
            environments = std::make_unique<EnvironmentCache>(io.get_executor(), pool, settings);
        }
        Result<PreparedEnvironment> prepare(const std::string& package, const fs::path& user = {},
                                            Lines* log = nullptr) {
            proto::PythonEnvironment python;
            python.pip_packages = {package};
            LogSink sink = [log](std::string line) {
                if (log != nullptr) {
                    log->push_back(std::move(line));
                }
            };
            return test::run(io, environments->prepare(python, {}, sink, CancelToken(), user),
                             std::chrono::seconds(60));
        }
        asio::io_context io;
        asio::thread_pool pool{1};
        std::unique_ptr<EnvironmentCache> environments;
    };

    void install_uv(int mebibytes) const {
        std::string text = script;
        text.replace(text.find("BUILDS"), 6, (scratch.root() / "builds").string());
        text.replace(text.find("MIBm"), 4, std::to_string(static_cast<unsigned>(mebibytes) << 20U));
        const fs::path uv = scratch.write("uv", text);
        fs::permissions(uv, fs::perms::owner_all);
    }
    [[nodiscard]] std::size_t builds() const {
        const auto text = read_file(scratch.root() / "builds");
        return text ? static_cast<std::size_t>(std::count(text->begin(), text->end(), '\n')) : 0;
    }
    [[nodiscard]] fs::path run_folder(const std::string& run) const {
        fs::path folder = scratch.root() / "agent" / "work" / run;
        fs::create_directories(folder);
        return folder;
    }
    void remove_all_idle() const {
        environments::Wish wish;
        wish.all_environments = true;
        environments::make_room(cache, wish, never);
    }

    test::Scratch scratch;
    fs::path cache = scratch.root() / "envs";
};

pid_t in_child(const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(work());
    }
    return pid;
}

int exit_code_of(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// What processes of one test tell each other.
struct Counts {
    std::atomic<int> rounds{0}; // of who removes
    std::atomic<int> pausing{0};
};

/// Returns when two have called this, and all that is idle was removed once meanwhile.
void pause_for_a_round(Counts& counts) {
    ++counts.pausing;
    while (counts.pausing < 2) {
        ::sched_yield();
    }
    for (const int before = counts.rounds; counts.rounds < before + 2;) {
        ::sched_yield();
    }
}

TEST_F(RoomTest, WhatARunWasGivenIsThereForAsLongAsTheRunIs) {
    install_uv(1);
    // one process removes all that is idle, as fast as it can, and counts how often it has looked
    void* shared = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto* const counts = new (shared) Counts;
    auto* const rounds = &counts->rounds;
    const pid_t remover = in_child([&] {
        for (;;) {
            remove_all_idle();
            ++*rounds;
        }
        return 0;
    });
    // two others give it to runs, of which each looks whether it is whole while it is in use
    const auto give = [this, counts, rounds](const std::string& name) {
        Agent agent(*this, {});
        for (int i = 0; i < 30; ++i) {
            if (i == 15) { // neither has a run now, so that it is idle once for sure
                pause_for_a_round(*counts);
            }
            const fs::path run = run_folder(name + std::to_string(i));
            const auto got = agent.prepare("six", run);
            if (!got) {
                std::fprintf(stderr, "%s\n", got.error().detail().c_str());
                return 1;
            }
            const fs::path folder = got->python.parent_path().parent_path();
            // for as long as it takes to be looked at from the beginning to the end
            for (const int before = *rounds; *rounds < before + 2;) {
                std::error_code ec;
                if (fs::file_size(folder / "content", ec) != 1U << 20U || !fs::exists(got->python)) {
                    std::fprintf(stderr, "round %d: %s is not whole\n", i, folder.c_str());
                    return 2;
                }
            }
            fs::remove_all(run);
        }
        return 0;
    };
    const pid_t first = in_child([&] { return give("a"); });
    const pid_t second = in_child([&] { return give("b"); });

    EXPECT_EQ(exit_code_of(first), 0);
    EXPECT_EQ(exit_code_of(second), 0);
    ::kill(remover, SIGKILL);
    ::waitpid(remover, nullptr, 0);
    ::munmap(shared, sizeof(Counts));
    EXPECT_GT(builds(), 1U); // else nothing was ever removed, and this proves nothing
}

TEST_F(RoomTest, AnAgentThatIsKilledLeavesItsRunsTheirEnvironment) {
    install_uv(1);
    const fs::path run = run_folder("r1");
    const pid_t pid = in_child([&] {
        Agent agent(*this, {});
        const auto got = agent.prepare("six", run);
        ::raise(SIGKILL);
        return got ? 0 : 1;
    });
    exit_code_of(pid);

    remove_all_idle();
    EXPECT_THAT(environments::list_stored(cache), SizeIs(1));

    fs::remove_all(run);
    remove_all_idle();
    EXPECT_THAT(environments::list_stored(cache), IsEmpty());
}

TEST_F(RoomTest, AfterABuildTheLimitHoldsAgain) {
    install_uv(4);
    Agent agent(*this, {std::uint64_t{9} << 20U, 0});
    ASSERT_TRUE(agent.prepare("one"));
    ASSERT_TRUE(agent.prepare("two"));
    ASSERT_TRUE(agent.prepare("one")); // used after the other
    const fs::path run = run_folder("r1");

    ASSERT_TRUE(agent.prepare("three", run));

    const auto kept = [this] {
        Lines names;
        for (const auto& stored : environments::list_stored(cache)) {
            if (stored.whole) {
                names.push_back(stored.requirements.at(0));
            }
        }
        std::sort(names.begin(), names.end());
        return names;
    };
    EXPECT_TRUE(test::run_until(agent.io, [&] { return kept() == Lines{"one", "three"}; }));
}

TEST_F(RoomTest, TheMarkerSaysHowMuchOfTheDiskItTakes) {
    install_uv(4);
    Agent agent(*this, {});
    ASSERT_TRUE(agent.prepare("one"));

    const auto stored = environments::list_stored(cache).at(0);

    EXPECT_GE(stored.bytes.value(), 4U << 20U);
    EXPECT_LT(stored.bytes.value(), 5U << 20U);
    EXPECT_EQ(stored.provider, "pip");
    EXPECT_LT(SystemClock().now() - stored.created, std::chrono::minutes(1));
}

TEST_F(RoomTest, AFullDiskMakesIdleOnesGoAndTheBuildIsDoneAgain) {
    install_uv(20);
    const auto disk = test::SmallDisk::mount(cache, 50);
    if (!disk) {
        GTEST_SKIP() << "needs root: a small disk cannot be mounted";
    }
    Agent agent(*this, {});
    ASSERT_TRUE(agent.prepare("one"));
    ASSERT_TRUE(agent.prepare("two"));
    Lines log;

    const auto third = agent.prepare("three", run_folder("r3"), &log);

    ASSERT_TRUE(third) << third.error().detail();
    EXPECT_EQ(fs::file_size(third->python.parent_path().parent_path() / "content"), 20U << 20U);
    EXPECT_THAT(log, Contains(HasSubstr("the disk is full: 4")));
    EXPECT_EQ(builds(), 4U); // once more than there are environments
    EXPECT_THAT(environments::list_stored(cache), SizeIs(1));
}

TEST_F(RoomTest, AFullDiskOfWhichNothingMayGoIsDescribed) {
    install_uv(20);
    const auto disk = test::SmallDisk::mount(cache, 50);
    if (!disk) {
        GTEST_SKIP() << "needs root: a small disk cannot be mounted";
    }
    Agent agent(*this, {});
    ASSERT_TRUE(agent.prepare("one", run_folder("r1")));
    ASSERT_TRUE(agent.prepare("two", run_folder("r2")));

    const auto third = agent.prepare("three", run_folder("r3"));

    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code(), Errc::no_space);
    const std::string words = third.error().detail();
    EXPECT_THAT(words, HasSubstr("the file system at '" + cache.string() + "' has "));
    EXPECT_THAT(words, HasSubstr("bytes free of 52428800"));
    EXPECT_THAT(words, HasSubstr("has 2 environments"));
    EXPECT_THAT(words, HasSubstr("of which 2 of"));
    EXPECT_THAT(words, HasSubstr("No space left on device"));
    EXPECT_EQ(builds(), 3U);
    EXPECT_TRUE(agent.prepare("one"));
    EXPECT_THAT(environments::list_stored(cache), SizeIs(2)); // and no half of a third
}

TEST_F(RoomTest, TooLittleFreeSpaceMakesRoomBeforeTheBuild) {
    install_uv(20);
    const auto disk = test::SmallDisk::mount(cache, 50);
    if (!disk) {
        GTEST_SKIP() << "needs root: a small disk cannot be mounted";
    }
    Agent agent(*this, {0, std::uint64_t{15} << 20U});
    ASSERT_TRUE(agent.prepare("one"));
    ASSERT_TRUE(agent.prepare("two")); // now 10 MiB are free

    ASSERT_TRUE(agent.prepare("three"));

    EXPECT_EQ(builds(), 3U); // no attempt failed
}

TEST(Records, EachDistributionHasTheHashOfItsRecord) {
    const test::Scratch scratch;
    scratch.write("lib/python3.11/site-packages/zope.interface-6.0.dist-info/RECORD", "x,sha256=1,2\n");
    scratch.write("lib/python3.11/site-packages/charset_normalizer-3.4.dist-info/RECORD", "");

    const std::string lock = lock_of_installed(
        scratch.root(), {"Charset-Normalizer==3.4", "zope-interface @ file:///wheels/z.whl", "unknown==1"});

    EXPECT_EQ(lock, "Charset-Normalizer==3.4  # record "
                    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
                    "zope-interface @ file:///wheels/z.whl  # record "
                    "sha256:a31c732275fd1827d626aff71f3b7de7c8e3fc6aa64bc7e41801de52395cffad\n"
                    "unknown==1\n");
}

} // namespace
} // namespace linarite::agent
