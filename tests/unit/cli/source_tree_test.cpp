#include "cli/source_tree.hpp"
#include "common/hash.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> paths(const SourceTree& tree) {
    std::vector<std::string> names;
    names.reserve(tree.manifest.files.size());
    for (const proto::SnapshotFile& file : tree.manifest.files) {
        names.push_back(file.path);
    }
    return names;
}

TEST(SourceTreeTest, FilesComeSortedWithSizeHashAndMode) {
    TempFolder folder;
    folder.write("train.py", "print(1)\n");
    folder.write("lib/a.py", "");
    folder.write("go.sh", "#!/bin/sh\n");
    fs::permissions(folder.path() / "go.sh", fs::perms::owner_all);

    const auto tree = read_source_tree(folder.path(), Terminal());

    ASSERT_TRUE(tree);
    EXPECT_THAT(paths(*tree), ElementsAre("go.sh", "lib/a.py", "train.py"));
    EXPECT_TRUE(tree->manifest.files[0].executable);
    EXPECT_FALSE(tree->manifest.files[2].executable);
    EXPECT_EQ(tree->manifest.files[2].size, 9);
    EXPECT_EQ(tree->manifest.files[2].sha256, sha256_hex("print(1)\n"));
    EXPECT_EQ(tree->blobs.at(sha256_hex("")), folder.path() / "lib/a.py");
    EXPECT_TRUE(proto::parse_manifest(proto::print(tree->manifest)));
}

TEST(SourceTreeTest, AmlignoreIsReadInPlaceOfGitignore) {
    TempFolder folder;
    folder.write(".amlignore", "*.csv\n");
    folder.write(".gitignore", "*.py\n");
    folder.write("a.csv", "1");
    folder.write("a.py", "1");

    EXPECT_THAT(paths(read_source_tree(folder.path(), Terminal()).value()),
                ElementsAre(".amlignore", ".gitignore", "a.py"));

    fs::remove(folder.path() / ".amlignore");
    EXPECT_THAT(paths(read_source_tree(folder.path(), Terminal()).value()), ElementsAre(".gitignore", "a.csv"));
}

TEST(SourceTreeTest, NothingBelowAnIgnoredFolderIsSent) {
    TempFolder folder;
    folder.write(".amlignore", "data/\n!data/keep.txt\n");
    folder.write("data/keep.txt", "1");
    folder.write(".git/config", "1");
    folder.write("outputs/model", "1");
    folder.write("a.py", "1");

    EXPECT_THAT(paths(read_source_tree(folder.path(), Terminal()).value()), ElementsAre(".amlignore", "a.py"));
}

TEST(SourceTreeTest, LinksInsideAreFollowedToFilesAndOthersAreLeftOutWithANote) {
    TempFolder folder;
    TempFolder elsewhere;
    elsewhere.write("secret", "s");
    folder.write("real.txt", "content");
    fs::create_symlink("real.txt", folder.path() / "inside.txt");
    fs::create_symlink(elsewhere.path() / "secret", folder.path() / "outside.txt");
    fs::create_symlink("nowhere", folder.path() / "broken.txt");
    fs::create_directory_symlink(".", folder.path() / "loop");

    const auto tree = read_source_tree(folder.path(), Terminal());

    ASSERT_TRUE(tree);
    EXPECT_THAT(paths(*tree), ElementsAre("inside.txt", "real.txt"));
    EXPECT_EQ(tree->manifest.files[0].sha256, sha256_hex("content"));
    EXPECT_EQ(tree->notes.size(), 3);
}

TEST(SourceTreeTest, ATreeOverTheLimitNamesItsLargestFiles) {
    TempFolder folder;
    folder.write("small.txt", "1");
    folder.write("data/large.bin", std::string(1000, 'x'));

    const auto tree = read_source_tree(folder.path(), Terminal(), 500);

    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().code(), Errc::too_large);
    EXPECT_THAT(tree.error().detail(), HasSubstr("data/large.bin"));
}

TEST(SourceTreeTest, ANameThatCannotBeSentIsAnError) {
    TempFolder folder;
    folder.write("a\\b.txt", "1");

    const auto tree = read_source_tree(folder.path(), Terminal());

    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().code(), Errc::invalid_argument);
    EXPECT_EQ(tree.error().faults().size(), 1);
}

TEST(SourceTreeTest, AMissingFolderIsBadInput) {
    EXPECT_EQ(read_source_tree("/no/such/folder", Terminal()).error().code(), Errc::invalid_argument);
}

TEST(CheckScriptTest, AMistypedScriptIsNamedTogetherWithTheOneThatWasMeant) {
    TempFolder folder;
    folder.write("train.py", "1");
    folder.write("lib/util.py", "1");
    folder.write("README.md", "1");
    const SourceTree tree = read_source_tree(folder.path(), Terminal()).value();

    EXPECT_TRUE(check_script(tree, folder.path(), "train.py"));
    EXPECT_TRUE(check_script(tree, folder.path(), "./train.py"));
    const auto checked = check_script(tree, folder.path(), "tarin.py");

    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().faults().front().pointer, "/script");
    EXPECT_THAT(checked.error().detail(), HasSubstr("'tarin.py' is not in"));
    EXPECT_THAT(checked.error().detail(), HasSubstr("there are: train.py, lib/util.py"));
}

TEST(CheckScriptTest, AScriptThatIsIgnoredIsSaidToBe) {
    TempFolder folder;
    folder.write(".amlignore", "train.py\n");
    folder.write("train.py", "1");
    const SourceTree tree = read_source_tree(folder.path(), Terminal()).value();

    EXPECT_THAT(check_script(tree, folder.path(), "train.py").error().detail(), HasSubstr("is ignored"));
}

} // namespace
} // namespace linarite::cli
