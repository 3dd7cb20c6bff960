#include "agent/container/rootfs.hpp"
#include "common/hash.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <archive.h>
#include <archive_entry.h>
#include <map>
#include <sys/stat.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

/// Names in a tar with their contents, or the targets of their links.
std::map<std::string, std::string> list_tar(const fs::path& tar) {
    std::map<std::string, std::string> out;
    archive* reader = ::archive_read_new();
    ::archive_read_support_format_all(reader);
    EXPECT_EQ(::archive_read_open_filename(reader, tar.c_str(), 10240), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (::archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        std::string& content = out[::archive_entry_pathname(entry)];
        if (const char* link = ::archive_entry_symlink(entry)) {
            content = std::string("-> ") + link;
        } else if (const char* hard = ::archive_entry_hardlink(entry)) {
            content = std::string("= ") + hard;
        } else {
            content.resize(static_cast<std::size_t>(::archive_entry_size(entry)));
            ::archive_read_data(reader, content.data(), content.size());
        }
    }
    ::archive_read_free(reader);
    return out;
}

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
