#include "server/azureml/source_tree.hpp"

#include <gmock/gmock.h>

namespace linarite::azureml {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Json file(const std::string& name) {
    return Json{{"name", name}, {"type", "File"}, {"hash", "ab"}, {"children", Json::object()}};
}

Json folder(const std::string& name, Json children) {
    return Json{{"name", name}, {"type", "Directory"}, {"hash", "ab"}, {"children", std::move(children)}};
}

Json body_of(Json root) {
    return Json{{"ParentSnapshotId", "00000000-0000-0000-0000-000000000000"}, {"DirTreeNode", std::move(root)}};
}

TEST(SourceTreeTest, GivesEveryFileAndWhatWasSentOfThem) {
    const Json inside = folder("pkg", Json{{"a.py", file("a.py")}});
    Json body = body_of(folder("", Json{{"train.py", file("train.py")}, {"pkg", inside}}));
    body["ParentSnapshotId"] = "p1";
    body["FileRevisionList"]["FileNodes"] =
        Json::array({Json{{"FullName", "pkg/a.py"},
                          {"BlobUri", "https://linarite.blob.local@127.0.0.1:8443/azureml-snapshots/00ff?sv=x&sig=y"},
                          {"FileSize", 3}}});

    const auto tree = parse_source_tree(body);

    ASSERT_TRUE(tree) << tree.error().detail();
    EXPECT_EQ(tree->parent, "p1");
    EXPECT_THAT(tree->files, UnorderedElementsAre("train.py", "pkg/a.py"));
    ASSERT_EQ(tree->sent.size(), 1U);
    EXPECT_EQ(tree->sent.at("pkg/a.py").upload, "00ff");
    EXPECT_EQ(tree->sent.at("pkg/a.py").size, 3U);
}

TEST(SourceTreeTest, TheZeroIdIsNoParent) {
    const auto tree = parse_source_tree(body_of(folder("", Json::object())));
    ASSERT_TRUE(tree);
    EXPECT_EQ(tree->parent, "");
    EXPECT_TRUE(tree->files.empty());
}

TEST(SourceTreeTest, RefusesNamesThatAreNone) {
    for (const char* name : {"..", "a/b", "../x", "", "a\\b"}) {
        const auto tree = parse_source_tree(body_of(folder("", Json{{name, file(name)}})));
        EXPECT_FALSE(tree) << name;
        const auto below = parse_source_tree(body_of(folder("", Json{{name, folder(name, Json{{"x", file("x")}})}})));
        EXPECT_FALSE(below) << name;
    }
}

TEST(SourceTreeTest, RefusesATreeWithoutEnd) {
    Json node = folder("d", Json{{"x", file("x")}});
    for (int level = 0; level < 40; ++level) {
        node = folder("d", Json{{"d", node}});
    }
    EXPECT_FALSE(parse_source_tree(body_of(node)));
}

TEST(SourceTreeTest, RefusesABlobThatIsNotOurs) {
    Json body = body_of(folder("", Json{{"x", file("x")}}));
    body["FileRevisionList"]["FileNodes"] =
        Json::array({Json{{"FullName", "x"}, {"BlobUri", "https://elsewhere/snapshots/1"}}});
    const auto tree = parse_source_tree(body);
    ASSERT_FALSE(tree);
    EXPECT_THAT(tree.error().detail(), HasSubstr("BlobUri"));
    EXPECT_FALSE(parse_source_tree(Json::array()));
    EXPECT_FALSE(parse_source_tree(Json{{"DirTreeNode", 1}}));
}

TEST(SourceTreeTest, PrintsAManifestAsATree) {
    const Json root = print_tree({{{"pkg/a.py", 3, std::string(64, 'a'), false}}});
    EXPECT_EQ(root["children"]["pkg"]["type"], "Directory");
    EXPECT_EQ(root["children"]["pkg"]["children"]["a.py"]["type"], "File");
    EXPECT_EQ(root["children"]["pkg"]["children"]["a.py"]["sizeBytes"], 3);
}

} // namespace
} // namespace linarite::azureml
