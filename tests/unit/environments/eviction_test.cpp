// What is removed from a cache of environments, in which order, and what never is. Real folders, locks and processes.
#include "common/files.hpp"
#include "environments/eviction.hpp"
#include "environments/usage.hpp"
#include "support/scratch.hpp"
#include "support/small_disk.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::environments {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::uint64_t mebi = 1U << 20U;
const std::atomic<bool> never{false};

std::string key_of(char digit) {
    return std::string(64, digit);
}

class EvictionTest : public testing::Test {
protected:
    /// An environment of so many MiB that was used last at minute `minute`.
    fs::path make(char digit, std::size_t mib, int minute) const {
        fs::path folder = cache / key_of(digit);
        EXPECT_TRUE(make_folders(folder / "lib"));
        EXPECT_TRUE(replace_file(folder / "lib" / "content", std::string(mib * mebi, digit)));
        EXPECT_TRUE(
            replace_file(marker_of(folder), R"({"provider": "pip", "python": "3.11.2", "requirements": ["six"]})"));
        const timespec at{std::int64_t{minute} * 60, 0};
        const std::array<timespec, 2> times{at, at};
        EXPECT_EQ(::utimensat(AT_FDCWD, marker_of(folder).c_str(), times.data(), 0), 0);
        return folder;
    }
    void make_packages(std::size_t mib) const {
        EXPECT_TRUE(make_folders(cache / ".uv-cache"));
        EXPECT_TRUE(replace_file(cache / ".uv-cache" / "wheel", std::string(mib * mebi, 'w')));
    }
    fs::path run_folder(const std::string& run) const {
        fs::path folder = scratch.root() / "agent-a" / "work" / run;
        EXPECT_TRUE(make_folders(folder));
        return folder;
    }
    /// The first digits of the environments that are there.
    [[nodiscard]] std::string there() const {
        std::string digits;
        for (const Stored& stored : list_stored(cache)) {
            digits += stored.key.front();
        }
        std::sort(digits.begin(), digits.end());
        return digits;
    }
    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(cache)) {
            found.push_back(entry.path().filename().string());
        }
        return found;
    }
    [[nodiscard]] Wish within(std::uint64_t mib) const {
        Wish wish;
        wish.limits.most_bytes = mib * mebi;
        return wish;
    }

    test::Scratch scratch;
    fs::path cache = scratch.root() / "envs";
};

TEST_F(EvictionTest, TheOneThatWasNotUsedForTheLongestTimeGoesFirst) {
    make('a', 2, 30);
    make('b', 2, 10);
    make('c', 2, 20);

    const EvictionReport report = make_room(cache, within(5), never);

    EXPECT_EQ(there(), "ac");
    ASSERT_EQ(report.removals.size(), 1U);
    EXPECT_EQ(report.removals[0].name, key_of('b'));
    EXPECT_EQ(report.removals[0].fate, Removal::Fate::removed);
    EXPECT_THAT(report.removals[0].reason, HasSubstr("may take 5.0 MiB"));
    EXPECT_GE(report.freed, 2 * mebi);
    EXPECT_LT(report.freed, 3 * mebi);
}

TEST_F(EvictionTest, ARunKeepsItsEnvironmentAsLongAsItsFolderIsThere) {
    make('a', 2, 10);
    make('b', 2, 20);
    const fs::path run = run_folder("run-1");
    ASSERT_TRUE(mark_use(cache, key_of('a'), run));

    const EvictionReport first = make_room(cache, within(1), never);

    EXPECT_EQ(there(), "a");
    ASSERT_EQ(first.removals.size(), 2U);
    EXPECT_EQ(first.removals[0].fate, Removal::Fate::in_use);
    EXPECT_THAT(first.removals[0].users, ElementsAre(User{"run-1", run, true}));

    fs::remove_all(run);
    make_room(cache, within(1), never);

    EXPECT_EQ(there(), "");
    EXPECT_FALSE(fs::exists(marks_of(cache, key_of('a'))));
}

TEST_F(EvictionTest, AMarkOfAFolderThatCannotBeSeenFromHereCounts) {
    make('a', 2, 10);
    ASSERT_TRUE(make_folders(marks_of(cache, key_of('a'))));
    fs::create_symlink("/not/on/this/machine/run-9",
                       marks_of(cache, key_of('a')) / "0123456789abcdef-0123456789abcdef-1");

    const EvictionReport report = make_room(cache, within(1), never);

    EXPECT_EQ(there(), "a");
    EXPECT_THAT(report.removals.at(0).users, ElementsAre(User{"run-9", "/not/on/this/machine/run-9", false}));
}

