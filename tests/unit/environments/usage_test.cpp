// What a folder takes on the disk, and how its files are kept from being changed.
#include "common/files.hpp"
#include "environments/usage.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

namespace linarite::environments {
namespace {

using fs::perms;

perms permissions_of(const fs::path& path) {
    return fs::symlink_status(path).permissions();
}

TEST(UsageTest, FilesLoseTheirWritePermissionAndNothingElse) {
    const test::Scratch scratch;
    const fs::path folder = scratch.root() / "env";
    ASSERT_TRUE(make_folders(folder / "bin"));
    ASSERT_TRUE(replace_file(folder / "bin" / "tool", "#!/bin/sh\n"));
    ASSERT_TRUE(replace_file(folder / "data", std::string(10'000, 'd')));
    ASSERT_TRUE(replace_file(scratch.root() / "outside", "not of the folder"));
    fs::permissions(folder / "bin" / "tool", perms::owner_all | perms::group_all | perms::set_gid);
    fs::permissions(folder / "bin", perms::owner_all | perms::group_all);
    fs::permissions(scratch.root() / "outside", perms::owner_read | perms::owner_write);
    fs::create_hard_link(folder / "data", folder / "same data");
    fs::create_symlink(scratch.root() / "outside", folder / "link");

    const std::uint64_t bytes = make_files_read_only(folder);

    EXPECT_EQ(bytes, bytes_on_disk(folder));
    EXPECT_GE(bytes, 10'000U);
    EXPECT_LT(bytes, 50'000U) << "a file with two names counts once";
    EXPECT_EQ(permissions_of(folder / "bin" / "tool"),
              perms::owner_read | perms::owner_exec | perms::group_read | perms::group_exec | perms::set_gid);
    EXPECT_EQ(permissions_of(folder / "same data") & (perms::owner_write | perms::group_write | perms::others_write),
              perms::none);
    EXPECT_EQ(permissions_of(folder / "bin"), perms::owner_all | perms::group_all);
    EXPECT_EQ(permissions_of(scratch.root() / "outside"), perms::owner_read | perms::owner_write)
        << "links lead out of the folder";
}

} // namespace
} // namespace linarite::environments
