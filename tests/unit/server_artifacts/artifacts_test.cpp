#include "server/artifacts/beneath.hpp"
#include "server/artifacts/blob_folder.hpp"
#include "server/artifacts/run_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace linarite::artifacts {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Listed = std::vector<std::pair<std::string, std::uint64_t>>;

Listed listed(const RunFiles& files, const std::string& prefix, std::size_t limit) {
    Listed names;
    const auto entries = files.list(prefix, limit);
    EXPECT_TRUE(entries);
    for (const RunFiles::Entry& entry : *entries) {
        names.emplace_back(entry.name, entry.size);
    }
    return names;
}

class ArtifactsTest : public testing::Test {
public:
    ArtifactsTest() {
        std::string pattern = (fs::temp_directory_path() / "linarite-artifacts-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        root_ = folder_ / "runs" / "r1";
    }
    ~ArtifactsTest() override {
        std::error_code ec;
        fs::remove_all(folder_, ec);
    }

protected:
    void put(const fs::path& path, const std::string& bytes) const {
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << bytes;
    }
    static std::string bytes_of(const fs::path& path) {
        const auto bytes = read_file(path);
        return bytes ? *bytes : "(" + bytes.error().detail() + ")";
    }
    std::vector<std::string> names_in(const fs::path& folder) const {
        std::vector<std::string> names;
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            if (!entry.is_directory() || entry.is_symlink()) {
                names.push_back(fs::relative(entry.path(), folder).string());
            }
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    fs::path folder_;
    fs::path root_;
};

class RunFilesTest : public ArtifactsTest {
protected:
    RunFiles files_{root_};
};

#define EXPECT_ERROR(expression, errc)                                                                                 \
    do {                                                                                                               \
        const auto outcome = (expression);                                                                             \
        ASSERT_FALSE(outcome.has_value());                                                                             \
        EXPECT_EQ(outcome.error().code(), errc) << outcome.error().detail();                                           \
    } while (false)

// ---- growing files --------------------------------------------------------------------------------------------------

TEST_F(RunFilesTest, AGrowingFileTakesBytesAtItsEnd) {
    EXPECT_EQ(*files_.append("logs/deep/x.txt", 0, "hello "), 6U);
    EXPECT_EQ(*files_.append("logs/deep/x.txt", 6, "world"), 11U);

    EXPECT_EQ(bytes_of(root_ / "logs/deep/x.txt"), "hello world");
    EXPECT_EQ(*files_.size("logs/deep/x.txt"), 11U);
}

TEST_F(RunFilesTest, AnEmptyPieceMakesAnEmptyFile) {
    EXPECT_EQ(*files_.append("logs/x", 0, ""), 0U);

    EXPECT_EQ(*files_.size("logs/x"), 0U);
}

TEST_F(RunFilesTest, ASecondNameIsTheSameFileInThePlaceOfWhateverHadIt) {
    ASSERT_TRUE(files_.append("logs/x", 0, "mine"));
    ASSERT_TRUE(files_.append("other/y", 0, "old"));

    ASSERT_TRUE(files_.link("logs/x", "other/y"));
    ASSERT_TRUE(files_.link("logs/x", "new/z"));
    ASSERT_TRUE(files_.remove("logs/x"));

    EXPECT_EQ(bytes_of(root_ / "other/y"), "mine");
    EXPECT_EQ(*files_.append("new/z", 4, "!"), 5U);
    EXPECT_ERROR(files_.link("logs/x", "w"), Errc::not_found);
    EXPECT_ERROR(files_.link("new/z", "../w"), Errc::invalid_argument);
}

TEST_F(RunFilesTest, AFileThatArrivesCanGetAnotherName) {
    auto incoming = files_.create("outputs/m");
    ASSERT_TRUE(incoming);
    ASSERT_TRUE(incoming->append("bytes"));

    ASSERT_TRUE(incoming->retarget("outputs/deep/m.node1"));
    ASSERT_TRUE(incoming->commit(true));

    EXPECT_EQ(bytes_of(root_ / "outputs/deep/m.node1"), "bytes");
    EXPECT_FALSE(fs::exists(root_ / "outputs/m"));
    EXPECT_ERROR(incoming->retarget("../x"), Errc::invalid_argument);
}

TEST_F(RunFilesTest, AnOverlapOfEqualBytesChangesNothing) {
    ASSERT_TRUE(files_.append("x", 0, "hello world"));

    EXPECT_EQ(*files_.append("x", 0, "hello"), 11U);
    EXPECT_EQ(*files_.append("x", 6, "world"), 11U);
    EXPECT_EQ(*files_.append("x", 6, "world, and all"), 20U);

    EXPECT_EQ(bytes_of(root_ / "x"), "hello world, and all");
}

TEST_F(RunFilesTest, OtherBytesOrAGapAreAConflictAndChangeNothing) {
    ASSERT_TRUE(files_.append("x", 0, "hello"));

    EXPECT_ERROR(files_.append("x", 3, "LO world"), Errc::conflict);
    EXPECT_ERROR(files_.append("x", 0, "jello"), Errc::conflict);
    const auto gap = files_.append("x", 200, "later");
    ASSERT_FALSE(gap);
    EXPECT_EQ(gap.error().code(), Errc::conflict);
    EXPECT_EQ(gap.error().detail(), "'x' has 5 bytes, not 200");
    EXPECT_ERROR(files_.append("new/y", 1, "later"), Errc::conflict);

    EXPECT_EQ(bytes_of(root_ / "x"), "hello");
    EXPECT_THAT(names_in(root_), ElementsAre("x"));
}

TEST_F(RunFilesTest, ARepeatedRequestThatRunsBesideTheFirstDoesNoHarm) {
    const auto send_all = [this] {
        for (unsigned i = 0; i < 200; ++i) {
            EXPECT_TRUE(files_.append("x", std::uint64_t{i} * 10, "0123456789"));
        }
    };
    std::thread other(send_all);
    send_all();
    other.join();

    EXPECT_EQ(*files_.size("x"), 2000U);
}

TEST_F(RunFilesTest, FinishChecksTheBytes) {
    ASSERT_TRUE(files_.append("logs/x", 0, "hello"));

    EXPECT_TRUE(files_.finish("logs/x", sha256_hex("hello")));
    EXPECT_ERROR(files_.finish("logs/x", sha256_hex("other")), Errc::conflict);
    EXPECT_ERROR(files_.finish("logs/y", sha256_hex("hello")), Errc::not_found);
}

TEST_F(RunFilesTest, FinishReadsLargeFilesToTheirEnd) {
    const std::string large((std::size_t{512} << 10U) + 3, 'x');
    ASSERT_TRUE(files_.append("x", 0, large));

    EXPECT_TRUE(files_.finish("x", sha256_hex(large)));
}

// ---- whole files ----------------------------------------------------------------------------------------------------

TEST_F(RunFilesTest, AWholeFileAppearsOnlyWhenItIsCommitted) {
    auto incoming = files_.create("outputs/model.pkl");
    ASSERT_TRUE(incoming);
    ASSERT_TRUE(incoming->append("hello "));
    ASSERT_TRUE(incoming->append("world"));
    EXPECT_ERROR(files_.size("outputs/model.pkl"), Errc::not_found);
    EXPECT_THAT(listed(files_, "", 10), IsEmpty());

    ASSERT_TRUE(incoming->commit(true));

    EXPECT_EQ(incoming->size(), 11U);
    EXPECT_EQ(incoming->sha256(), sha256_hex("hello world"));
    EXPECT_EQ(bytes_of(root_ / "outputs/model.pkl"), "hello world");
    EXPECT_THAT(names_in(root_), ElementsAre("outputs/model.pkl"));
    EXPECT_ERROR(incoming->append("more"), Errc::internal);
    EXPECT_ERROR(incoming->commit(false), Errc::internal);
}

TEST_F(RunFilesTest, AFileThatIsReplacedStaysWholeUntilThen) {
    put(root_ / "x", "old");
    auto incoming = files_.create("x");
    ASSERT_TRUE(incoming->append("new"));
    EXPECT_EQ(bytes_of(root_ / "x"), "old");

    ASSERT_TRUE(incoming->commit(false));

    EXPECT_EQ(bytes_of(root_ / "x"), "new");
}

TEST_F(RunFilesTest, WhatIsNotCommittedLeavesNothing) {
    {
        auto incoming = files_.create("outputs/x");
        ASSERT_TRUE(incoming->append("half"));
        auto moved = std::move(*incoming);
        ASSERT_TRUE(moved.append(" of it"));
        auto other = files_.create("outputs/y");
        moved = std::move(*other); // the first one is dropped here
    }

    EXPECT_THAT(names_in(root_), IsEmpty());
}

TEST_F(RunFilesTest, AFolderInThePlaceOfAFileIsAConflictInWords) {
    put(root_ / "outputs/x/inner", "kept");
    put(root_ / "logs", "a file");
    auto onto_folder = files_.create("outputs/x");
    auto below_file = files_.create("logs/y");
    ASSERT_TRUE(onto_folder && below_file);

    const auto folder = onto_folder->commit(true);
    const auto file = below_file->commit(true);

    ASSERT_FALSE(folder);
    EXPECT_EQ(folder.error().code(), Errc::conflict);
    EXPECT_EQ(folder.error().detail(), "'outputs/x' is a folder");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code(), Errc::conflict);
    EXPECT_EQ(file.error().detail(), "'logs' is not a folder");
    EXPECT_ERROR(files_.append("outputs/x", 0, "bytes"), Errc::conflict);
    EXPECT_ERROR(files_.append("logs/y", 0, "bytes"), Errc::conflict);
    EXPECT_EQ(bytes_of(root_ / "outputs/x/inner"), "kept");
    EXPECT_EQ(bytes_of(root_ / "logs"), "a file");
}

TEST_F(RunFilesTest, LeftoversOfACrashAreHiddenAndCleanedUp) {
    put(root_ / make_temporary_name(), "half");
    put(root_ / "x", "whole");
    put(root_ / ".tmp-mine", "a user's own");
    const std::string temporary = make_temporary_name();

    EXPECT_THAT(listed(files_, "", 10), ElementsAre(std::pair{".tmp-mine", 12U}, std::pair{"x", 5U}));
    EXPECT_ERROR(files_.create(temporary), Errc::invalid_argument);
    EXPECT_ERROR(files_.append("a/" + temporary, 0, "x"), Errc::invalid_argument);
    ASSERT_TRUE(files_.clean_up());

    EXPECT_THAT(names_in(root_), ElementsAre(".tmp-mine", "x"));
    EXPECT_TRUE(RunFiles(folder_ / "nothing").clean_up());
}

// A limit on the size of files is the one full disk that can be had without being root; SIGXFSZ is ignored for it.
TEST_F(RunFilesTest, AWriteThatFailsIsAnErrorAndLeavesNoFile) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    {
        auto incoming = files_.create("x");
        ASSERT_TRUE(incoming->append("fits"));
        const rlimit small{8, before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);

        const auto failed = incoming->append("does not fit any more");

        ::setrlimit(RLIMIT_FSIZE, &before);
        EXPECT_FALSE(failed);
    }
    std::signal(SIGXFSZ, old);
    EXPECT_THAT(names_in(root_), IsEmpty());
}