TEST_F(EvictionTest, AFolderThatIsTheSameOneAfterABootProvesThatARunIsOver) {
    make('a', 2, 10);
    const fs::path run = run_folder("run-1");
    ASSERT_TRUE(mark_use(cache, key_of('a'), run));
    // the mark as another boot made it: only the viewpoint, its first part, differs
    const fs::path marks = marks_of(cache, key_of('a'));
    const fs::path mark = fs::directory_iterator(marks)->path();
    const std::string rest = mark.filename().string().substr(16);
    fs::rename(mark, marks / ("0000000000000000" + rest));
    EXPECT_EQ(users_of(cache, key_of('a')).size(), 1U);

    fs::remove_all(run);

    EXPECT_THAT(users_of(cache, key_of('a')), IsEmpty());
    EXPECT_TRUE(fs::is_empty(marks)); // and it is gone
}

TEST_F(EvictionTest, EachRunLeavesNoMoreThanItsOwnMark) {
    make('a', 1, 10);
    for (int i = 0; i < 50; ++i) {
        const fs::path run = run_folder("run-" + std::to_string(i));
        ASSERT_TRUE(mark_use(cache, key_of('a'), run));
        fs::remove_all(run);
    }
    EXPECT_LE(std::distance(fs::directory_iterator(marks_of(cache, key_of('a'))), fs::directory_iterator()), 1);
}

TEST_F(EvictionTest, WhatIsBeingBuiltIsLeftAloneAndWhatIsLeftHalfBuiltIsNot) {
    ASSERT_TRUE(make_folders(cache / key_of('a') / "lib"));
    const UniqueFd lock(::open(lock_of(cache, key_of('a')).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);

    const EvictionReport first = make_room(cache, Wish{}, never);
    EXPECT_EQ(there(), "a");
    EXPECT_EQ(first.removals.at(0).fate, Removal::Fate::busy);

    ASSERT_EQ(::flock(lock.get(), LOCK_UN), 0);
    const EvictionReport second = make_room(cache, Wish{}, never);
    EXPECT_EQ(there(), "");
    EXPECT_THAT(second.removals.at(0).reason, HasSubstr("half-built"));
}

TEST_F(EvictionTest, PackageCachesGoLastAndNeverUnderABuild) {
    make('a', 1, 10);
    make_packages(4);
    const UniqueFd build(::open(packages_lock(cache).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(build.get(), LOCK_SH), 0);

    const EvictionReport first = make_room(cache, within(2), never);
    EXPECT_EQ(there(), "");
    EXPECT_TRUE(fs::exists(cache / ".uv-cache"));
    EXPECT_EQ(first.removals.at(1).fate, Removal::Fate::busy);

    ASSERT_EQ(::flock(build.get(), LOCK_UN), 0);
    make_room(cache, within(2), never);
    EXPECT_FALSE(fs::exists(cache / ".uv-cache"));
}

TEST_F(EvictionTest, FilesThatAnEnvironmentSharesWithThePackagesCountOnce) {
    const fs::path a = make('a', 1, 10);
    make_packages(4);
    fs::create_hard_link(cache / ".uv-cache" / "wheel", a / "lib" / "wheel");

    const Picture picture = look_at(cache);

    EXPECT_GE(picture.environments.at(0).stored.bytes.value(), 5 * mebi);
    EXPECT_GE(picture.packages.at(0).bytes, 4 * mebi);
    EXPECT_LT(picture.total, 6 * mebi);
    EXPECT_THAT(make_room(cache, within(6), never).removals, IsEmpty()); // counted twice it would be 9
}

TEST_F(EvictionTest, TheFloorOfFreeSpaceRemovesIdleOnesUntilItHolds) {
    const auto disk = test::SmallDisk::mount(cache, 32);
    if (!disk) {
        GTEST_SKIP() << "needs root: a small disk cannot be mounted";
    }
    make('a', 8, 10);
    make('b', 8, 20);
    make_packages(8);
    Wish wish;
    wish.limits.least_free = space_of(cache)->free + 4 * mebi;

    const EvictionReport report = make_room(cache, wish, never);

    EXPECT_EQ(there(), "b");
    EXPECT_TRUE(fs::exists(cache / ".uv-cache"));
    ASSERT_EQ(report.removals.size(), 1U);
    EXPECT_THAT(report.removals[0].reason, HasSubstr("free, and should have"));
}

TEST_F(EvictionTest, ADryRunSaysTheSameAndChangesNothing) {
    make('a', 2, 10);
    make('b', 2, 20);
    Wish wish = within(3);
    wish.dry_run = true;

    const EvictionReport said = make_room(cache, wish, never);

    EXPECT_EQ(there(), "ab");
    wish.dry_run = false;
    const EvictionReport done = make_room(cache, wish, never);
    ASSERT_EQ(said.removals.size(), done.removals.size());
    EXPECT_EQ(said.removals[0].name, done.removals[0].name);
    EXPECT_EQ(said.freed, done.freed);
}

TEST_F(EvictionTest, AgeAndAllAreReasonsToo) {
    make('a', 1, 10);
    make('b', 1, 100);
    make_packages(1);
    Wish wish;
    wish.packages = Wish::Packages::keep;
    wish.unused_since = Time(50min);

    EXPECT_THAT(make_room(cache, wish, never).removals.at(0).reason, HasSubstr("not used since 1970-01-01T00:10"));
    EXPECT_EQ(there(), "b");
    EXPECT_TRUE(fs::exists(cache / ".uv-cache"));

    wish.all_environments = true;
    wish.packages = Wish::Packages::all;
    make_room(cache, wish, never);
    EXPECT_EQ(there(), "");
    EXPECT_FALSE(fs::exists(cache / ".uv-cache"));
}

TEST_F(EvictionTest, MarksOfWhatWasNeverBuiltGoWithTheirRuns) {
    make('a', 1, 10);
    const fs::path run = run_folder("run-1");
    ASSERT_TRUE(mark_use(cache, key_of('f'), run));

    make_room(cache, Wish{}, never);
    EXPECT_THAT(users_of(cache, key_of('f')), testing::SizeIs(1));

    fs::remove_all(run);
    make_room(cache, Wish{}, never);
    EXPECT_FALSE(fs::exists(marks_of(cache, key_of('f'))));
}

TEST_F(EvictionTest, ReadOnlyFoldersAreNoObstacle) {
    const fs::path a = make('a', 1, 10);
    fs::permissions(a / "lib", fs::perms::owner_read | fs::perms::owner_exec);

    make_room(cache, within(1), never);

    EXPECT_EQ(there(), "");
    EXPECT_THAT(names(), testing::Each(testing::Not(testing::StartsWith(".removed-"))));
}

TEST_F(EvictionTest, NoSuchFolderIsNothingToDo) {
    EXPECT_THAT(make_room(cache, within(1), never).removals, IsEmpty());
    EXPECT_THAT(look_at(cache).environments, IsEmpty());
    EXPECT_FALSE(fs::exists(cache));
}

pid_t in_child(const std::function<void()>& work) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        work();
        ::_exit(0);
    }
    return pid;
}

