#include "proto/relaxed_json.hpp"
#include "server/native/render.hpp"

#include <charconv>

namespace linarite::native {
namespace {

using http::Exchange;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

constexpr std::size_t page_bytes = std::size_t{1} << 20U;

/// A query's number, or `otherwise` if it is not there.
std::int64_t number(const Exchange& exchange, const std::string& name, std::int64_t highest, std::int64_t otherwise,
                    std::vector<Fault>& faults) {
    const std::string text = query(exchange, name);
    std::int64_t value = otherwise;
    if (text.empty()) {
        return value;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > highest) {
        faults.push_back({"?" + name, "expected an integer in 1.." + std::to_string(highest)});
    }
    return value;
}

Result<store::PointRange> read_range(const Exchange& exchange) {
    std::vector<Fault> faults;
    store::PointRange range;
    range.after = number(exchange, "after", std::numeric_limits<std::int64_t>::max(), 0, faults);
    range.limit = static_cast<int>(number(exchange, "limit", service::metric_page, service::metric_page, faults));
    range.bytes = page_bytes;
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return range;
}

Json render_point(const service::MetricPoint& point) {
    return Json{{"sequence", point.sequence},
                {"time", point.at ? Json(format_time(*point.at)) : Json()},
                {"step", point.step ? Json(*point.step) : Json()},
                {"data", proto::without_bare_words(point.data)}};
}

Json render_series(const service::MetricSeries& series) {
    return Json{{"name", series.name}, {"kind", series.kind}, {"columns", series.columns}, {"count", series.count}};
}

Json render_next(std::int64_t next) {
    return next == 0 ? Json() : Json(next);
}

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    const auto range = read_range(exchange);
    if (!range) {
        co_return co_await exchange.reply_error(range.error());
    }
    const auto found = co_await api->metrics.list(RunId(parameter(exchange, "id")), range->after, range->limit);
    co_await reply(exchange, found, [](const service::MetricList& page) {
        Json metrics = Json::array();
        for (const service::MetricSeries& series : page.series) {
            metrics.push_back(render_series(series));
            metrics.back()["last"] = series.points.empty() ? Json() : render_point(series.points.back());
        }
        return Json{{"metrics", std::move(metrics)}, {"next", render_next(page.next)}};
    });
}

asio::awaitable<void> show(ApiPtr api, Exchange& exchange) {
    const auto range = read_range(exchange);
    if (!range) {
        co_return co_await exchange.reply_error(range.error());
    }
    const auto found =
        co_await api->metrics.read(RunId(parameter(exchange, "id")), parameter(exchange, "name"), *range);
    co_await reply(exchange, found, [](const service::MetricSeries& series) {
        Json points = Json::array();
        for (const service::MetricPoint& point : series.points) {
            points.push_back(render_point(point));
        }
        Json answer = render_series(series);
        answer["points"] = std::move(points);
        answer["next"] = render_next(series.next);
        return answer;
    });
}

} // namespace

void add_metric_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/runs/{id}/metrics", admins,
               [api](Exchange& exchange) { return list(api, exchange); });
    router.add(Verb::get, "/api/v1/runs/{id}/metrics/{name...}", admins,
               [api](Exchange& exchange) { return show(api, exchange); });
}

} // namespace linarite::native
