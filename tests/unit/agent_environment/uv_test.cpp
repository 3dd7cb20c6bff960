#include "agent/environment/uv.hpp"
#include "common/files.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

TEST(IndexVariables, ComeFromPipsConfigurationFiles) {
    EXPECT_THAT(index_variables({}, {"global.index-url='https://mirror/simple'", "install.trusted-host='mirror'",
                                     ":env:.timeout='3'", "global.timeout='5'"}),
                ElementsAre(Pair("UV_DEFAULT_INDEX", "https://mirror/simple"), Pair("UV_INSECURE_HOST", "mirror")));
}

TEST(IndexVariables, PipsEnvironmentWinsOverItsFiles) {
    EXPECT_THAT(index_variables({{"PIP_INDEX_URL", "https://a/simple"}}, {"global.index-url='https://b/simple'"}),
                ElementsAre(Pair("UV_DEFAULT_INDEX", "https://a/simple")));
}

TEST(IndexVariables, WhatIsSetForUvStays) {
    EXPECT_THAT(index_variables({{"UV_INDEX_URL", "https://a/simple"}, {"SSL_CERT_FILE", "/x"}},
                                {"global.index-url='https://b/simple'", "global.cert='/y'"}),
                IsEmpty());
}

TEST(IndexVariables, SeveralIndexesAreOnOneLine) {
    EXPECT_THAT(index_variables({}, {"global.extra-index-url='\\nhttps://a\\nhttps://b'"}),
                ElementsAre(Pair("UV_INDEX", "https://a https://b")));
}

TEST(FailureWords, BeginWithTheSolversSentence) {
    const std::string words =
        failure_words({"Using Python 3.11", "Resolved", "error: No solution found when resolving dependencies",
                       "  cause: Because there is no version of six==99 and you require six==99, ..."});

    EXPECT_THAT(words, StartsWith("error: No solution found"));
    EXPECT_THAT(words, HasSubstr("Because there is no version of six==99"));
    EXPECT_THAT(words, Not(HasSubstr("Resolved")));
}

TEST(FailureWords, AreTheLastLinesIfNoneSaysError) {
    EXPECT_EQ(failure_words({"a", "b"}), "a\nb");
}

TEST(FailureWords, AreAtMostTwoKilobytesOfWholeCharacters) {
    std::string wide = "error: ";
    for (int i = 0; i < 2000; ++i) {
        wide += "\u00e9";
    }
    const std::string words = failure_words({wide});

    EXPECT_LE(words.size(), 2048U);
    EXPECT_TRUE(is_utf8(words));
}

TEST(NetworkFailure, IsToldFromAnUnsolvableRequest) {
    EXPECT_TRUE(is_network_failure("error: Request failed after 3 retries\n cause: tcp connect error"));
    EXPECT_FALSE(is_network_failure("error: No solution found\n cause: Because there is no version of six==99"));
}

} // namespace
} // namespace linarite::agent