// /dev/full answers every write with ENOSPC
TEST(WriteAt, AFullDiskIsNoSpace) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(full);

    EXPECT_ERROR(write_at(full.get(), 0, "x"), Errc::no_space);
    EXPECT_ERROR(write_all(full.get(), "x"), Errc::no_space);
}

// ---- reading --------------------------------------------------------------------------------------------------------

TEST_F(RunFilesTest, ReadGivesWhatIsThere) {
    put(root_ / "x", "0123456789");

    EXPECT_EQ(*files_.read("x", 0, 100), "0123456789");
    EXPECT_EQ(*files_.read("x", 3, 4), "3456");
    EXPECT_EQ(*files_.read("x", 10, 4), "");
    EXPECT_EQ(*files_.read("x", 99, 4), "");
    EXPECT_ERROR(files_.read("y", 0, 1), Errc::not_found);
    EXPECT_ERROR(RunFiles(folder_ / "nothing").read("y", 0, 1), Errc::not_found);
}

TEST_F(RunFilesTest, AFolderIsNoFile) {
    put(root_ / "logs/x", "x");

    EXPECT_ERROR(files_.size("logs"), Errc::not_found);
    EXPECT_ERROR(files_.open("logs"), Errc::not_found);
    EXPECT_ERROR(files_.size("logs/x/y"), Errc::not_found);
    EXPECT_ERROR(files_.remove("logs"), Errc::not_found);
}

