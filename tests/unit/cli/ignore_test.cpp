#include "cli/ignore.hpp"

#include <gtest/gtest.h>

namespace linarite::cli {
namespace {

bool ignores(const std::string& rules, const std::string& path, bool is_folder = false) {
    IgnoreRules parsed;
    parsed.add(rules);
    return parsed.ignores(path, is_folder);
}

TEST(IgnoreRulesTest, APatternWithoutASlashCountsAtAnyDepth) {
    EXPECT_TRUE(ignores("*.log", "a.log"));
    EXPECT_TRUE(ignores("*.log", "x/y/a.log"));
    EXPECT_TRUE(ignores("build", "src/build", true));
    EXPECT_FALSE(ignores("*.log", "a.log.txt"));
    EXPECT_FALSE(ignores("build", "rebuild"));
}

TEST(IgnoreRulesTest, APatternWithASlashCountsFromTheRoot) {
    EXPECT_TRUE(ignores("/a.txt", "a.txt"));
    EXPECT_FALSE(ignores("/a.txt", "x/a.txt"));
    EXPECT_TRUE(ignores("x/a.txt", "x/a.txt"));
    EXPECT_FALSE(ignores("x/a.txt", "y/x/a.txt"));
}

TEST(IgnoreRulesTest, ATrailingSlashMeansFoldersOnly) {
    EXPECT_TRUE(ignores("data/", "data", true));
    EXPECT_TRUE(ignores("data/", "x/data", true));
    EXPECT_FALSE(ignores("data/", "data", false));
}

TEST(IgnoreRulesTest, AStarDoesNotCrossASlash) {
    EXPECT_TRUE(ignores("x/*.txt", "x/a.txt"));
    EXPECT_FALSE(ignores("x/*.txt", "x/y/a.txt"));
    EXPECT_TRUE(ignores("a?c", "abc"));
    EXPECT_FALSE(ignores("x?y", "x/y"));
}

TEST(IgnoreRulesTest, TwoStarsAreAnyNumberOfFolders) {
    EXPECT_TRUE(ignores("**/foo", "foo"));
    EXPECT_TRUE(ignores("**/foo", "a/b/foo"));
    EXPECT_TRUE(ignores("a/**/b", "a/b"));
    EXPECT_TRUE(ignores("a/**/b", "a/x/y/b"));
    EXPECT_FALSE(ignores("a/**/b", "x/a/b"));
    EXPECT_TRUE(ignores("a/**", "a/x"));
    EXPECT_TRUE(ignores("a/**", "a/x/y"));
    EXPECT_FALSE(ignores("a/**", "a", true));
}

TEST(IgnoreRulesTest, TheLastPatternThatMatchesDecides) {
    EXPECT_FALSE(ignores("*.txt\n!keep.txt", "keep.txt"));
    EXPECT_TRUE(ignores("*.txt\n!keep.txt", "other.txt"));
    EXPECT_TRUE(ignores("!keep.txt\n*.txt", "keep.txt"));
}

TEST(IgnoreRulesTest, SetsOfCharactersAndTheirOppositeWork) {
    EXPECT_TRUE(ignores("run[0-9]", "run7"));
    EXPECT_FALSE(ignores("run[!0-9]", "run7"));
    EXPECT_TRUE(ignores("run[!0-9]", "runx"));
}

TEST(IgnoreRulesTest, CommentsBlanksAndEscapesAreReadAsGitDoes) {
    EXPECT_FALSE(ignores("# a.txt\n\n", "# a.txt"));
    EXPECT_TRUE(ignores("\\#a", "#a"));
    EXPECT_TRUE(ignores("\\!a", "!a"));
    EXPECT_TRUE(ignores("a.txt   \r\n", "a.txt"));
    EXPECT_TRUE(ignores("a\\ ", "a "));
    EXPECT_FALSE(ignores("/\n//\n!\n", "anything", true));
}

TEST(IgnoreRulesTest, ManyStarsCostNoMoreThanTheirNumber) {
    std::string pattern;
    for (int i = 0; i < 200; ++i) {
        pattern += "**/x/";
    }
    std::string path;
    for (int i = 0; i < 32; ++i) {
        path += "x/";
    }

    EXPECT_FALSE(ignores(pattern + "y", path + "z"));
}

TEST(IgnoreRulesTest, DefaultsNameWhatRunsLeaveInTheRootAndCanBeTakenBack) {
    IgnoreRules rules;
    rules.add_defaults();

    EXPECT_TRUE(rules.ignores(".git", true));
    EXPECT_TRUE(rules.ignores(".azureml", true));
    EXPECT_TRUE(rules.ignores("outputs", true));
    EXPECT_TRUE(rules.ignores("pkg/__pycache__", true));
    EXPECT_FALSE(rules.ignores("pkg/outputs", true));

    rules.add("!/outputs");
    EXPECT_FALSE(rules.ignores("outputs", true));
}

} // namespace
} // namespace linarite::cli
