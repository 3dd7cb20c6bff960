#include "server/service/sealer.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

namespace linarite::service {
namespace {

class SealerTest : public testing::Test {
protected:
    [[nodiscard]] Sealer open(const std::string& name = "sealing_key") const {
        auto sealer = Sealer::open(folder_ / name);
        EXPECT_TRUE(sealer);
        return *sealer;
    }
    test::Scratch folder_;
};

TEST_F(SealerTest, WhatIsSealedOpensAlsoAfterARestart) {
    for (const std::string secret : {"", "pass:word", "\xff with \n anything"}) {
        const auto sealed = open().seal(secret, "r1");
        ASSERT_TRUE(sealed);
        if (!secret.empty()) {
            EXPECT_THAT(*sealed, testing::Not(testing::HasSubstr(secret)));
        }
        EXPECT_EQ(*open().unseal(*sealed, "r1"), secret);
    }
}

TEST_F(SealerTest, TheSameSecretLooksDifferentEachTime) {
    EXPECT_NE(*open().seal("pass:word", "r1"), *open().seal("pass:word", "r1"));
}

TEST_F(SealerTest, NeitherAnotherOwnerNorAnotherKeyNorAChangedTextOpensIt) {
    auto sealed = open().seal("pass:word", "r1");
    ASSERT_TRUE(sealed);

    EXPECT_FALSE(open().unseal(*sealed, "r2"));
    EXPECT_FALSE(open("other").unseal(*sealed, "r1"));
    EXPECT_FALSE(open().unseal("", "r1"));
    (*sealed)[sealed->size() - 5] = (*sealed)[sealed->size() - 5] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(open().unseal(*sealed, "r1"));
}

TEST_F(SealerTest, TheKeyIsForItsOwnerAlone) {
    ASSERT_TRUE(Sealer::open(folder_ / "sealing_key"));

    struct stat about {};
    ASSERT_EQ(::stat((folder_ / "sealing_key").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
}

} // namespace
} // namespace linarite::service