TEST_F(RunFilesTest, ListsAreSortedBoundedAndKeepToThePrefix) {
    put(root_ / "logs/b.txt", "22");
    put(root_ / "logs/a/z.txt", "333");
    put(root_ / "logs-more/c.txt", "4");
    put(root_ / "outputs/m", "55555");

    EXPECT_THAT(listed(files_, "", 10), ElementsAre(std::pair{"logs-more/c.txt", 1U}, std::pair{"logs/a/z.txt", 3U},
                                                    std::pair{"logs/b.txt", 2U}, std::pair{"outputs/m", 5U}));
    EXPECT_THAT(listed(files_, "", 2), ElementsAre(std::pair{"logs-more/c.txt", 1U}, std::pair{"logs/a/z.txt", 3U}));
    EXPECT_THAT(listed(files_, "logs/", 10), ElementsAre(std::pair{"logs/a/z.txt", 3U}, std::pair{"logs/b.txt", 2U}));
    EXPECT_THAT(listed(files_, "logs/a/z", 10), ElementsAre(std::pair{"logs/a/z.txt", 3U}));
    EXPECT_THAT(listed(files_, "none", 10), IsEmpty());
    EXPECT_THAT(listed(RunFiles(folder_ / "nothing"), "", 10), IsEmpty());
}

