#include "server/http/range.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace linarite::http {

std::ostream& operator<<(std::ostream& out, const Range& range) {
    return out << static_cast<int>(range.kind) << " " << range.first << "+" << range.length;
}

namespace {

Range part(std::uint64_t first, std::uint64_t length) {
    return {Range::Kind::part, first, length};
}
const Range whole_of_ten{Range::Kind::whole, 0, 10};
const Range nothing{Range::Kind::unsatisfiable, 0, 0};

TEST(ParseRange, UnderstandsOneRange) {
    EXPECT_EQ(parse_range("bytes=0-0", 10), part(0, 1));
    EXPECT_EQ(parse_range("bytes=2-5", 10), part(2, 4));
    EXPECT_EQ(parse_range("bytes=9-", 10), part(9, 1));
    EXPECT_EQ(parse_range("bytes=3-99", 10), part(3, 7));
    EXPECT_EQ(parse_range("bytes=-4", 10), part(6, 4));
    EXPECT_EQ(parse_range("bytes=-99", 10), part(0, 10));
    EXPECT_EQ(parse_range("bytes= 2-5 ", 10), part(2, 4));
}

TEST(ParseRange, BehindTheEndIsUnsatisfiable) {
    EXPECT_EQ(parse_range("bytes=10-", 10), nothing);
    EXPECT_EQ(parse_range("bytes=10-12", 10), nothing);
    EXPECT_EQ(parse_range("bytes=-0", 10), nothing);
    EXPECT_EQ(parse_range("bytes=0-", 0), nothing);
}

TEST(ParseRange, AnythingElseIsTheWhole) {
    for (const char* header : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=1-2,4-5", "lines=1-2",
                               "bytes=--1", "bytes=1", "bytes=+1-2", "bytes=99999999999999999999-"}) {
        EXPECT_EQ(parse_range(header, 10), whole_of_ten) << header;
    }
}

TEST(NamesEtag, FindsTheTagInAList) {
    EXPECT_TRUE(names_etag("\"abc\"", "abc"));
    EXPECT_TRUE(names_etag("\"x\", W/\"abc\"", "abc"));
    EXPECT_TRUE(names_etag("*", "abc"));
    EXPECT_FALSE(names_etag("\"abcd\"", "abc"));
    EXPECT_FALSE(names_etag("abc", "abc"));
    EXPECT_FALSE(names_etag("", "abc"));
    EXPECT_FALSE(names_etag("\"\"", ""));
}

TEST(ShownInline, OnlyWhatCannotRunScripts) {
    EXPECT_TRUE(shown_inline("text/plain; charset=utf-8"));
    EXPECT_TRUE(shown_inline("application/json"));
    EXPECT_TRUE(shown_inline("image/png"));
    EXPECT_FALSE(shown_inline("image/svg+xml"));
    EXPECT_FALSE(shown_inline("text/html"));
    EXPECT_FALSE(shown_inline("application/octet-stream"));
}

} // namespace
} // namespace linarite::http
