#include "agent/capture/local_data.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <thread>
#include <unistd.h>

namespace linarite::agent {
namespace {

using testing::HasSubstr;

class LocalDataTest : public testing::Test {
protected:
    LocalDataTest() {
        scratch.write("store/digits/train.csv", "1\n");
        scratch.write("store/digits/deep/test.csv", "2\n");
        scratch.write("outside/secret", "secret");
    }
    DataPlace at(const std::string& path) const { return {"store", scratch / "store", path}; }
    Result<std::size_t> copy(const std::string& path, Existing existing = Existing::kept) {
        return copy_data(at(path), scratch / "copy", existing);
    }

    test::Scratch scratch;
};

TEST_F(LocalDataTest, FilesAndFoldersAreFoundByTheirNames) {
    EXPECT_EQ(*locate_data(at("")), scratch / "store");
    EXPECT_EQ(*locate_data(at("digits")), scratch / "store/digits");
    EXPECT_EQ(*locate_data(at("digits/train.csv")), scratch / "store/digits/train.csv");
    EXPECT_EQ(locate_data(at("digits/nothing")).error().code(), Errc::not_found);
    EXPECT_EQ(locate_data({"gone", scratch / "gone", ""}).error().code(), Errc::not_found);
}

TEST_F(LocalDataTest, NoLinkIsFollowedAndNothingSpecialIsOpened) {
    fs::create_directory_symlink(scratch / "outside", scratch / "store/folder-link");
    fs::create_symlink(scratch / "outside/secret", scratch / "store/file-link");
    fs::create_symlink("digits", scratch / "store/inner-link"); // which does not even leave it
    ASSERT_EQ(::mkfifo((scratch / "store/pipe").c_str(), 0644), 0);
    for (const char* path : {"folder-link", "folder-link/secret", "file-link", "inner-link/train.csv", "pipe"}) {
        const auto located = locate_data(at(path));
        ASSERT_FALSE(located) << path;
        EXPECT_EQ(located.error().code(), Errc::invalid_argument) << path << ": " << located.error().detail();
        EXPECT_EQ(copy(path).error().code(), Errc::invalid_argument) << path;
        EXPECT_FALSE(fs::exists(scratch / "copy")) << path;
    }
    for (const char* name : {"folder-link", "file-link", "inner-link"}) {
        fs::remove(scratch / "store" / name);
    }
    EXPECT_THAT(copy("").error().detail(), HasSubstr("'pipe' can't be copied")) << "and does not wait for a writer";
}

TEST_F(LocalDataTest, ADeviceIsNoFile) {
    if (::mknod((scratch / "store/device").c_str(), S_IFCHR | 0666U, ::makedev(1, 5)) != 0) { // /dev/zero
        GTEST_SKIP() << "NO DEVICE WAS TESTED: making one needs root";
    }
    EXPECT_EQ(locate_data(at("device")).error().code(), Errc::invalid_argument);
    EXPECT_EQ(copy("device").error().code(), Errc::invalid_argument);
    EXPECT_EQ(copy("").error().code(), Errc::invalid_argument);
}

TEST_F(LocalDataTest, NamesOfAnyBytesAreCopiedAsTheyAre) {
    const std::string odd = "latin-\xE9 and\nnewline";
    scratch.write("store/digits/" + odd, "3\n");

    ASSERT_TRUE(copy("digits"));

    EXPECT_EQ(*read_file(scratch / "copy" / odd), "3\n");
    EXPECT_EQ(*read_file(scratch / "copy/deep/test.csv"), "2\n");
}

TEST_F(LocalDataTest, WhatIsThereStaysAndIsCounted) {
    scratch.write("copy/train.csv", "mine");

    EXPECT_EQ(*copy("digits"), 1U);
    EXPECT_EQ(*read_file(scratch / "copy/train.csv"), "mine");
    EXPECT_EQ(*copy("digits", Existing::replaced), 0U);
    EXPECT_EQ(*read_file(scratch / "copy/train.csv"), "1\n");
    EXPECT_EQ(*copy_data(at("digits/train.csv"), scratch / "copy/deep/test.csv", Existing::kept), 1U);
    EXPECT_EQ(*read_file(scratch / "copy/deep/test.csv"), "2\n");
}

// Somebody puts a link into the place of a folder, and of a file, again and again while it is copied.
TEST_F(LocalDataTest, ALinkThatComesWhileItIsCopiedLeadsNowhere) {
    scratch.write("outside/a", "secret");
    scratch.write("store/swap/folder/a", "public");
    fs::create_directory_symlink(scratch / "outside", scratch / "link");
    std::atomic<bool> over = false;
    std::thread attacker([&] {
        const auto exchange = [](const fs::path& a, const fs::path& b) {
            return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
        };
        while (!over) {
            exchange(scratch / "store/swap/folder", scratch / "link");
        }
    });
    int copied = 0;
    int refused = 0;
    for (int i = 0; i < 20'000 && (i < 2'000 || copied < 20 || refused < 20); ++i) {
        const fs::path to = scratch / "copies" / std::to_string(i);
        const auto done = copy_data(at("swap"), to, Existing::impossible);
        (done ? copied : refused) += 1;
        if (const auto text = read_file(to / "folder/a")) {
            EXPECT_EQ(*text, "public");
        }
        const auto file = copy_data(at("swap/folder/a"), to / "single", Existing::impossible);
        if (file) {
            EXPECT_EQ(*read_file(to / "single"), "public");
        }
        if (HasFailure()) {
            break;
        }
    }
    over = true;
    attacker.join();
    EXPECT_GT(copied, 0);
    EXPECT_GT(refused, 0) << "the attack never met a copy";
}

TEST_F(LocalDataTest, TheSystemsFoldersAreNoPlaceForData) {
    fs::create_directory_symlink("/etc", scratch / "innocent");
    for (const fs::path& path : {fs::path("/"), fs::path("/etc"), fs::path("/etc/cron.d/x"), fs::path("/usr/lib"),
                                 fs::path("/proc/self/fd"), fs::path("/tmp/../etc/x"), scratch / "innocent/x"}) {
        const auto checked = check_data_path(path, "pathOnCompute of 'd'");
        ASSERT_FALSE(checked) << path;
        EXPECT_EQ(checked.error().code(), Errc::invalid_argument);
        EXPECT_THAT(checked.error().detail(), HasSubstr("pathOnCompute of 'd' '" + path.string() + "' is "));
    }
    for (const fs::path& path : {scratch / "data", fs::path("/mnt/data"), fs::path("/dev/shm/data"),
                                 fs::path("/etcetera"), fs::path("/home/me/data")}) {
        EXPECT_TRUE(check_data_path(path, "")) << path;
    }
}

TEST_F(LocalDataTest, ALinkToDataReplacesOnlyWhatAnEarlierRunLeft) {
    const fs::path work = scratch / "work";
    scratch.write("work/run1/data/x", "1");
    const fs::path place = scratch / "name";

    ASSERT_TRUE(link_data(place, work / "run1/data", work));
    ASSERT_TRUE(link_data(place, work / "run1/data", work)) << "the same again";
    EXPECT_EQ(link_data(place, work / "run2/data", work).error().code(), Errc::conflict) << "run1 still lives";
    fs::remove_all(work / "run1");
    ASSERT_TRUE(link_data(place, work / "run2/data", work));
    EXPECT_EQ(fs::read_symlink(place), work / "run2/data");

    fs::create_symlink("/nowhere/else", scratch / "theirs");
    EXPECT_EQ(link_data(scratch / "theirs", work / "run2/data", work).error().code(), Errc::conflict);
    scratch.write("file", "x");
    EXPECT_EQ(link_data(scratch / "file", work / "run2/data", work).error().code(), Errc::conflict);
    EXPECT_EQ(*read_file(scratch / "file"), "x");
}

} // namespace
} // namespace linarite::agent
