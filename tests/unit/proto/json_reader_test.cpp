#include "proto/json_reader.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

std::string zeros(std::size_t count) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i) {
        text += i == 0 ? "0" : ",0";
    }
    return text + "]";
}

TEST(ParseJson, ReadsEveryKindOfValue) {
    const auto document = parse_json(R"({"a":[1,-2,0.5,true,false,null,"x\u00e9"],"b":{"c":{}}})");

    ASSERT_TRUE(document);
    EXPECT_EQ(document->at("a").size(), 7U);
    EXPECT_EQ(document->at("a")[6], "x\u00e9");
    EXPECT_EQ(print_json(*document), "{\"a\":[1,-2,0.5,true,false,null,\"x\u00e9\"],\"b\":{\"c\":{}}}");
}

TEST(ParseJson, TakesScalarsAtTheTop) {
    EXPECT_EQ(parse_json("7").value(), 7);
    EXPECT_EQ(parse_json(" null ").value(), nullptr);
}

TEST(ParseJson, AllowsADepthOf64AndNoMore) {
    EXPECT_TRUE(parse_json(nested(64)));

    const auto deep = parse_json(nested(65));
    const auto hostile = parse_json(std::string(1'000'000, '['));

    ASSERT_FALSE(deep);
    EXPECT_EQ(deep.error().code(), Errc::invalid_argument);
    EXPECT_THAT(deep.error().detail(), HasSubstr("nested more than 64 deep"));
    ASSERT_FALSE(hostile);
    EXPECT_THAT(hostile.error().detail(), HasSubstr("nested more than 64 deep"));
}

TEST(ParseJson, AllowsAHundredThousandValuesAndNoMore) {
    EXPECT_TRUE(parse_json(zeros(99'999))); // the array is one of them

    const auto many = parse_json(zeros(100'000));

    ASSERT_FALSE(many);
    EXPECT_THAT(many.error().detail(), HasSubstr("more than 100000 values"));
}

TEST(ParseJson, RefusesAMemberThatIsThereTwice) {
    const auto twice = parse_json(R"({"a":{"x":1,"y":2,"x":3}})");

    ASSERT_FALSE(twice);
    EXPECT_THAT(twice.error().detail(), HasSubstr("'x' is there twice"));
    EXPECT_TRUE(parse_json(R"([{"x":1},{"x":2}])"));
}

TEST(ParseJson, SaysWhereTheTextIsMalformed) {
    const auto broken = parse_json("{\n  \"a\": tru }\n");

    ASSERT_FALSE(broken);
    EXPECT_THAT(broken.error().detail(), HasSubstr("malformed JSON: parse error at line 2, column"));
}

TEST(ParseJson, RefusesWhatIsNoJson) {
    for (const char* text : {"", " ", "{", "[1,]", "{\"a\":1,}", "NaN", "[Infinity]", "{} {}", "\"\xff\"", "1e999",
                             "'a'", "\"\\ud800\"", "// x\n1"}) {
        EXPECT_FALSE(parse_json(text)) << text;
    }
}

TEST(PrintJson, ReplacesBytesThatAreNoUtf8) {
    EXPECT_EQ(print_json(Json("a\xff"
                              "b")),
              "\"a\uFFFDb\"");
    EXPECT_EQ(print_json_pretty(Json::object({{"a", 1}})), "{\n  \"a\": 1\n}");
}

TEST(JsonReader, GathersEveryFaultWithItsPointer) {
    const Json document = json(R"({"t":1,"i":"x","u":-1,"b":0,"l":["a",2],"o":[],"a":[{"n":5},7],"m":3})");
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);

    in.text("t");
    in.required_text("absent");
    in.integer("i", 1, 9, 1);
    in.unsigned_integer("u", 0);
    in.boolean("b", true);
    in.texts("l");
    in.object("o");
    in.objects("a", [](JsonReader& each) { each.text("n"); });
    in.members("m", [](const std::string&, const Json&) { FAIL(); });

    EXPECT_THAT(faults, ElementsAre(Fault{"/t", "must be a string"}, Fault{"/absent", "is needed"},
                                    Fault{"/i", "must be a whole number from 1 to 9"},
                                    Fault{"/u", "must be a whole number from 0 to 18446744073709551615"},
                                    Fault{"/b", "must be true or false"}, Fault{"/l", "must be a list of strings"},
                                    Fault{"/o", "must be an object"}, Fault{"/a/0/n", "must be a string"},
                                    Fault{"/a/1", "must be an object"}, Fault{"/m", "must be an object"}));
}

TEST(JsonReader, TakesNullAsAbsent) {
    const Json document = json(R"({"t":null,"i":null,"o":null,"a":null})");
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);

    EXPECT_FALSE(in.has("t"));
    EXPECT_EQ(in.text("t", "otherwise"), "otherwise");
    EXPECT_EQ(in.integer("i", 1, 9, 4), 4);
    EXPECT_FALSE(in.object("o").has("x"));
    in.objects("a", [](JsonReader&) { FAIL(); });
    EXPECT_TRUE(faults.empty());
}

TEST(JsonReader, KeepsWholeNumbersWithinTheirLimits) {
    const Json document = json(R"({"a":9,"b":10,"c":0,"d":18446744073709551615,"e":2.0})");
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);

    EXPECT_EQ(in.integer("a", 1, 9, 5), 9);
    EXPECT_EQ(in.unsigned_integer("d", 0), 18446744073709551615U);
    EXPECT_TRUE(faults.empty());
    EXPECT_EQ(in.integer("b", 1, 9, 5), 5);
    EXPECT_EQ(in.integer("c", 1, 9, 5), 5);
    EXPECT_EQ(in.integer("d", 1, 9, 5), 5);
    EXPECT_EQ(in.integer("e", 1, 9, 5), 5);
    EXPECT_EQ(faults.size(), 4U);
}

TEST(JsonReader, TakesPositiveNumbersOfDocumentsBuiltInMemory) {
    const Json document = {{"n", 5}}; // held as a signed number
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);

    EXPECT_EQ(in.unsigned_integer("n", 0), 5U);
    EXPECT_TRUE(faults.empty());
}

TEST(JsonReader, RefusesWhatHasNotBeenAskedFor) {
    const Json document = json(R"({"known":1,"un/kn~own":2})");
    std::vector<Fault> faults;
    JsonReader in(document, "/here", faults);
    in.integer("known", 0, 9, 0);

    in.refuse_others();

    EXPECT_THAT(faults, ElementsAre(Fault{"/here/un~1kn~0own", "is not known"}));
}

TEST(JsonReader, StopsGatheringAtAHundredFaults) {
    std::vector<Fault> faults;
    const Json document = Json::object();
    JsonReader in(document, "", faults);

    for (int i = 0; i < 1000; ++i) {
        in.required_text("x");
    }

    EXPECT_EQ(faults.size(), 100U);
}

} // namespace
} // namespace linarite::proto
