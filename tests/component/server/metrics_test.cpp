// What runs log, over HTTP: Azure's metrics service and our own API.
#include "component/server/app_fixture.hpp"
#include "proto/relaxed_json.hpp"
#include "server/store/metric_store.hpp"
#include "support/coroutines.hpp"

#include <gmock/gmock.h>

#include <cmath>

namespace linarite::test {
namespace {

using testing::HasSubstr;

class MetricsTest : public AppTest {
protected:
    /// A coordinator with a run r1.
    void with_run(Script script) {
        with_coordinator([this, script = std::move(script)]() -> asio::awaitable<void> {
            const auto agent = co_await join("n1");
            co_await sync(*agent, picture("n1"));
            co_await submit("r1");
            co_await script();
        });
    }

    /// As the SDK sends it: text, since it may contain bare NaN.
    asio::awaitable<client::Response> send(std::string target, std::string body) {
        HttpClient::Request request;
        request.method = "POST";
        request.target = std::move(target);
        request.content_type = "application/json-patch+json; charset=utf-8";
        request.body = std::move(body);
        co_return co_await AppTest::send(*admin_, std::move(request));
    }
    asio::awaitable<client::Response> log(std::string values, std::string run = "r1") {
        return send("/metric/v2.0" + scope + "/runs/" + run + "/batch",
                    R"({"values":[)" + values + R"(],"reportErrors":true})");
    }
    /// The whole answer about one metric; it must be there.
    asio::awaitable<Json> full(std::string body) {
        const auto answer = co_await send("/metric/v2.0" + scope + "/runs/r1/full", std::move(body));
        EXPECT_EQ(answer.status, 200) << answer.body;
        EXPECT_EQ(answer.headers.at("content-type"), "application/json; charset=utf-8");
        const auto parsed = proto::parse_relaxed_json(answer.body);
        EXPECT_TRUE(parsed) << answer.body;
        co_return parsed ? *parsed : Json();
    }

