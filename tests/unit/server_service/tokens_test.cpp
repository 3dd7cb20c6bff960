#include "common/hash.hpp"
#include "server/service/tokens.hpp"
#include "support/scratch.hpp"

#include <gtest/gtest.h>

namespace linarite::service {
namespace {

using namespace std::chrono_literals;

class TokensTest : public testing::Test {
protected:
    [[nodiscard]] Tokens open() const {
        auto tokens = Tokens::open(folder_ / "signing_key");
        EXPECT_TRUE(tokens);
        return *tokens;
    }
    test::Scratch folder_;
    Time now_ = from_ms(1'800'000'000'000);
    Claims claims_{Claims::Role::run, "e_1_ab", 2, now_ + 1h};
};

TEST_F(TokensTest, ATokenSaysWhoItSpeaksForAlsoAfterARestart) {
    const auto token = open().issue(claims_);
    ASSERT_TRUE(token);

    const auto read = open().check(*token, now_);

    ASSERT_TRUE(read) << read.error().detail();
    EXPECT_EQ(read->role, Claims::Role::run);
    EXPECT_EQ(read->subject, "e_1_ab");
    EXPECT_EQ(read->attempt, 2);
    EXPECT_EQ(read->expires, claims_.expires);
}

TEST_F(TokensTest, ATokenPastItsTimeIsRefusedAndSaysSo) {
    const auto token = open().issue(claims_);

    const auto read = open().check(*token, now_ + 2h);

    EXPECT_EQ(read.error().code(), Errc::unauthorized);
    EXPECT_NE(read.error().detail().find("expired"), std::string::npos);
}

TEST_F(TokensTest, ForgedTokensAreRefused) {
    const Tokens tokens = open();
    const std::string token = *tokens.issue(claims_);
    // {"alg":"none"} with the same claims, and no signature
    const std::string body = token.substr(token.find('.'), token.rfind('.') - token.find('.'));
    std::string other = token;
    other[token.find('.') + 5] = other[token.find('.') + 5] == 'A' ? 'B' : 'A';
    test::Scratch elsewhere;
    const std::string foreign = *Tokens::open(elsewhere / "key")->issue(claims_);

    for (const std::string& forged : {"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" + body + ".", other, foreign, token + "x",
                                      std::string(), std::string("a.b.c")}) {
        EXPECT_EQ(tokens.check(forged, now_).error().code(), Errc::unauthorized) << forged;
    }
}

TEST_F(TokensTest, ALinkIsGoodForOneRightOnePathAndOneTime) {
    const Tokens tokens = open();
    const Time until = now_ + 10min;
    const std::string signature = tokens.sign_link(LinkRight::read, "/c/x", until);

    EXPECT_TRUE(tokens.check_link(LinkRight::read, "/c/x", until, signature, now_));
    EXPECT_FALSE(tokens.check_link(LinkRight::write, "/c/x", until, signature, now_));
    EXPECT_FALSE(tokens.check_link(LinkRight::read, "/c/y", until, signature, now_));
    EXPECT_FALSE(tokens.check_link(LinkRight::read, "/c/x", until + 1h, signature, now_));
    EXPECT_FALSE(tokens.check_link(LinkRight::read, "/c/x", until, signature, until));
    EXPECT_FALSE(tokens.check_link(LinkRight::read, "/c/x", until, "", now_));
}

TEST_F(TokensTest, AccountsHaveKeysOfTheirOwnThatStay) {
    EXPECT_EQ(open().account_key("a"), open().account_key("a"));
    EXPECT_NE(open().account_key("a"), open().account_key("b"));
    EXPECT_EQ(base64_decode(open().account_key("a"))->size(), 32U);
}

TEST(Hmac, AgreesWithTheSecondTestCaseOfRfc4231) {
    EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

} // namespace
} // namespace linarite::service
