#include "cli/metric_pages.hpp"
#include "fake_connection.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::ElementsAre;

const Json run{{"run_id", "r1"}};

Json point(int sequence, const Json& data, const Json& step = nullptr) {
    return Json{{"sequence", sequence}, {"time", "2026-11-23T15:13:31.685Z"}, {"step", step}, {"data", data}};
}

Json series(const Json& points, const Json& next = nullptr) {
    return Json{{"name", "acc/top 1"}, {"kind", "scalar"}, {"columns", {{"acc/top 1", "double"}}},
                {"count", 3},          {"points", points}, {"next", next}};
}

TEST(MetricPages, AllPagesBecomeOneDocument) {
    FakeConnection connection;
    connection.answers["GET /api/v1/runs/r1/metrics/acc/top%201"] = {
        series(Json::array({point(1, {{"v", 1}}), point(2, {{"v", 2}})}), 2)};
    connection.answers["GET /api/v1/runs/r1/metrics/acc/top%201?after=2"] = {
        series(Json::array({point(3, {{"v", 3}})}))};

    const auto all = fetch_points(connection, run, "acc/top 1", 0);

    ASSERT_TRUE(all) << all.error().detail();
    EXPECT_EQ(all->at("points").size(), 3U);
    EXPECT_FALSE(all->contains("next"));
}

TEST(MetricPages, TheTailIsFoundByTheCount) {
    FakeConnection connection;
    connection.answers["GET /api/v1/runs/r1/metrics/acc?limit=1"] = {series(Json::array())};
    connection.answers["GET /api/v1/runs/r1/metrics/acc?after=1"] = {series(Json::array())};
    connection.answers["GET /api/v1/runs/r1/metrics/acc"] = {series(Json::array())};

    ASSERT_TRUE(fetch_points(connection, run, "acc", 2));
    ASSERT_TRUE(fetch_points(connection, run, "acc", 50));

    EXPECT_THAT(connection.asked,
                ElementsAre("GET /api/v1/runs/r1/metrics/acc?limit=1", "GET /api/v1/runs/r1/metrics/acc?after=1",
                            "GET /api/v1/runs/r1/metrics/acc?limit=1", "GET /api/v1/runs/r1/metrics/acc"));
}

TEST(MetricPages, TheListShowsLastValues) {
    const Json metrics = Json::array(
        {Json{{"name", "acc"}, {"kind", "scalar"}, {"count", 5}, {"last", point(5, {{"acc", 0.5}})}},
         Json{{"name", "t"}, {"kind", "table"}, {"count", 12}, {"last", point(12, {{"a", 1}, {"b", "NaN"}})}},
         Json{{"name", "none"}, {"kind", "list"}, {"count", 0}, {"last", nullptr}}});

    EXPECT_EQ(render_metrics(metrics, Terminal()), "METRIC  KIND    POINTS  LAST\n"
                                                   "acc     scalar       5  0.5\n"
                                                   "t       table       12  a=1 b=NaN\n"
                                                   "none    list         0\n");
}

TEST(MetricPages, APointIsALineWithAColumnForEachOfTheSeries) {
    Json table = series(Json::array({point(1, {{"x", 1}, {"y", "p"}}, 7), point(2, {{"x", 20}, {"y", nullptr}})}));
    table["columns"] = Json{{"x", "int"}, {"y", "string"}};
    Json plain = series(Json::array({point(1, {{"x", 0.25}})}));
    plain["columns"] = Json{{"x", "double"}};

    EXPECT_EQ(render_points(table, Terminal()), "TIME                      STEP   x  y\n"
                                                "2026-11-23T15:13:31.685Z     7   1  p\n"
                                                "2026-11-23T15:13:31.685Z        20\n");
    EXPECT_EQ(render_points(plain, Terminal()), "TIME                         x\n"
                                                "2026-11-23T15:13:31.685Z  0.25\n");
}

} // namespace
} // namespace linarite::cli