    static std::string scalar(const std::string& id, const std::string& value, const std::string& type = "double") {
        return R"({"name":"acc","columns":{"acc":")" + type + R"("},"value":[{"metricId":")" + id +
               R"(","createdUtc":"2026-11-23T15:13:31.685528Z","data":{"acc":)" + value +
               R"(}}],"properties":{"uxMetricType":"azureml.v1.scalar"}})";
    }
    static std::vector<Json> values(const Json& full, const std::string& column) {
        std::vector<Json> out;
        for (const Json& point : full.at("value")) {
            out.push_back(point.at("data").at(column));
        }
        return out;
    }
};

TEST_F(MetricsTest, AScalarComesBackAsTheSdkLoggedIt) {
    with_run([this]() -> asio::awaitable<void> {
        const auto logged = co_await log(scalar("a", "0.9400000000000001") + "," + scalar("b", "1e-07"));
        EXPECT_EQ(logged.status, 200);
        EXPECT_EQ(logged.body, R"({"errors":[]})");

        const Json found = co_await full(R"({"metricName":"acc"})");

        EXPECT_EQ(found.at("dataContainerId"), "dcid.r1");
        EXPECT_EQ(found.at("name"), "acc");
        EXPECT_EQ(found.at("runId"), "r1");
        EXPECT_EQ(found.at("columns"), (Json{{"acc", "double"}}));
        EXPECT_EQ(found.at("properties"), (Json{{"uxMetricType", "azureml.v1.scalar"}}));
        EXPECT_TRUE(found.at("continuationToken").is_null());
        const Json expected{
            {"metricId", "a"}, {"createdUtc", "2026-11-23T15:13:31.685528Z"}, {"data", {{"acc", 0.9400000000000001}}}};
        EXPECT_EQ(found.at("value").at(0), expected);
        EXPECT_EQ(found.at("value").at(1).at("data").at("acc"), 1e-07);
    });
}

TEST_F(MetricsTest, NumbersThatAreNoneGoInAndOutAsBareWords) {
    with_run([this]() -> asio::awaitable<void> {
        const auto logged =
            co_await log(scalar("a", "NaN") + "," + scalar("b", "Infinity") + "," + scalar("c", "-Infinity"));
        EXPECT_EQ(logged.status, 200) << logged.body;

        const auto found = values(co_await full(R"({"metricName":"acc"})"), "acc");
        EXPECT_EQ(found.size(), 3U);
        EXPECT_TRUE(std::isnan(found.at(0).get<double>()));
        EXPECT_EQ(found.at(1).get<double>(), HUGE_VAL);
        EXPECT_EQ(found.at(2).get<double>(), -HUGE_VAL);
        const Json ours = co_await get("/api/v1/runs/r1/metrics/acc");
        EXPECT_EQ(ours.at("points").at(0).at("data").at("acc"), "NaN") << "our own API is strict JSON";
        EXPECT_EQ(ours.at("points").at(2).at("data").at("acc"), "-Infinity");
    });
}

TEST_F(MetricsTest, EveryKindOfValueKeepsItsType) {
    with_run([this]() -> asio::awaitable<void> {
        const auto one = [](const std::string& name, const std::string& type, const std::string& value) {
            return R"({"name":")" + name + R"(","columns":{")" + name + R"(":")" + type +
                   R"("},"value":[{"metricId":"x","createdUtc":"2026-11-23T15:13:31Z","step":3,"data":{")" + name +
                   R"(":)" + value + R"(}}],"properties":{"uxMetricType":"azureml.v2.image"}})";
        };
        const std::string link = R"("aml://artifactId/ExperimentRun/dcid.r1/plot.png")";
        const auto logged = co_await log(one("i", "int", "9007199254740993") + "," + one("s", "string", R"("x")") +
                                         "," + one("b", "bool", "true") + "," + one("z", "none", "null") + "," +
                                         one("img", "Artifact", link));
        EXPECT_EQ(logged.status, 200) << logged.body;

        const Json big = co_await full(R"({"metricName":"i"})");
        EXPECT_EQ(big.at("value").at(0).at("data").at("i").get<std::int64_t>(), 9007199254740993);
        EXPECT_EQ(big.at("value").at(0).at("step"), 3);
        EXPECT_EQ(big.at("properties").at("uxMetricType"), "azureml.v2.image");
        EXPECT_EQ(values(co_await full(R"({"metricName":"s"})"), "s").at(0), "x");
        EXPECT_EQ(values(co_await full(R"({"metricName":"b"})"), "b").at(0), true);
        EXPECT_TRUE(values(co_await full(R"({"metricName":"z"})"), "z").at(0).is_null());
        const Json image = co_await full(R"({"metricName":"img"})");
        EXPECT_EQ(image.at("columns").at("img"), "Artifact");
    });
}

TEST_F(MetricsTest, IntegersBecomeDoublesWithTheFirstDouble) {
    with_run([this]() -> asio::awaitable<void> {
        co_await log(scalar("a", "7", "int"));
        const Json before = co_await full(R"({"metricName":"acc"})");
        EXPECT_EQ(before.at("columns").at("acc"), "int");
        EXPECT_TRUE(values(before, "acc").at(0).is_number_integer());

        co_await log(scalar("b", "7.5"));

        const Json after = co_await full(R"({"metricName":"acc"})");
        EXPECT_EQ(after.at("columns").at("acc"), "double");
        EXPECT_EQ(values(after, "acc"), (std::vector<Json>{7.0, 7.5}));
    });
}

TEST_F(MetricsTest, ARowHasEveryColumnThatItsTableEverHad) {
    with_run([this]() -> asio::awaitable<void> {
        const auto row = [](const std::string& id, const std::string& columns, const std::string& data) {
            return R"({"name":"t","columns":{)" + columns + R"(},"value":[{"metricId":")" + id + R"(","data":{)" +
                   data + R"(}}],"properties":{"uxMetricType":"azureml.v1.table"}})";
        };
        co_await log(row("a", R"("x":"int")", R"("x":1)"));
        co_await log(row("b", R"("x":"int","y":"string")", R"("x":2,"y":"q")"));
        co_await log(row("c", R"("y":"string")", R"("y":"r")"));

        const Json found = co_await full(R"({"metricName":"t"})");

        EXPECT_EQ(found.at("columns"), (Json{{"x", "int"}, {"y", "string"}}));
        EXPECT_EQ(values(found, "x"), (std::vector<Json>{1, 2, nullptr}));
        EXPECT_EQ(values(found, "y"), (std::vector<Json>{nullptr, "q", "r"}));
    });
}

