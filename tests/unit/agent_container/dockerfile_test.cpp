#include "agent/container/dockerfile.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string staged = "# FROM a comment\n"
                           "ARG tag=1\n"
                           "from --platform=linux/amd64 debian:12 as Builder\n"
                           "RUN echo FROM nowhere\n"
                           "FROM base:${tag}\n"
                           "FROM Builder\n"
                           "  FROM team/x@sha256:12 \n"
                           "FROM debian:12\n"
                           "FROM scratch";

TEST(Dockerfile, KnowsWhatItBuildsOn) {
    EXPECT_THAT(bases_of_dockerfile(staged), ElementsAre("debian:12", "team/x@sha256:12"));
    EXPECT_THAT(bases_of_dockerfile(""), IsEmpty());
    EXPECT_THAT(bases_of_dockerfile("FROM " + std::string(1'000'000, 'x')), IsEmpty()) << "no image has such a name";
    EXPECT_THAT(bases_of_dockerfile("FROM debian:12\r\nRUN true\r\n"), ElementsAre("debian:12"));
}

TEST(Dockerfile, OthersTakeTheirPlacesAndNothingElseChanges) {
    const std::string changed = with_bases(staged, {{"debian:12", "ours:3"}, {"nowhere", "x"}, {"Builder", "y"}});

    EXPECT_EQ(changed, "# FROM a comment\n"
                       "ARG tag=1\n"
                       "from --platform=linux/amd64 ours:3 as Builder\n"
                       "RUN echo FROM nowhere\n"
                       "FROM base:${tag}\n"
                       "FROM y\n"
                       "  FROM team/x@sha256:12 \n"
                       "FROM ours:3\n"
                       "FROM scratch\n");
    EXPECT_EQ(with_bases(staged, {}), staged);
}

} // namespace
} // namespace linarite::agent
