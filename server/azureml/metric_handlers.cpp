// What runs log, as the metrics service (v2) takes and gives it.
#include "proto/iso_time.hpp"
#include "proto/relaxed_json.hpp"
#include "server/azureml/call.hpp"
#include "server/service/metrics.hpp"

#include <array>
#include <charconv>

namespace linarite::azureml {
namespace {

using proto::JsonReader;
using service::MetricPoint;
using service::MetricSeries;

constexpr std::size_t body_limit = std::size_t{4} << 20U;
constexpr std::size_t page_bytes = std::size_t{256} << 10U;

// ---- the two spellings of a kind --------------------------------------------------------------------------------

/// "azureml.v1.table" for "table", "azureml.v2.image" for "image".
std::string ux_type_of(const std::string& kind) {
    if (kind.find('.') != std::string::npos) {
        return kind; // a word that was not the SDK's, kept as it came
    }
    const bool first = kind == "scalar" || kind == "list" || kind == "table";
    return (first ? "azureml.v1." : "azureml.v2.") + kind;
}

std::string kind_of(const std::string& ux_type, std::size_t columns) {
    if (ux_type.empty()) {
        return columns > 1 ? "table" : "scalar";
    }
    const std::string kind = ux_type.substr(ux_type.rfind('.') + 1);
    return ux_type_of(kind) == ux_type ? kind : ux_type;
}

// ---- bodies in ----------------------------------------------------------------------------------------------------

/// Whatever content type it has; no body is an empty object.
asio::awaitable<Result<Json>> read_relaxed(Call call) {
    const auto text = co_await call.exchange->read_body(body_limit);
    if (!text) {
        co_return text.error();
    }
    if (text->empty()) {
        co_return Json::object();
    }
    co_return proto::parse_relaxed_json(*text);
}

MetricPoint read_point(JsonReader& reader) {
    MetricPoint point;
    point.id = reader.text("metricId");
    point.at = proto::parse_precise_iso_time(reader.text("createdUtc"));
    if (reader.has("step")) {
        constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
        point.step = reader.integer("step", -largest, largest, 0);
    }
    point.data = reader.raw("data");
    return point;
}

MetricSeries read_metric(JsonReader& reader) {
    MetricSeries metric;
    metric.name = reader.text("name");
    reader.members("columns", [&](const std::string& name, const Json& type) {
        metric.columns[name] = type.is_string() ? type.get<std::string>() : "none";
    });
    reader.objects("value", [&](JsonReader& each) { metric.points.push_back(read_point(each)); });
    metric.kind = kind_of(reader.object("properties").text("uxMetricType"), metric.columns.size());
    return metric;
}

Result<std::vector<MetricSeries>> read_batch(const Json& body) {
    std::vector<MetricSeries> batch;
    std::vector<Fault> faults;
    JsonReader reader(body, "", faults);
    reader.objects("values", [&](JsonReader& each) { batch.push_back(read_metric(each)); });
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return batch;
}

/// The number that all of `text` is, if it is one of those that tokens are made of.
std::optional<std::int64_t> read_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// The text of a token of a list; 0 for none.
Result<std::int64_t> read_token(const std::string& text) {
    const auto after = read_number(text);
    if (!text.empty() && after.value_or(-1) < 0) {
        return Error(Errc::invalid_argument, "the continuation token is none of ours");
    }
    return after.value_or(0);
}

/// The token of a series: time and sequence of the last point that was given.
bool read_token(const std::string& text, store::PointRange& range) {
    const std::size_t dot = text.find('.');
    if (text.empty() || dot == std::string::npos) {
        return text.empty();
    }
    const auto time = read_number(std::string_view(text).substr(0, dot));
    const auto sequence = read_number(std::string_view(text).substr(dot + 1));
    range.after_time = PreciseTime(std::chrono::microseconds(time.value_or(0)));
    range.after = sequence.value_or(0);
    return time && sequence;
}

// ---- bodies out ---------------------------------------------------------------------------------------------------

asio::awaitable<void> reply_relaxed(Call call, Status status, Json body) {
    co_await call.exchange->reply_text(status, "application/json; charset=utf-8", proto::print_relaxed_json(body));
}

Json token_of(const MetricSeries& series) {
    if (series.next == 0) {
        return {};
    }
    const auto time = series.points.back().at.value_or(PreciseTime()).time_since_epoch().count();
    return std::to_string(time) + "." + std::to_string(series.next);
}

Json properties_of(const MetricSeries& series) {
    return Json{{"uxMetricType", ux_type_of(series.kind)}};
}

Json point_dto(const MetricPoint& point) {
    Json dto{{"metricId", point.id}, {"createdUtc", format_time(*point.at)}, {"data", point.data}};
    if (point.step) {
        dto["step"] = *point.step;
    }
    return dto;
}

Json full_dto(const RunId& run, const MetricSeries& series) {
    Json values = Json::array();
    for (const MetricPoint& point : series.points) {
        values.push_back(point_dto(point));
    }
    return Json{{"dataContainerId", "dcid." + run.str()}, {"name", series.name}, {"columns", series.columns},
                {"properties", properties_of(series)},    {"runId", run.str()},  {"value", std::move(values)},
                {"continuationToken", token_of(series)}};
}

Json list_dto(const service::MetricList& list) {
    Json values = Json::array();
    for (const MetricSeries& series : list.series) {
        values.push_back(Json{{"metricKey", Json{{"name", series.name}, {"namespace", nullptr}}},
                              {"columns", series.columns},
                              {"properties", properties_of(series)}});
    }
    return page(std::move(values), list.next == 0 ? "" : std::to_string(list.next));
}

// The client warns with the name and the message, and goes on.
Json faults_dto(const Call& call, const Json& body, const std::vector<service::MetricFault>& faults) {
    Json errors = Json::array();
    for (const service::MetricFault& fault : faults) {
        Json metric = body.at("values").at(fault.index);
        metric["value"] = Json::array(); // it knows what it sent
        errors.push_back(Json{{"metric", std::move(metric)},
                              {"errorResponse", error_body("UserError", fault.message, call.api->clock.now())}});
    }
    return Json{{"errors", std::move(errors)}};
}

// ---- handlers -----------------------------------------------------------------------------------------------------

/// The run of the path, if it is in the workspace of the path.
asio::awaitable<Result<RunId>> run_of(Call call) {
    RunId run(call.parameter("run"));
    const auto workspace = co_await call.api->metrics.workspace_of(run);
    if (!workspace) {
        co_return workspace.error();
    }
    if (*workspace != call.workspace.id) {
        co_return Error(Errc::not_found, "run '" + run.str() + "' not found");
    }
    co_return run;
}

asio::awaitable<void> append(Call call) {
    const auto run = co_await run_of(call);
    if (!run) {
        co_return co_await reply_error(call, run.error());
    }
    const auto body = co_await read_relaxed(call);
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto batch = read_batch(*body);
    if (!batch) {
        co_return co_await reply_error(call, batch.error());
    }
    const auto faults = co_await call.api->metrics.append(*run, std::move(*batch));
    if (!faults) {
        co_return co_await reply_error(call, faults.error());
    }
    Json answer = faults_dto(call, *body, *faults);
    co_await reply_relaxed(call, faults->empty() ? Status::ok : Status::multi_status, std::move(answer));
}

asio::awaitable<void> list(Call call) {
    const auto run = co_await run_of(call);
    if (!run) {
        co_return co_await reply_error(call, run.error());
    }
    const auto body = co_await read_relaxed(call);
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    std::vector<Fault> faults;
    const std::string in_body = JsonReader(*body, "", faults).text("continuationToken");
    const auto after = read_token(in_body.empty() ? call.query("continuationToken") : in_body);
    if (!faults.empty() || !after) {
        co_return co_await reply_error(call, faults.empty() ? after.error() : Error(std::move(faults)));
    }
    auto found = co_await call.api->metrics.list(*run, *after);
    co_await reply(call, std::move(found), list_dto);
}

/// What is asked for, or all that is wrong with the question.
Result<store::PointRange> read_range(const Json& body, std::string& name) {
    std::vector<Fault> faults;
    JsonReader reader(body, "", faults);
    name = reader.required_text("metricName");
    store::PointRange range;
    range.limit = service::metric_page;
    range.bytes = page_bytes;
    for (const auto& [key, bound] : {std::pair("startTime", &range.from), std::pair("endTime", &range.to)}) {
        const std::string text = reader.text(key);
        *bound = proto::parse_precise_iso_time(text);
        if (!text.empty() && !*bound) {
            reader.fault(key, "must be a time like 2026-11-23T15:13:31Z");
        }
    }
    range.order = store::PointOrder::time;
    range.after_time = PreciseTime::min();
    if (!read_token(reader.text("continuationToken"), range)) {
        reader.fault("continuationToken", "is none of ours");
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return range;
}

asio::awaitable<void> full(Call call) {
    const auto run = co_await run_of(call);
    if (!run) {
        co_return co_await reply_error(call, run.error());
    }
    const auto body = co_await read_relaxed(call);
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    std::string name;
    const auto range = read_range(*body, name);
    if (!range) {
        co_return co_await reply_error(call, range.error());
    }
    const auto series = co_await call.api->metrics.read(*run, std::move(name), *range);
    if (!series) {
        co_return co_await reply_error(call, series.error());
    }
    Json answer = full_dto(*run, *series);
    co_await reply_relaxed(call, Status::ok, std::move(answer));
}

// A batch is answered once it is stored and readable: there is never anything to wait for.
asio::awaitable<void> wait_for_ingest(Call call) {
    const auto run = co_await run_of(call);
    if (!run) {
        co_return co_await reply_error(call, run.error());
    }
    co_await reply_json(call, Json::object());
}

} // namespace

void add_metric_routes(http::Router& router, const ApiPtr& api) {
    const std::string metrics = "/metric/v2.0" + workspace_scope + "/runs/{run}";
    add_route(router, api, verb::post, metrics + "/batch", clients_and_runs, append);
    add_route(router, api, verb::post, metrics + "/list", clients_and_runs, list);
    add_route(router, api, verb::post, metrics + "/full", clients_and_runs, full);
    const std::string history = "/history/v1.0" + workspace_scope;
    for (const char* experiment : {"/experiments/{experiment}", "/experimentids/{experiment_id}"}) {
        for (const verb method : {verb::get, verb::post}) {
            add_route(router, api, method, history + experiment + "/runs/{run}/metricsingest/wait", clients_and_runs,
                      wait_for_ingest);
        }
    }
}

} // namespace linarite::azureml
