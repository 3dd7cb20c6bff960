#include "proto/json_reader.hpp"
#include "server/native/render.hpp"

#include <charconv>

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

Result<service::SubmitRequest> parse_submit(const Json& body, const std::string& caller) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    service::SubmitRequest request;
    request.id = RunId(reader.text("run_id"));
    request.experiment = reader.required_text("experiment");
    request.snapshot = SnapshotId(reader.required_text("snapshot"));
    request.definition = reader.raw("definition");
    if (!request.definition.is_object()) {
        faults.push_back({"/definition", "expected an object: a run configuration"});
    }
    reader.refuse_others();
    request.submitted_by = caller;
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return request;
}

asio::awaitable<void> submit(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    Result<service::SubmitRequest> request = parse_submit(*body, exchange.head().principal.name);
    if (!request) {
        co_return co_await exchange.reply_error(request.error());
    }
    if (query(exchange, "dry_run") == "true") {
        const auto checked = co_await api->runs.check(std::move(*request));
        co_return co_await reply(exchange, checked, [](const service::Checked& result) {
            return Json{{"definition", result.definition}, {"warnings", result.warnings}};
        });
    }
    const auto submitted = co_await api->runs.submit(std::move(*request));
    const Status status = submitted && submitted->created ? Status::created : Status::ok;
    co_await reply(
        exchange, submitted, [](const service::Submitted& result) { return render_run(result.row); }, status);
}

// The cursor is "<created ms>.<run id>" of the last run of a page.
Result<void> read_cursor(const std::string& cursor, store::RunFilter& filter) {
    std::int64_t ms = 0;
    const auto [end, error] = std::from_chars(cursor.data(), cursor.data() + cursor.size(), ms);
    if (error != std::errc() || end == cursor.data() + cursor.size() || *end != '.') {
        return Error({Fault{"?before", "not a cursor that this server gave"}});
    }
    filter.before = from_ms(ms);
    filter.before_id = RunId(std::string(end + 1, cursor.data() + cursor.size()));
    return {};
}

Result<void> read_statuses(const std::string& list, store::RunFilter& filter) {
    for (std::size_t at = 0; at < list.size();) {
        const std::size_t end = std::min(list.find(',', at), list.size());
        const auto status = core::status_from_wire(std::string_view(list).substr(at, end - at));
        if (!status) {
            return Error({Fault{"?status", "'" + list.substr(at, end - at) +
                                               "' is not a status; write them as in 'Running' or 'Completed'"}});
        }
        filter.statuses.push_back(*status);
        at = end + 1;
    }
    return {};
}

Result<store::RunFilter> parse_filter(const Exchange& exchange) {
    store::RunFilter filter;
    filter.experiment = query(exchange, "experiment");
    filter.target = query(exchange, "target");
    filter.text = query(exchange, "text");
    filter.environment = query(exchange, "environment");
    if (filter.environment.find_first_not_of("0123456789abcdef") != std::string::npos) {
        return Error({Fault{"?environment", "expected the key of an environment or its beginning: lower-case hex"}});
    }
    if (auto read = read_statuses(query(exchange, "status"), filter); !read) {
        return read.error();
    }
    if (const std::string cursor = query(exchange, "before"); !cursor.empty()) {
        if (auto read = read_cursor(cursor, filter); !read) {
            return read.error();
        }
    }
    if (const std::string limit = query(exchange, "limit"); !limit.empty()) {
        const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), filter.limit);
        if (error != std::errc() || end != limit.data() + limit.size() || filter.limit < 1 || filter.limit > 500) {
            return Error({Fault{"?limit", "expected an integer in 1..500"}});
        }
    }
    return filter;
}

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    const auto filter = parse_filter(exchange);
    if (!filter) {
        co_return co_await exchange.reply_error(filter.error());
    }
    const auto rows = co_await api->runs.list(*filter);
    co_await reply(exchange, rows, [&](const std::vector<store::RunRow>& found) {
        Json runs = Json::array();
        for (const store::RunRow& row : found) {
            runs.push_back(render_run(row));
        }
        const bool full = static_cast<int>(found.size()) == filter->limit;
        const Json next =
            full ? Json(std::to_string(to_ms(found.back().created)) + "." + found.back().id.str()) : Json();
        return Json{{"runs", std::move(runs)}, {"next", next}};
    });
}

asio::awaitable<void> show(ApiPtr api, Exchange& exchange) {
    const auto row = co_await api->runs.find(RunId(parameter(exchange, "id")));
    if (!row) {
        co_return co_await exchange.reply_error(row.error());
    }
    const auto same = co_await api->runs.find_same_environment(*row);
    co_await reply(exchange, same, [&row](const std::optional<store::RunRow>& earlier) {
        Json document = render_run(*row);
        document["same_environment_as"] = earlier ? Json{{"run_id", earlier->id.str()},
                                                         {"experiment", earlier->experiment},
                                                         {"created", render_time(earlier->created)}}
                                                  : Json();
        return document;
    });
}

asio::awaitable<void> events(ApiPtr api, Exchange& exchange) {
    const auto rows = co_await api->runs.events(RunId(parameter(exchange, "id")));
    co_await reply(exchange, rows, [](const std::vector<store::EventRow>& found) {
        Json list = Json::array();
        for (const store::EventRow& row : found) {
            list.push_back(render_event(row));
        }
        return Json{{"events", std::move(list)}};
    });
}

asio::awaitable<void> explain(ApiPtr api, Exchange& exchange) {
    const RunId id(parameter(exchange, "id"));
    const auto row = co_await api->runs.find(id);
    const auto reason = co_await api->runs.explain(id);
    if (!row || !reason) {
        co_return co_await exchange.reply_error(row ? reason.error() : row.error());
    }
    Json lines = Json::array();
    for (std::size_t at = 0; at <= reason->size();) {
        const std::size_t end = std::min(reason->find('\n', at), reason->size());
        lines.push_back(reason->substr(at, end - at));
        at = end + 1;
    }
    co_await exchange.reply_json(Status::ok, Json{{"run_id", id.str()},
                                                  {"status", core::to_wire(row->status)},
                                                  {"reason", *reason},
                                                  {"lines", std::move(lines)}});
}

asio::awaitable<void> cancel(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json(); // content type and size are checked; nothing in it is used
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    const auto row = co_await api->runs.cancel(RunId(parameter(exchange, "id")), exchange.head().principal.name);
    co_await reply(exchange, row, render_run);
}

} // namespace

void add_run_routes(http::Router& router, const ApiPtr& api) {
    const auto add = [&](Verb verb, const std::string& pattern, asio::awaitable<void> (*handler)(ApiPtr, Exchange&)) {
        router.add(verb, pattern, admins, [api, handler](Exchange& exchange) { return handler(api, exchange); });
    };
    add(Verb::post, "/api/v1/runs", submit);
    add(Verb::get, "/api/v1/runs", list);
    add(Verb::get, "/api/v1/runs/{id}", show);
    add(Verb::get, "/api/v1/runs/{id}/events", events);
    add(Verb::get, "/api/v1/runs/{id}/explain", explain);
    add(Verb::post, "/api/v1/runs/{id}/cancel", cancel);
}

} // namespace linarite::native
