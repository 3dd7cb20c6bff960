#include "agent/capture/content_folder.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {
namespace {

using Content = ContentFolder::Content;

class ContentFolderTest : public testing::Test {
protected:
    static Content content_of(const std::string& text) { return {sha256_hex(text), text.size()}; }
    // Receives it and gives it as the file `to`.
    Result<void> keep(const std::string& text, const std::string& to, Share share = Share::read_only) {
        auto incoming = folder.receive();
        if (!incoming) {
            return incoming.error();
        }
        if (auto done = (*incoming)->append(text); !done) {
            return done;
        }
        return folder.keep(**incoming, content_of(text), {scratch / to, share, Existing::impossible});
    }
    Result<bool> give(const std::string& text, const std::string& to, Share share = Share::read_only) {
        return folder.give(content_of(text), {scratch / to, share, Existing::impossible});
    }
    fs::path kept_file(const std::string& text) const {
        const std::string hash = sha256_hex(text);
        return scratch / "cache/sha256" / hash.substr(0, 2) / hash;
    }
    static void set_last_use(const fs::path& path, std::int64_t seconds_ago) {
        std::array<timespec, 2> times{};
        ::clock_gettime(CLOCK_REALTIME, times.data());
        times[0].tv_sec -= seconds_ago;
        times[1].tv_nsec = UTIME_OMIT;
        ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0), 0);
    }
    static std::int64_t now_ns() {
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    }
    static mode_t mode_of(const fs::path& path) {
        struct stat info {};
        EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
        return info.st_mode & 07777U;
    }

    test::Scratch scratch;
    ContentFolder folder{scratch / "cache"};
};

TEST_F(ContentFolderTest, WhatIsKeptIsGivenAgainReadOnly) {
    ASSERT_TRUE(keep("some data", "run1/x"));

    const auto given = give("some data", "run2/deep/y");

    ASSERT_TRUE(given) << given.error().detail();
    EXPECT_TRUE(*given);
    EXPECT_EQ(*read_file(scratch / "run1/x"), "some data");
    EXPECT_EQ(*read_file(scratch / "run2/deep/y"), "some data");
    EXPECT_EQ(mode_of(scratch / "run1/x"), 0444U);
    EXPECT_EQ(mode_of(scratch / "run2/deep/y"), 0444U);
    EXPECT_EQ(mode_of(kept_file("some data")), 0444U);
    EXPECT_FALSE(*give("other data", "run2/z"));
}

TEST_F(ContentFolderTest, AnOwnCopyMayBeWrittenTo) {
    ASSERT_TRUE(keep("some data", "run1/x", Share::own_copy));

    scratch.write("run1/x", "changed by the run");

    EXPECT_EQ(*read_file(kept_file("some data")), "some data");
    EXPECT_TRUE(*give("some data", "run2/x"));
    EXPECT_EQ(*read_file(scratch / "run2/x"), "some data");
}

TEST_F(ContentFolderTest, WhatARunWroteIntoIsNotGivenAgain) {
    ASSERT_TRUE(keep("some data", "run1/x"));
    ASSERT_EQ(::chmod((scratch / "run1/x").c_str(), 0644), 0); // as root need not even do
    const UniqueFd fd(::open((scratch / "run1/x").c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(write_all(fd.get(), "SOME"));
    const bool shared = *read_file(kept_file("some data")) != "some data"; // no reflinks here

    const auto given = give("some data", "run2/x");

    ASSERT_TRUE(given);
    EXPECT_EQ(*given, !shared);
    if (shared) {
        EXPECT_FALSE(fs::exists(scratch / "run2/x"));
        EXPECT_FALSE(fs::exists(kept_file("some data"))) << "it is fetched anew";
    }
}

TEST_F(ContentFolderTest, AKeptFileThatACrashCutShortIsNotGiven) {
    ASSERT_TRUE(keep("some data", "run1/x"));
    fs::remove(scratch / "run1/x");
    ASSERT_EQ(::truncate(kept_file("some data").c_str(), 4), 0);

    EXPECT_FALSE(*give("some data", "run2/x"));
}

TEST_F(ContentFolderTest, OtherBytesThanTheHashSaysAreNotKept) {
    auto incoming = folder.receive();
    ASSERT_TRUE(incoming);
    ASSERT_TRUE((*incoming)->append("evil data"));

    const auto kept = folder.keep(**incoming, content_of("some data"), {scratch / "x", Share::read_only, {}});

    ASSERT_FALSE(kept);
    EXPECT_EQ(kept.error().code(), Errc::conflict);
    EXPECT_FALSE(fs::exists(scratch / "x"));
    EXPECT_FALSE(fs::exists(kept_file("some data")));
    incoming->reset();
    EXPECT_TRUE(fs::is_empty(scratch / "cache/incoming"));
}

TEST_F(ContentFolderTest, HashesThatAreNoneLeadNowhere) {
    scratch.write("cache/secret", "s");

    for (const std::string hash : {"../../../etc/passwd", "", "..", "/etc/passwd"}) {
        EXPECT_EQ(folder.give({hash, 1}, {scratch / "x", Share::read_only, {}}).error().code(), Errc::invalid_argument);
    }
}

TEST_F(ContentFolderTest, TheLongestUnusedGoesFirstAndNothingThatIsInUse) {
    for (const char* text : {"aaaa", "bbbb", "cccc", "dddd"}) {
        ASSERT_TRUE(keep(text, std::string("run/") + text));
    }
    set_last_use(kept_file("aaaa"), 100);
    set_last_use(kept_file("bbbb"), 300);
    set_last_use(kept_file("cccc"), 200);
    ASSERT_TRUE(*give("aaaa", "run/again")); // now it is the latest
    const auto since = now_ns() - std::int64_t{60} * 1'000'000'000;

    EXPECT_EQ(*folder.trim(12, since), 12U);
    EXPECT_FALSE(fs::exists(kept_file("bbbb")));
    EXPECT_TRUE(fs::exists(kept_file("cccc")));
    EXPECT_EQ(*folder.trim(0, since), 8U) << "two are in use";
    EXPECT_FALSE(fs::exists(kept_file("cccc")));
    EXPECT_EQ(*read_file(scratch / "run/bbbb"), "bbbb") << "a run keeps what it was given";
}

TEST_F(ContentFolderTest, ASweepTakesWhatNobodyWritesAnyMore) {
    ASSERT_TRUE(keep("kept", "run/x"));
    scratch.write("cache/incoming/left-by-a-killed-agent", "half a fi");
    auto alive = folder.receive();
    ASSERT_TRUE(alive);
    ASSERT_TRUE((*alive)->append("still coming"));

    const auto total = folder.sweep();

    EXPECT_EQ(*total, 4U);
    EXPECT_FALSE(fs::exists(scratch / "cache/incoming/left-by-a-killed-agent"));
    EXPECT_TRUE(folder.keep(**alive, content_of("still coming"), {scratch / "run/y", Share::read_only, {}}));
    EXPECT_EQ(*read_file(scratch / "run/y"), "still coming");
}

TEST_F(ContentFolderTest, MoreNamesThanAFileMayHaveAreCopies) {
    ASSERT_TRUE(keep("", "run/first"));

    for (int i = 0; i < 66'000; ++i) { // ext4 allows 65,000
        const auto given = give("", "run/" + std::to_string(i));
        ASSERT_TRUE(given && *given) << i << ": " << (given ? "not there" : given.error().detail());
    }
    EXPECT_EQ(mode_of(scratch / "run/65999"), 0444U);
}

} // namespace
} // namespace linarite::agent
