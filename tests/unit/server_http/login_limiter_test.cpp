#include "server/http/server_core.hpp"

#include <gtest/gtest.h>

namespace linarite::http {
namespace {

using namespace std::chrono_literals;
const std::chrono::steady_clock::time_point start{};

TEST(LoginLimiter, CountsPerAddressAndMinute) {
    LoginLimiter limiter(3);

    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(limiter.too_many("10.0.0.1", start + 1s * i));
    }
    EXPECT_TRUE(limiter.too_many("10.0.0.1", start + 3s));
    EXPECT_FALSE(limiter.too_many("10.0.0.2", start + 3s));
    EXPECT_TRUE(limiter.too_many("10.0.0.1", start + 59s));
    EXPECT_FALSE(limiter.too_many("10.0.0.1", start + 60s));
}

TEST(LoginLimiter, ForgetsOldAddressesInsteadOfGrowing) {
    LoginLimiter limiter(1);
    for (int i = 0; i < 50'000; ++i) {
        limiter.too_many(std::to_string(i), start);
    }

    EXPECT_FALSE(limiter.too_many("another", start));
    EXPECT_TRUE(limiter.too_many("another", start));
}

} // namespace
} // namespace linarite::http
