#include "proto/relaxed_json.hpp"
#include "proto_support.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace linarite::proto {
namespace {

Json relaxed(const std::string& text) {
    const auto parsed = parse_relaxed_json(text);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().detail());
    return parsed ? *parsed : Json();
}

TEST(RelaxedJson, TheThreeWordsArePythonsNumbersThatAreNone) {
    const Json document = relaxed(R"({"a": NaN, "b": Infinity, "c": [-Infinity], "d": "NaN"})");

    EXPECT_TRUE(std::isnan(document.at("a").get<double>()));
    EXPECT_EQ(document.at("b").get<double>(), std::numeric_limits<double>::infinity());
    EXPECT_EQ(document.at("c").at(0).get<double>(), -std::numeric_limits<double>::infinity());
    EXPECT_EQ(document.at("d"), "NaN");
    EXPECT_EQ(print_relaxed_json(document), R"({"a":NaN,"b":Infinity,"c":[-Infinity],"d":"NaN"})");
}

TEST(RelaxedJson, WithoutThemItIsWhatTheStrictParserGives) {
    const std::string text = R"({"s":"a\"\u00e9\n","i":[0,-1,9007199254740993,-9223372036854775808,)"
                             R"(18446744073709551615],"d":[0.1,1e-07,-2.5],"n":null,"t":[true,false,{}]})";

    const Json document = relaxed(text);

    EXPECT_EQ(document, json(text));
    EXPECT_TRUE(document.at("i").at(0).is_number_unsigned());
    EXPECT_EQ(document.at("i").at(2).get<std::int64_t>(), 9007199254740993);
    EXPECT_EQ(json(print_relaxed_json(document)), document);
}

TEST(RelaxedJson, EveryDoubleKeepsItsBits) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 200'000; ++i) {
        const auto value = std::bit_cast<double>(random());
        if (std::isnan(value)) {
            continue;
        }
        // as we print it, and as others print it
        for (const std::string& text : {print_relaxed_json(value), fmt::format("{:.17g}", value)}) {
            const auto parsed = std::isinf(value) ? Json(value) : relaxed(text);
            ASSERT_EQ(std::bit_cast<std::uint64_t>(parsed.get<double>()), std::bit_cast<std::uint64_t>(value)) << text;
        }
    }
}

TEST(RelaxedJson, ADoubleStaysOneIfItIsWhole) {
    EXPECT_EQ(print_relaxed_json(Json(7.0)), "7.0");
    EXPECT_TRUE(relaxed(print_relaxed_json(Json(1e22))).is_number_float());
    EXPECT_EQ(print_relaxed_json(Json(7)), "7");
}

TEST(RelaxedJson, TheLimitsAreThoseOfTheStrictParser) {
    const std::string deep = std::string(64, '[') + std::string(64, ']');
    std::string many = "[0";
    for (int i = 1; i < 99'999; ++i) {
        many += ",0";
    }

    EXPECT_TRUE(parse_relaxed_json(deep));
    EXPECT_FALSE(parse_relaxed_json("[" + deep + "]"));
    EXPECT_TRUE(parse_relaxed_json(many + "]"));
    EXPECT_FALSE(parse_relaxed_json(many + ",0]"));
    EXPECT_FALSE(parse_relaxed_json(R"({"a":1,"a":2})"));
}

TEST(RelaxedJson, WhatIsNoJsonIsRefusedWithThePlace) {
    for (const char* text : {"", "{", "[1,]", "nan", "{\"a\":NaN]", "1 2", "1e999", "\"\xff\"", "\"\\ud800\"", "[Nan]",
                             "'a'", "{a:1}", "[01]", "\"\n\""}) {
        const auto parsed = parse_relaxed_json(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().code(), Errc::invalid_argument) << text;
        EXPECT_NE(parsed.error().detail().find("at byte"), std::string::npos) << parsed.error().detail();
    }
}

TEST(RelaxedJson, TextThatIsNoUtf8IsRepairedWhenPrinted) {
    const Json document{{"a\xff", "b\xff"}};

    EXPECT_EQ(print_relaxed_json(document), print_json(document));
}

TEST(RelaxedJson, ForStrictReadersTheWordsBecomeStrings) {
    const Json document = without_bare_words(relaxed(R"({"a":[NaN,1.5],"b":{"c":-Infinity},"d":Infinity})"));

    EXPECT_EQ(document, json(R"({"a":["NaN",1.5],"b":{"c":"-Infinity"},"d":"Infinity"})"));
}

} // namespace
} // namespace linarite::proto
