#include "server/azureml/run_filter.hpp"

#include <gtest/gtest.h>

namespace linarite::azureml {
namespace {

using store::RunCondition;
using Field = RunCondition::Field;
using Kind = RunCondition::Kind;
using Operator = RunCondition::Operator;

RunCondition read(const std::string& text) {
    const auto condition = parse_run_filter(text);
    EXPECT_TRUE(condition) << text << ": " << (condition ? "" : condition.error().detail());
    return condition ? *condition : RunCondition();
}

std::string refused(const std::string& text) {
    const auto condition = parse_run_filter(text);
    EXPECT_FALSE(condition) << text;
    return condition ? "" : condition.error().detail();
}

TEST(RunFilter, ReadsOneComparison) {
    const RunCondition condition = read("Status eq Running");

    EXPECT_EQ(condition.kind, Kind::compare);
    EXPECT_EQ(condition.field, Field::status);
    EXPECT_EQ(condition.op, Operator::eq);
    EXPECT_EQ(condition.value, "Running");
}

TEST(RunFilter, ReadsWhatTheSdkSendsForADefaultListing) {
    const RunCondition condition = read("(ParentRunId eq null)");

    EXPECT_EQ(condition.field, Field::parent);
    EXPECT_EQ(condition.value, std::nullopt);
}

TEST(RunFilter, AndBindsCloserThanOr) {
    const RunCondition condition = read("RunId eq a or RunId eq b and Status ne Failed");

    ASSERT_EQ(condition.kind, Kind::any);
    ASSERT_EQ(condition.parts.size(), 2U);
    EXPECT_EQ(condition.parts[0].value, "a");
    ASSERT_EQ(condition.parts[1].kind, Kind::all);
    EXPECT_EQ(condition.parts[1].parts[1].op, Operator::ne);
}

TEST(RunFilter, ParenthesesGroup) {
    const RunCondition condition = read(R"(((Tags/stage eq "tra\"in ing") and (RootRunId eq x and RunId ne x)))");

    ASSERT_EQ(condition.kind, Kind::all);
    EXPECT_EQ(condition.parts[0].field, Field::tag);
    EXPECT_EQ(condition.parts[0].key, "stage");
    EXPECT_EQ(condition.parts[0].value, "tra\"in ing");
    EXPECT_EQ(condition.parts[1].parts.size(), 2U);
}

TEST(RunFilter, KeysMayHoldDots) {
    const RunCondition condition = read("(RunType eq T or Properties/azureml.runsource eq T)");

    ASSERT_EQ(condition.kind, Kind::any);
    EXPECT_EQ(condition.parts[1].field, Field::property);
    EXPECT_EQ(condition.parts[1].key, "azureml.runsource");
}

TEST(RunFilter, AWordThatBeginsLikeAKeywordIsAWord) {
    EXPECT_EQ(read("Status eq nullable").value, "nullable");
    EXPECT_EQ(read("RunId eq order").value, "order");
}

TEST(RunFilter, TimesMayHaveASpaceAndAZone) {
    EXPECT_EQ(read("CreatedUtc ge 1970-01-02 00:00:00+00:00").value, "86400000");
    EXPECT_EQ(read("CreatedUtc ge 1970-01-02 01:00:00.500000+01:00").value, "86400500");
    EXPECT_EQ(read("CreatedUtc lt \"1970-01-02T00:00:00Z\"").value, "86400000");
    EXPECT_EQ(read("CreatedUtc lt 1970-01-02").value, "86400000");
    EXPECT_NE(refused("CreatedUtc ge 1970-13-02 00:00:00+00:00").find("no time"), std::string::npos);
}

TEST(RunFilter, ASubmittedRunHasNoKindOfItsOwn) {
    const RunCondition condition = read("RunType eq azureml.scriptrun");

    ASSERT_EQ(condition.kind, Kind::any);
    EXPECT_EQ(condition.parts[1].value, "");
}

TEST(RunFilter, SaysWhatItDoesNotUnderstand) {
    EXPECT_NE(refused("Colour eq red").find("'Colour'"), std::string::npos);
    EXPECT_NE(refused("Status is Running").find("character 0"), std::string::npos);
    EXPECT_NE(refused("Status eq Running and").find("and"), std::string::npos);
    refused("");
    refused("(Status eq Running");
    refused("Status eq Running)");
    refused("Status eq \"Running");
}

TEST(RunFilter, HostileFiltersAreBounded) {
    refused(std::string(100, '(') + "Status eq a" + std::string(100, ')'));
    refused("Status eq " + std::string(5000, 'a'));
    std::string many = "Status eq a";
    for (int i = 0; i < 40; ++i) {
        many += " or Status eq a";
    }
    EXPECT_NE(refused(many).find("32"), std::string::npos);
}

} // namespace
} // namespace linarite::azureml
