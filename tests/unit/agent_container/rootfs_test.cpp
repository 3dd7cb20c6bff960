#include "agent/container/rootfs.hpp"
#include "common/hash.hpp"
#include "list_tar.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

class RootfsTest : public testing::Test {
protected:
    void SetUp() override {
        scratch_.write("root/usr/bin/tool", "#!/bin/sh\n");
        scratch_.write("root/etc/name", "x");
        fs::create_symlink("usr/bin", root() / "bin");
        fs::create_hard_link(root() / "etc/name", root() / "etc/same");
        fs::create_directory(root() / "tmp");
        ASSERT_EQ(::mkfifo((root() / "tmp/pipe").c_str(), 0600), 0);
    }
    [[nodiscard]] fs::path root() const { return scratch_ / "root"; }
    test::Scratch scratch_;
};

TEST_F(RootfsTest, AFolderBecomesATarWithItsLinks) {
    const auto packed = pack_rootfs(root(), scratch_ / "to");

    ASSERT_TRUE(packed) << packed.error().detail();
    EXPECT_TRUE(packed->temporary);
    EXPECT_EQ(packed->hash, sha256_hex(*read_file(packed->tar)));
    const auto names = list_tar(packed->tar);
    EXPECT_THAT(names, Contains(Pair("usr/bin/tool", "#!/bin/sh\n")));
    EXPECT_THAT(names, Contains(Pair("bin", "-> usr/bin")));
    EXPECT_THAT(names, Contains(Pair("etc/same", "= etc/name")));
    EXPECT_THAT(names, Not(Contains(Key("tmp/pipe"))));
}

TEST_F(RootfsTest, EqualContentHasEqualHashesAndAChangeAnother) {
    const auto first = pack_rootfs(root(), scratch_ / "to");
    const auto again = pack_rootfs(root(), scratch_ / "to");
    const auto before = fingerprint_rootfs(root());
    EXPECT_EQ(*before, *fingerprint_rootfs(root()));

    scratch_.write("root/etc/name", "yz");

    EXPECT_EQ(first->hash, again->hash);
    EXPECT_NE(pack_rootfs(root(), scratch_ / "to")->hash, first->hash);
    EXPECT_NE(*fingerprint_rootfs(root()), *before);
}

TEST_F(RootfsTest, AFileIsATarAlready) {
    const auto tar = scratch_.write("given.tar", "bytes");

    const auto packed = pack_rootfs(tar, scratch_ / "to");

    ASSERT_TRUE(packed);
    EXPECT_FALSE(packed->temporary);
    EXPECT_EQ(packed->tar, tar);
    EXPECT_EQ(packed->hash, sha256_hex("bytes"));
    EXPECT_TRUE(fingerprint_rootfs(tar));
}

TEST_F(RootfsTest, WhatIsNotThereIsNamed) {
    EXPECT_EQ(pack_rootfs("/nothing/here", scratch_ / "to").error().code(), Errc::not_found);
    EXPECT_EQ(fingerprint_rootfs("/nothing/here").error().code(), Errc::not_found);
}

} // namespace
} // namespace linarite::agent