TEST_F(MetricsTest, ABatchThatIsSentAgainIsStoredOnce) {
    with_run([this]() -> asio::awaitable<void> {
        const std::string batch = scalar("a", "1.5") + "," + scalar("b", "2.5");
        co_await log(batch);
        const auto again = co_await log(batch);
        EXPECT_EQ(again.status, 200);
        EXPECT_EQ(values(co_await full(R"({"metricName":"acc"})"), "acc"), (std::vector<Json>{1.5, 2.5}));
    });
}

TEST_F(MetricsTest, WhatIsWrongWithOneMetricIsSaidAndTheOthersAreKept) {
    with_run([this]() -> asio::awaitable<void> {
        const std::string unnamed = R"({"name":"","columns":{"x":"int"},"value":[{"data":{"x":1}}]})";
        const std::string nested = R"({"name":"n","columns":{"n":"int"},"value":[{"data":{"n":[1]}}]})";
        const std::string control = R"({"name":"a\u0007","columns":{"n":"int"},"value":[{"data":{"n":1}}]})";
        const std::string other_kind = R"({"name":"acc","columns":{"acc":"double"},"value":[{"data":{"acc":1}}],)"
                                       R"("properties":{"uxMetricType":"azureml.v1.list"}})";
        const auto answer = co_await log(scalar("a", "1.5") + "," + unnamed + "," + other_kind + "," + nested + "," +
                                         control + "," + scalar("b", "2.5"));

        EXPECT_EQ(answer.status, 207);
        const Json errors = Json::parse(answer.body).at("errors");
        EXPECT_EQ(errors.size(), 4U) << answer.body;
        EXPECT_EQ(errors.at(1).at("metric").at("name"), "acc");
        EXPECT_THAT(errors.at(1).at("errorResponse").at("error").at("message").get<std::string>(),
                    HasSubstr("it is a scalar since its first use"));
        EXPECT_EQ(values(co_await full(R"({"metricName":"acc"})"), "acc"), (std::vector<Json>{1.5, 2.5}));
    });
}