TEST_F(RunFilesTest, ARemovedFileIsGone) {
    put(root_ / "logs/x", "x");

    ASSERT_TRUE(files_.remove("logs/x"));

    EXPECT_ERROR(files_.remove("logs/x"), Errc::not_found);
    EXPECT_THAT(names_in(root_), IsEmpty());
}

TEST_F(RunFilesTest, NamesThatLeaveTheFolderAreRefused) {
    for (const char* name : {"../x", "/etc/passwd", "a/../../x", "", "a//b", "a\\b"}) {
        EXPECT_ERROR(files_.create(name), Errc::invalid_argument);
        EXPECT_ERROR(files_.append(name, 0, "x"), Errc::invalid_argument);
        EXPECT_ERROR(files_.read(name, 0, 1), Errc::invalid_argument);
        EXPECT_ERROR(files_.remove(name), Errc::invalid_argument);
    }
    EXPECT_FALSE(fs::exists(root_));
}

// ---- hostile links --------------------------------------------------------------------------------------------------

class LinksTest : public RunFilesTest {
protected:
    void SetUp() override {
        put(outside_ / "secret", "secret");
        put(root_ / "x", "x");
        fs::create_symlink("/etc/passwd", root_ / "passwd");
        fs::create_directory_symlink(outside_, root_ / "outputs");
        fs::create_symlink("x", root_ / "inner"); // harmless, but refused all the same
    }
    fs::path outside_ = folder_ / "outside";
};

TEST_F(LinksTest, AreNotRead) {
    for (const char* name : {"passwd", "outputs/secret", "inner"}) {
        EXPECT_ERROR(files_.read(name, 0, 10), Errc::invalid_argument);
        EXPECT_ERROR(files_.size(name), Errc::invalid_argument);
        EXPECT_ERROR(files_.open(name), Errc::invalid_argument);
        EXPECT_ERROR(files_.finish(name, sha256_hex("x")), Errc::invalid_argument);
        EXPECT_ERROR(files_.remove(name), Errc::invalid_argument);
    }
    EXPECT_THAT(listed(files_, "", 10), ElementsAre(std::pair{"x", 1U}));
}

TEST_F(LinksTest, AreNotWrittenThrough) {
    fs::create_symlink(outside_ / "new", root_ / "dangling");

    EXPECT_ERROR(files_.append("inner", 1, "more"), Errc::invalid_argument);
    EXPECT_ERROR(files_.append("dangling", 0, "more"), Errc::invalid_argument);
    EXPECT_FALSE(files_.append("outputs/new", 0, "more"));
    auto below = files_.create("outputs/deep/new");
    ASSERT_TRUE(below->append("x"));
    EXPECT_ERROR(below->commit(true), Errc::conflict);

    EXPECT_THAT(names_in(outside_), ElementsAre("secret"));
    EXPECT_EQ(bytes_of(outside_ / "secret"), "secret");
    EXPECT_EQ(bytes_of(root_ / "x"), "x");
}

TEST_F(LinksTest, AreReplacedByAWholeFileAndTheirTargetStays) {
    auto incoming = files_.create("inner");
    ASSERT_TRUE(incoming->append("new"));

    ASSERT_TRUE(incoming->commit(true));

    EXPECT_FALSE(fs::is_symlink(root_ / "inner"));
    EXPECT_EQ(bytes_of(root_ / "inner"), "new");
    EXPECT_EQ(bytes_of(root_ / "x"), "x");
}

