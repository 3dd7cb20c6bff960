#include "proto/iso_time.hpp"

#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

std::string read(const char* text) {
    const auto at = parse_iso_time(text);
    return at ? format_time(*at) : "none";
}

TEST(IsoTime, IsReadAsPythonAndDotNetWriteIt) {
    EXPECT_EQ(read("2026-11-23T15:13:31.685528Z"), "2026-11-23T15:13:31.685Z");
    EXPECT_EQ(read("2026-11-23T15:13:31.6855281Z"), "2026-11-23T15:13:31.685Z");
    EXPECT_EQ(read("2026-11-23T15:13:31.68+00:00"), "2026-11-23T15:13:31.680Z");
    EXPECT_EQ(read("2026-11-23T15:13:31"), "2026-11-23T15:13:31.000Z");
    EXPECT_EQ(read("2026-11-23T00:30:00+01:00"), "2026-11-22T23:30:00.000Z");
    EXPECT_EQ(read("2026-11-23T23:30:00-01:30"), "2026-11-24T01:00:00.000Z");
    EXPECT_EQ(read("1969-12-31T23:59:59.999Z"), "1969-12-31T23:59:59.999Z");
}

TEST(IsoTime, OtherTextIsNone) {
    for (const char* text : {"", "now", "2026-11-23", "2026-13-23T15:13:31Z", "2026-11-31T15:13:31Z", "2026-11-23T",
                             "2026-11-23 15:13:31", "not-a-time-T15:13:31", "not-a-date"}) {
        EXPECT_EQ(read(text), "none") << text;
    }
}

} // namespace
} // namespace linarite::proto