TEST_F(EvictionTest, WhoIsKilledWhileRemovingLeavesNothingThatLooksWhole) {
    for (int round = 0; round < 20; ++round) {
        const fs::path a = make('a', 1, 10);
        for (int i = 0; i < 300; ++i) {
            ASSERT_TRUE(replace_file(a / "lib" / std::to_string(i), "x"));
        }
        const pid_t pid = in_child([&] { make_room(cache, within(1), never); });
        // at another moment in each round: after so many of the files are gone, wherever they are now
        const auto files_left = [&] {
            std::ptrdiff_t left = 0;
            std::error_code ec;
            for (fs::recursive_directory_iterator at(cache, ec), end; !ec && at != end; at.increment(ec)) {
                ++left;
            }
            return left;
        };
        while (files_left() > 300 - round * 15 && ::waitpid(pid, nullptr, WNOHANG) == 0) {
        }
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);

        if (fs::exists(marker_of(a))) { // then all of it is there
            ASSERT_EQ(std::distance(fs::directory_iterator(a / "lib"), fs::directory_iterator()), 301);
        } else {
            ASSERT_FALSE(fs::exists(a / "lib" / "0"));
        }
        make_room(cache, within(1), never);
        EXPECT_THAT(names(), UnorderedElementsAre(key_of('a') + ".lock", ".eviction.lock"));
    }
}

TEST_F(EvictionTest, TwoWhoMakeRoomAtTheSameTimeDoNotRemoveTwice) {
    for (int round = 0; round < 10; ++round) {
        for (const char digit : std::string("abcdef")) {
            make(digit, 1, digit);
        }
        const pid_t other = in_child([&] { make_room(cache, within(4), never); });
        make_room(cache, within(4), never);
        ::waitpid(other, nullptr, 0);

        EXPECT_EQ(there(), "def"); // with their folders and markers four are more than 4 MiB
    }
}

} // namespace
} // namespace linarite::environments
