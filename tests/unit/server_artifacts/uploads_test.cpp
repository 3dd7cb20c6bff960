// Files that come from clients in pieces, or under a name that only their bytes decide.
#include "server/artifacts/blob_folder.hpp"
#include "server/artifacts/block_folder.hpp"
#include "support/scratch.hpp"

#include <gtest/gtest.h>

namespace linarite::artifacts {
namespace {

using namespace std::chrono_literals;

void send_block(const BlockFolder& blocks, const std::string& file, const std::string& id, const std::string& bytes) {
    auto block = blocks.create(file, id);
    ASSERT_TRUE(block) << block.error().detail();
    ASSERT_TRUE(block->append(bytes));
    ASSERT_TRUE(block->commit(true));
}

TEST(BlockFolderTest, BlocksOfOneFileAreNotThoseOfAnother) {
    const test::Scratch scratch;
    const BlockFolder blocks(scratch / "blocks");
    send_block(blocks, "a", "1", "one ");
    send_block(blocks, "a", "2", std::string(std::size_t{300} << 10U, 'x'));
    send_block(blocks, "a", "1", "ONE ");
    RunFiles files(scratch / "files");
    auto whole = files.create("whole");
    ASSERT_TRUE(whole);

    EXPECT_TRUE(blocks.append_to(*whole, "a", "1"));
    EXPECT_TRUE(blocks.append_to(*whole, "a", "2"));
    const auto foreign = blocks.append_to(*whole, "b", "1");

    EXPECT_EQ(foreign.error().code(), Errc::not_found);
    ASSERT_TRUE(whole->commit(true));
    EXPECT_EQ(read_file(scratch / "files/whole").value(), "ONE " + std::string(std::size_t{300} << 10U, 'x'));
    blocks.drop("a");
    EXPECT_TRUE(fs::is_empty(scratch / "blocks"));
}

TEST(BlockFolderTest, ForgetsFilesForWhichNothingCameAnyMore) {
    const test::Scratch scratch;
    const BlockFolder blocks(scratch / "blocks");
    const Time now = SystemClock().now();
    blocks.drop_older(now); // nothing is there yet
    send_block(blocks, "a", "1", "x");

    blocks.drop_older(now - 24h);
    EXPECT_FALSE(fs::is_empty(scratch / "blocks"));
    blocks.drop_older(now + 1h);
    EXPECT_TRUE(fs::is_empty(scratch / "blocks"));
}

TEST(UploadedBlobTest, BytesMayDecideTheirName) {
    const test::Scratch scratch;
    BlobFolder folder(scratch / "snapshots");
    for (int again = 0; again < 2; ++again) {
        auto blob = folder.create();
        ASSERT_TRUE(blob) << blob.error().detail();
        ASSERT_TRUE(blob->append("abc"));
        ASSERT_TRUE(blob->commit(true));
    }

    const auto located = folder.locate(sha256_hex("abc"));

    ASSERT_TRUE(located) << located.error().detail();
    EXPECT_EQ(read_file(*located).value(), "abc");
    EXPECT_TRUE(fs::is_empty(scratch / "snapshots/.incoming"));
}

TEST(UploadedFileTest, WhatMustBeNewDoesNotReplaceWhatCameMeanwhile) {
    const test::Scratch scratch;
    RunFiles files(scratch / "files");
    auto first = files.create("x");
    auto second = files.create("x");
    ASSERT_TRUE(first && second);
    first->must_be_new();
    second->must_be_new();
    ASSERT_TRUE(first->append("first"));
    ASSERT_TRUE(first->commit(true));

    const auto refused = second->commit(true);

    EXPECT_EQ(refused.error().code(), Errc::conflict);
    EXPECT_EQ(read_file(scratch / "files/x").value(), "first");
}

} // namespace
} // namespace linarite::artifacts