TEST_F(MetricsTest, LongSeriesComeInPages) {
    with_run([this]() -> asio::awaitable<void> {
        std::string batch;
        for (int i = 0; i < 1'100; ++i) {
            batch += (i == 0 ? "" : ",") + scalar("p" + std::to_string(i), std::to_string(i) + ".0");
        }
        const auto logged = co_await log(batch);
        EXPECT_EQ(logged.status, 200) << logged.body;

        std::vector<Json> all;
        Json token;
        int pages = 0;
        do {
            const Json page = co_await full(Json{{"metricName", "acc"}, {"continuationToken", token}}.dump());
            const auto found = values(page, "acc");
            all.insert(all.end(), found.begin(), found.end());
            token = page.at("continuationToken");
            ++pages;
        } while (!token.is_null() && pages < 10);

        EXPECT_EQ(pages, 3);
        EXPECT_EQ(all.size(), 1'100U);
        EXPECT_EQ(all.back(), 1099.0);
        const Json ours = co_await get("/api/v1/runs/r1/metrics/acc?limit=2&after=1098");
        EXPECT_EQ(ours.at("points").at(1).at("data").at("acc"), 1099.0);
        EXPECT_EQ(ours.at("count"), 1'100);
        EXPECT_TRUE(ours.at("next").is_null());
    });
}

TEST_F(MetricsTest, TheListHasNamesTypesAndNothingMore) {
    with_run([this]() -> asio::awaitable<void> {
        const std::string target = "/metric/v2.0" + scope + "/runs/r1/list";
        const auto nothing = co_await send(target, "{}");
        EXPECT_EQ(Json::parse(nothing.body),
                  (Json{{"value", Json::array()}, {"continuationToken", nullptr}, {"nextLink", nullptr}}));
        co_await log(scalar("a", "NaN"));

        const auto found = co_await send(target, "");

        const Json expected{{"metricKey", {{"name", "acc"}, {"namespace", nullptr}}},
                            {"columns", {{"acc", "double"}}},
                            {"properties", {{"uxMetricType", "azureml.v1.scalar"}}}};
        EXPECT_EQ(Json::parse(found.body).at("value"), Json::array({expected}));
        const Json ours = co_await get("/api/v1/runs/r1/metrics");
        EXPECT_EQ(ours.at("metrics").at(0).at("name"), "acc");
        EXPECT_EQ(ours.at("metrics").at(0).at("kind"), "scalar");
        EXPECT_EQ(ours.at("metrics").at(0).at("count"), 1);
        EXPECT_EQ(ours.at("metrics").at(0).at("last").at("data").at("acc"), "NaN");
    });
}

TEST_F(MetricsTest, QuestionsThatMakeNoSenseAreTheClientsFault) {
    with_run([this]() -> asio::awaitable<void> {
        co_await log(scalar("a", "1.5"));
        const std::string runs = "/metric/v2.0" + scope + "/runs/";
        const std::vector<std::tuple<std::string, std::string, int>> questions{
            {runs + "r1/full", R"({"metricName":"other"})", 404},
            {runs + "r2/full", R"({"metricName":"acc"})", 404},
            {runs + "r2/batch", R"({"values":[]})", 404},
            {runs + "r2/list", "{}", 404},
            {runs + "r1/full", "{}", 400},
            {runs + "r1/full", R"({"metricName":"acc","continuationToken":"x"})", 400},
            {runs + "r1/full", R"({"metricName":"acc","startTime":"yesterday"})", 400},
            {runs + "r1/batch", "{", 400},
            {runs + "r1/batch", R"({"values":[7]})", 400},
            {runs + "r1/list", R"({"continuationToken":"-1"})", 400}};
        for (const auto& [target, body, status] : questions) {
            const auto answer = co_await send(target, body);
            EXPECT_EQ(answer.status, status) << target << " " << body << ": " << answer.body;
            EXPECT_TRUE(Json::parse(answer.body).at("error").contains("message"));
        }
        const auto ours = co_await admin_->call("GET", "/api/v1/runs/r1/metrics?limit=0");
        EXPECT_EQ(ours.error().code(), Errc::invalid_argument);
        const auto missing = co_await admin_->call("GET", "/api/v1/runs/r1/metrics/other");
        EXPECT_EQ(missing.error().code(), Errc::not_found);
    });
}

TEST_F(MetricsTest, TooManyValuesInOneCallAreRefused) {
    with_run([this]() -> asio::awaitable<void> {
        std::string points;
        for (int i = 0; i <= 10'000; ++i) {
            points += (i == 0 ? "" : ",") + std::string(R"({"data":{"l":1}})");
        }
        const auto answer = co_await log(R"({"name":"l","columns":{"l":"int"},"value":[)" + points + "]}");
        EXPECT_EQ(answer.status, 400) << answer.body;
    });
}

TEST_F(MetricsTest, ThereIsNeverAnythingToWaitFor) {
    with_run([this]() -> asio::awaitable<void> {
        for (const char* experiment : {"/experiments/e", "/experimentids/1"}) {
            const std::string target = "/history/v1.0" + scope + experiment + "/runs/r1/metricsingest/wait";
            EXPECT_EQ(co_await get(target), Json::object());
            const auto posted = co_await send(target, "");
            EXPECT_EQ(posted.status, 200);
            EXPECT_EQ(posted.body, "{}");
        }
    });
}

TEST_F(MetricsTest, ARestartHasThemAndSoHasABackup) {
    const fs::path copy = folder_ / "copy";
    with_run([&]() -> asio::awaitable<void> {
        co_await log(scalar("a", "1.5"));
        co_await post("/api/v1/backup", Json{{"directory", copy.string()}});
        co_await log(scalar("b", "2.5"));
    });

    with_coordinator([&]() -> asio::awaitable<void> {
        EXPECT_EQ(values(co_await full(R"({"metricName":"acc"})"), "acc"), (std::vector<Json>{1.5, 2.5}));
    });
    asio::io_context io;
    auto store = store::MetricStore::open((copy / "metrics.db").string());
    EXPECT_TRUE(store) << (store ? "" : store.error().detail());
    const auto copied = test::run(io, (*store)->read(RunId("r1"), "acc", {}));
    EXPECT_EQ(copied->points.size(), 1U);
    EXPECT_EQ(read_file(copy / "signing_key").value(), read_file(folder_ / "signing_key").value());
}

} // namespace
} // namespace linarite::test