TEST_F(LinksTest, APipeIsNeitherOpenedForEverNorListed) {
    ASSERT_EQ(::mkfifo((root_ / "pipe").c_str(), 0644), 0);

    EXPECT_FALSE(files_.read("pipe", 0, 1));
    EXPECT_FALSE(files_.append("pipe", 0, "x"));
    EXPECT_THAT(listed(files_, "p", 10), IsEmpty());
}

TEST_F(LinksTest, TheRootItselfMayBeOneSinceTheOperatorChoseIt) {
    fs::create_directory_symlink(outside_, folder_ / "datastore");

    EXPECT_EQ(*RunFiles(folder_ / "datastore").read("secret", 0, 10), "secret");
}

// ---- blobs ----------------------------------------------------------------------------------------------------------

class BlobFolderTest : public ArtifactsTest {
protected:
    Result<void> store(const std::string& bytes, const std::string& name) {
        auto incoming = blobs_.create(name);
        if (!incoming) {
            return incoming.error();
        }
        if (auto written = incoming->append(bytes); !written) {
            return written;
        }
        return incoming->commit(true);
    }

    BlobFolder blobs_{folder_ / "snapshots"};
    std::string hash_ = sha256_hex("hello");
};

TEST_F(BlobFolderTest, ABlobLiesUnderItsHash) {
    EXPECT_FALSE(blobs_.has(hash_));
    EXPECT_ERROR(blobs_.locate(hash_), Errc::not_found);

    ASSERT_TRUE(store("hello", hash_));

    EXPECT_TRUE(blobs_.has(hash_));
    EXPECT_EQ(*blobs_.locate(hash_), folder_ / "snapshots/sha256" / hash_.substr(0, 2) / hash_);
    EXPECT_EQ(bytes_of(*blobs_.locate(hash_)), "hello");
}

TEST_F(BlobFolderTest, BytesWithAnotherHashAreAConflictAndLeaveNothing) {
    EXPECT_ERROR(store("other", hash_), Errc::conflict);

    EXPECT_FALSE(blobs_.has(hash_));
    EXPECT_THAT(names_in(folder_ / "snapshots"), IsEmpty());
}

TEST_F(BlobFolderTest, ANameThatIsNoHashIsRefused) {
    for (const std::string& name : {std::string("../../x"), std::string(), hash_ + "0", std::string(64, 'G')}) {
        EXPECT_ERROR(blobs_.create(name), Errc::invalid_argument);
        EXPECT_ERROR(blobs_.locate(name), Errc::invalid_argument);
        EXPECT_FALSE(blobs_.has(name));
    }
}

TEST_F(BlobFolderTest, TheSameBlobFromManyAtOnceIsStoredOnce) {
    std::vector<std::thread> threads;
    std::array<bool, 8> done{};
    threads.reserve(done.size());
    for (bool& each : done) {
        threads.emplace_back([this, &each] { each = store("hello", hash_).has_value(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    EXPECT_THAT(done, testing::Each(true));
    EXPECT_THAT(names_in(folder_ / "snapshots"), ElementsAre("sha256/" + hash_.substr(0, 2) + "/" + hash_));
    EXPECT_EQ(bytes_of(*blobs_.locate(hash_)), "hello");
}

TEST_F(BlobFolderTest, LeftoversOfACrashAreCleanedUp) {
    EXPECT_TRUE(blobs_.clean_up());
    ASSERT_TRUE(store("hello", hash_));
    put(folder_ / "snapshots/.incoming" / make_temporary_name(), "half");

    ASSERT_TRUE(blobs_.clean_up());

    EXPECT_THAT(names_in(folder_ / "snapshots"), ElementsAre("sha256/" + hash_.substr(0, 2) + "/" + hash_));
}

TEST_F(BlobFolderTest, ManyFilesAreSyncedAtOnce) {
    auto incoming = blobs_.create(hash_);
    ASSERT_TRUE(incoming->append("hello"));
    ASSERT_TRUE(incoming->commit(false));

    EXPECT_TRUE(sync_all(folder_ / "snapshots"));
    EXPECT_ERROR(sync_all(folder_ / "nothing"), Errc::not_found);
}

} // namespace
} // namespace linarite::artifacts
