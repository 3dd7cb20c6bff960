#include "agent/environment/conda.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <fstream>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(CondaFailure, IsTheReasonWithoutTheProgress) {
    const std::string reason = "PackagesNotFoundError: The following packages are not available from current channels:";
    const std::string words = conda_failure_words(
        {"Collecting package metadata (repodata.json): ...working... done", "", reason, "", "  - nosuch"});
    EXPECT_EQ(words, reason + "\n  - nosuch");
    EXPECT_TRUE(is_unsatisfiable(words));
}

TEST(CondaFailure, OfMicromambaIsToldFromAnUnreachableChannel) {
    EXPECT_TRUE(is_unsatisfiable("error    libmamba Could not solve for environment specs\n    The following package "
                                 "could not be installed"));
    EXPECT_FALSE(is_unsatisfiable("critical libmamba Download error (6) Could not resolve host: conda.anaconda.org"));
}

TEST(CondaFailure, KeepsTheEndOfALongOne) {
    const std::string words = conda_failure_words({std::string(5'000, 'x'), "the reason"});
    EXPECT_LE(words.size(), 2'060U);
    EXPECT_TRUE(words.ends_with("\nthe reason"));
}

TEST(CondaTool, OneThatIsNamedAndNotThereIsAnError) {
    const auto tool = find_conda_tool("/nowhere/micromamba");
    ASSERT_FALSE(tool);
    EXPECT_THAT(tool.error().detail(), HasSubstr("/nowhere/micromamba"));
    EXPECT_EQ((*find_conda_tool("rattler"))->name, "rattler");
}

TEST(CondaLock, SaysWhatIsInstalledByItsHash) {
    const test::Scratch scratch;
    fs::create_directories(scratch.root() / "conda-meta");
    std::ofstream(scratch.root() / "conda-meta/b.json")
        << R"({"name": "b", "version": "2", "build": "0", "md5": "ff", "url": "file:///c/b.conda"})";
    std::ofstream(scratch.root() / "conda-meta/a.json")
        << R"({"name": "a", "version": "1", "build": "py_0", "sha256": "ee", "md5": "ff", "url": "file:///c/a.conda"})";
    std::ofstream(scratch.root() / "conda-meta/history") << "no package";

    const auto lock = read_conda_lock(scratch.root());

    ASSERT_TRUE(lock);
    EXPECT_THAT(*lock, ElementsAre("a 1 py_0 sha256:ee file:///c/a.conda", "b 2 0 md5:ff file:///c/b.conda"));
}

TEST(CondaLock, OneThatCannotBeReadIsAnError) {
    const test::Scratch scratch;
    fs::create_directories(scratch.root() / "conda-meta");
    std::ofstream(scratch.root() / "conda-meta/a.json") << "{";
    EXPECT_FALSE(read_conda_lock(scratch.root()));
    EXPECT_FALSE(read_conda_lock(scratch.root() / "nowhere"));
}

} // namespace
} // namespace linarite::agent
