#include "server/service/metric_points.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace linarite::service {
namespace {

using proto::Json;
using testing::HasSubstr;

const Time now = from_ms(1'000);

MetricSeries one(const Json& value, store::ColumnTypes columns = {}) {
    MetricSeries series;
    series.name = "m";
    series.kind = "scalar";
    series.columns = std::move(columns);
    MetricPoint point;
    point.data = Json{{"m", value}};
    series.points = {point};
    return series;
}

/// What comes back if the store keeps what it is given.
Json round_trip(const Json& value, store::ColumnTypes columns = {}) {
    const auto stored = to_new_points(one(value, std::move(columns)), now);
    EXPECT_TRUE(stored) << (stored ? "" : stored.error().detail());
    store::SeriesRow series;
    series.columns = stored->columns;
    series.value_column = stored->value_column;
    store::PointRow row = stored->points.at(0);
    if (row.value) {
        row.data.clear();
    }
    return to_point(series, row).data.at("m");
}

TEST(MetricPoints, EveryNumberComesBackAsItIs) {
    for (const double value : {0.1, -2.5, 7.0, 1e300, 5e-324, -0.0, std::numeric_limits<double>::infinity()}) {
        const Json back = round_trip(value);
        ASSERT_TRUE(back.is_number_float()) << value;
        EXPECT_EQ(std::bit_cast<std::uint64_t>(back.get<double>()), std::bit_cast<std::uint64_t>(value)) << value;
    }
    EXPECT_TRUE(std::isnan(round_trip(std::nan("")).get<double>()));
    for (const std::int64_t value :
         {std::int64_t{0}, std::int64_t{-7}, std::int64_t{9007199254740991}, std::int64_t{9007199254740993},
          std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        const Json back = round_trip(value);
        ASSERT_TRUE(back.is_number_integer()) << value;
        EXPECT_EQ(back.get<std::int64_t>(), value);
    }
    EXPECT_EQ(round_trip(std::numeric_limits<std::uint64_t>::max()), std::numeric_limits<std::uint64_t>::max());
}

TEST(MetricPoints, OtherValuesComeBackToo) {
    for (const Json& value : {Json("text"), Json(""), Json(true), Json(nullptr)}) {
        EXPECT_EQ(round_trip(value), value);
    }
}

TEST(MetricPoints, ADeclaredIntThatIsNoneIsADouble) {
    const auto stored = to_new_points(one(1.5, {{"m", "int"}}), now);

    EXPECT_EQ(stored->columns, (store::ColumnTypes{{"m", "double"}}));
    EXPECT_EQ(round_trip(3, {{"m", "Float"}}), 3.0) << "a list of doubles may hold 3";
    EXPECT_TRUE(round_trip(3, {{"m", "Float"}}).is_number_float());
}

TEST(MetricPoints, MissingTimesIdsAndColumnsAreFilledIn) {
    const auto first = to_new_points(one("x"), now);
    const auto second = to_new_points(one("x"), now);

    EXPECT_EQ(first->points.at(0).at, now);
    EXPECT_EQ(first->points.at(0).id.size(), 36U);
    EXPECT_NE(first->points.at(0).id, second->points.at(0).id);
    EXPECT_EQ(first->columns, (store::ColumnTypes{{"m", "string"}}));
}

TEST(MetricPoints, NamesAreBoundedAndReadable) {
    for (const std::string& name : {std::string(), std::string(257, 'x'), std::string("a\nb"), std::string("a\x7f"),
                                    std::string("a\0b", 3), std::string("\xff")}) {
        MetricSeries series = one(1);
        series.name = name;
        const auto refused = to_new_points(series, now);
        ASSERT_FALSE(refused) << name;
        EXPECT_THAT(refused.error().detail(), HasSubstr("a metric's name"));

        MetricSeries column = one(1);
        column.points.at(0).data = Json{{name, 1}};
        EXPECT_FALSE(to_new_points(column, now)) << name;
    }
    MetricSeries longest = one(1);
    longest.name = std::string(256, 'x');
    EXPECT_TRUE(to_new_points(longest, now));
}

TEST(MetricPoints, WhatIsNoValueIsRefused) {
    for (const Json& data :
         {Json(), Json(7), Json::array({1}), Json::object(), Json{{"m", Json::array()}}, Json{{"m", Json::object()}}}) {
        MetricSeries series = one(1);
        series.points.at(0).data = data;
        EXPECT_FALSE(to_new_points(series, now)) << data;
    }
}

} // namespace
} // namespace linarite::service
