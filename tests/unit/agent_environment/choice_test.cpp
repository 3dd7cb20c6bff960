#include "agent/environment/choice.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

proto::PythonEnvironment environment(std::vector<std::string> conda, std::vector<std::string> pip,
                                     std::string version = "3.8.13") {
    proto::PythonEnvironment out;
    out.channels = {"anaconda", "conda-forge"}; // as the SDK has them
    out.conda_packages = std::move(conda);
    out.pip_packages = std::move(pip);
    out.python_version = std::move(version);
    return out;
}

NodeFacts node(std::string conda, PackagePolicy policy = PackagePolicy::automatic) {
    NodeFacts facts;
    facts.policy = policy;
    facts.conda = std::move(conda);
    facts.python_fits = false;
    facts.nearest_python = "3.11.2";
    return facts;
}

TEST(ChooseProvider, CondaPackagesGoToTheCondaToolThatIsThere) {
    const auto choice = choose_provider(environment({"numpy"}, {}), node("micromamba"));
    EXPECT_EQ(choice.kind, ProviderKind::conda);
    EXPECT_THAT(choice.reason, HasSubstr("micromamba"));
}

TEST(ChooseProvider, WithoutACondaToolTheyComeFromTheIndexAndTheLogSaysSo) {
    const auto choice = choose_provider(environment({"numpy"}, {}), node(""));
    EXPECT_EQ(choice.kind, ProviderKind::pip);
    EXPECT_THAT(choice.reason, HasSubstr("no conda tool"));
}

TEST(ChooseProvider, AChannelOfTheRunsOwnNeedsConda) {
    auto python = environment({"numpy"}, {});
    python.channels.emplace_back("file:///mirror/ours");
    const auto choice = choose_provider(python, node(""));
    EXPECT_EQ(choice.kind, ProviderKind::conda);
    EXPECT_THAT(choice.reason, HasSubstr("file:///mirror/ours"));
}

TEST(ChooseProvider, PipPackagesStayWithPip) {
    const auto choice = choose_provider(environment({}, {"six"}), node("conda"));
    EXPECT_EQ(choice.kind, ProviderKind::pip);
}

TEST(ChooseProvider, APythonThatTheNodeLacksComesFromCondaUnlessItIsTheSdksOwnDefault) {
    const auto asked = choose_provider(environment({}, {"six"}, "3.7"), node("conda"));
    EXPECT_EQ(asked.kind, ProviderKind::conda);
    EXPECT_THAT(asked.reason, HasSubstr("python 3.7 is asked for, and what is here is 3.11.2"));
    EXPECT_EQ(choose_provider(environment({}, {}, "3.8.13"), node("conda")).kind, ProviderKind::plain);
}

TEST(ChooseProvider, TheOperatorsPolicyWins) {
    EXPECT_EQ(choose_provider(environment({"numpy"}, {}), node("conda", PackagePolicy::pip)).kind, ProviderKind::pip);
    EXPECT_EQ(choose_provider(environment({}, {"six"}), node("", PackagePolicy::conda)).kind, ProviderKind::conda);
}

TEST(ChooseProvider, NothingIsBuiltWhereNothingIsAskedFor) {
    EXPECT_EQ(choose_provider(environment({}, {}), node("conda", PackagePolicy::conda)).kind, ProviderKind::plain);
    auto managed = environment({}, {});
    managed.user_managed = true;
    const auto choice = choose_provider(managed, node("conda", PackagePolicy::conda));
    EXPECT_EQ(choice.kind, ProviderKind::user_managed);
    EXPECT_THAT(choice.reason, IsEmpty());
}

TEST(OwnChannel, IsAPlaceThatIsNotCondasPublicOne) {
    EXPECT_TRUE(is_own_channel("file:///mirror"));
    EXPECT_TRUE(is_own_channel("/mirror"));
    EXPECT_TRUE(is_own_channel("https://conda.example.com/ours"));
    EXPECT_FALSE(is_own_channel("conda-forge"));
    EXPECT_FALSE(is_own_channel("https://conda.anaconda.org/pytorch"));
}

} // namespace
} // namespace linarite::agent
