#include "proto/json_reader.hpp"
#include "server/azureml/artifacts.hpp"
#include "server/azureml/run_changes.hpp"
#include "server/azureml/run_dto.hpp"
#include "server/azureml/run_filter.hpp"
#include "server/service/run_history.hpp"

#include <charconv>

namespace linarite::azureml {
namespace {

using namespace std::chrono_literals;
using Row = store::RunRow;
using Condition = store::RunCondition;

constexpr Millis run_token_life = 24h;
constexpr std::int64_t largest_page = 500;

// The SDK streams the log of a run only while it sees it alive, and it looks for the first time about a second after
// the submit: of a quick script it would print nothing. So an end that is this fresh is told as Finalizing to a
// client's first look, which reads the log then and learns the end from its second.
constexpr Millis fresh_end = 3s;
constexpr std::size_t looks_remembered = 10'000;

void note_look(Api& api, const RunId& run) {
    if (api.looked_at.size() >= looks_remembered) {
        api.looked_at.clear();
    }
    api.looked_at.insert(run);
}

/// Whoever asks for details after this knows the end.
void note_end_told(Api& api, const Row& row) {
    if (core::is_terminal(row.status)) {
        note_look(api, row.id);
    }
}

/// The run as it is told to who may not have looked at it yet. That is also who patches it: the SDK does so right after
/// the submit, and keeps an end that it reads in the answer.
Row before_first_look(const Api& api, Row row) {
    const bool fresh = row.ended && api.clock.now() - *row.ended < fresh_end;
    if (!row.interactive && core::is_terminal(row.status) && fresh && !api.looked_at.contains(row.id)) {
        row.status = core::RunStatus::finalizing;
        row.ended.reset();
        row.outcome.reset();
    }
    return row;
}

asio::awaitable<void> reply_run(Call call, Result<Row> row) {
    co_await reply(call, std::move(row), [&](const Row& found) { return run_dto(call, found); });
}

asio::awaitable<void> get(Call call) {
    auto row = co_await find_run(call, call.parameter("run"));
    if (row) {
        note_end_told(*call.api, *row);
    }
    co_await reply_run(call, std::move(row));
}

asio::awaitable<void> patch(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto row = co_await put_run(call, call.parameter("run"), *body);
    if (row) {
        row = before_first_look(*call.api, std::move(*row));
    }
    co_await reply_run(call, std::move(row));
}

asio::awaitable<void> details(Call call) {
    auto found = co_await find_run(call, call.parameter("run"));
    if (!found) {
        co_return co_await reply_error(call, found.error());
    }
    const Row row = before_first_look(*call.api, std::move(*found));
    note_look(*call.api, row.id);
    auto files = co_await log_files(call, row.id);
    co_await reply(call, std::move(files), [&](const Json& logs) { return details_dto(call, row, logs); });
}

asio::awaitable<void> event(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    const auto done = co_await take_event(call, call.parameter("run"), *body);
    if (!done) {
        co_return co_await reply_error(call, done.error());
    }
    co_await call.exchange->reply_empty(Status::ok);
}

asio::awaitable<void> delete_tags(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body || !body->is_array()) {
        co_return co_await reply_error(call, body ? Error(Errc::invalid_argument, "the body must be a list of names")
                                                  : body.error());
    }
    const auto known = co_await find_run(call, call.parameter("run"));
    if (!known) {
        co_return co_await reply_error(call, known.error());
    }
    store::RunPatch patch;
    patch.run = known->id;
    for (const Json& name : *body) {
        if (name.is_string()) {
            patch.removed_tags.push_back(name.get<std::string>());
        }
    }
    auto row = co_await call.api->history.patch(std::move(patch));
    co_await reply_run(call, std::move(row));
}

asio::awaitable<void> token(Call call) {
    const auto row = co_await find_run(call, call.parameter("run"));
    if (!row) {
        co_return co_await reply_error(call, row.error());
    }
    const Time expires = call.api->clock.now() + run_token_life;
    const auto made = call.api->tokens.issue({service::Claims::Role::run, row->id.str(), row->attempt, expires});
    co_await reply(call, made, [&](const std::string& text) {
        return Json{{"token", text}, {"expiryTimeUtc", format_time(expires)}};
    });
}

// ---- many runs ------------------------------------------------------------------------------------------------------

/// What a listing asks for, in the query or in the body.
struct Asked {
    std::string filter;
    std::string order;
    std::string top;
    std::string token;
};

std::optional<std::int64_t> number(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value >= 0 ? std::optional(value) : std::nullopt;
}

Result<store::RunQuery> read_query(const Asked& asked, std::string workspace) {
    store::RunQuery query;
    query.workspace = std::move(workspace);
    query.oldest_first = asked.order.ends_with(" asc") || asked.order == "CreatedUtc" || asked.order == "StartTimeUtc";
    std::vector<Fault> faults;
    const auto top = number(asked.top.empty() ? "500" : asked.top);
    const auto skip = number(asked.token.empty() ? "0" : asked.token);
    if (!top || *top == 0) {
        faults.push_back({"/top", "'" + asked.top + "' is no page size"});
    }
    if (!skip) {
        faults.push_back({"/continuationToken", "not a token that this server gave"});
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    query.limit = static_cast<int>(std::min(*top, largest_page));
    query.skip = *skip;
    if (!asked.filter.empty()) {
        auto condition = parse_run_filter(asked.filter);
        if (!condition) {
            return condition.error();
        }
        query.condition = std::move(*condition);
    }
    return query;
}

Condition equals(Condition::Field field, std::string value) {
    Condition condition;
    condition.field = field;
    condition.value = std::move(value);
    return condition;
}

void also(store::RunQuery& query, Condition condition) {
    if (!query.condition) {
        query.condition = std::move(condition);
        return;
    }
    Condition both;
    both.kind = Condition::Kind::all;
    both.parts = {std::move(*query.condition), std::move(condition)};
    query.condition = std::move(both);
}

asio::awaitable<void> reply_page(Call call, store::RunQuery query) {
    if (call.caller().role == http::Principal::Role::run) {
        also(query, equals(Condition::Field::root, call.caller().name)); // others' runs are not there for it
    }
    const std::int64_t size = query.limit++; // one more tells whether there is another page
    const std::int64_t skip = query.skip;
    auto rows = co_await call.api->history.query(std::move(query));
    co_await reply(call, std::move(rows), [&](const std::vector<Row>& found) {
        Json values = Json::array();
        for (const Row& row : found) {
            if (static_cast<std::int64_t>(values.size()) < size) {
                note_end_told(*call.api, row);
                values.push_back(run_dto(call, row));
            }
        }
        const bool more = static_cast<std::int64_t>(found.size()) > size;
        return page(std::move(values), more ? std::to_string(skip + size) : "");
    });
}

Asked asked_in_query(const Call& call) {
    return {call.query("$filter"), call.query("$orderby"), call.query("$top"), call.query("$continuationToken")};
}

Asked asked_in_body(const Json& body) {
    std::vector<Fault> faults;
    const Json nothing = Json::object();
    proto::JsonReader reader(body.is_object() ? body : nothing, "", faults);
    Asked asked{reader.text("filter"), reader.text("orderby"), "", reader.text("continuationToken")};
    if (reader.has("top")) {
        asked.top = std::to_string(reader.integer("top", 1, 1'000'000, largest_page));
    }
    return asked;
}

asio::awaitable<void> query_runs(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto query = read_query(asked_in_body(*body), call.workspace.id);
    if (!query) {
        co_return co_await reply_error(call, query.error());
    }
    const auto experiment = co_await experiment_name(call);
    if (!experiment) {
        co_return co_await reply_error(call, experiment.error());
    }
    query->experiment = *experiment;
    co_await reply_page(call, std::move(*query));
}

asio::awaitable<void> children(Call call) {
    auto query = read_query(asked_in_query(call), call.workspace.id);
    if (!query) {
        co_return co_await reply_error(call, query.error());
    }
    also(*query, equals(Condition::Field::parent, call.parameter("run")));
    co_await reply_page(call, std::move(*query));
}

asio::awaitable<void> runs_of_compute(Call call) {
    auto query = read_query(asked_in_query(call), call.workspace.id);
    if (!query) {
        co_return co_await reply_error(call, query.error());
    }
    also(*query, equals(Condition::Field::target, call.parameter("compute")));
    co_await reply_page(call, std::move(*query));
}

// ---- batches --------------------------------------------------------------------------------------------------------

Json problem(const Call& call, const Error& error) {
    return error_body("UserError", error.detail(), call.api->clock.now());
}

bool may_write(const Call& call, const Row& row) {
    return call.caller().role != http::Principal::Role::run || row.id.str() == call.caller().name ||
           row.root.str() == call.caller().name;
}

asio::awaitable<void> patch_batch(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body || !body->is_object() || !body->value("runs", Json()).is_array()) {
        co_return co_await reply_error(call, body ? Error({Fault{"/runs", "expected a list of runs"}}) : body.error());
    }
    Json done = Json::object();
    Json errors = Json::object();
    for (const Json& each : (*body)["runs"]) {
        const std::string id =
            each.is_object() ? each.value("runId", Json("")).is_string() ? each.value("runId", "") : "" : "";
        const auto known = co_await find_run(call, id);
        auto row = known && !may_write(call, *known) ? Result<Row>(Error(Errc::not_found, "run '" + id + "' not found"))
                                                     : co_await put_run(call, id, each);
        if (row) {
            done[id] = run_dto(call, before_first_look(*call.api, std::move(*row)));
        } else {
            errors[id] = problem(call, row.error());
        }
    }
    Json answer{{"runs", std::move(done)}, {"errors", std::move(errors)}};
    co_await reply_json(call, std::move(answer));
}

asio::awaitable<void> event_batch(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body || !body->is_object() || !body->value("events", Json()).is_array()) {
        co_return co_await reply_error(call,
                                       body ? Error({Fault{"/events", "expected a list of events"}}) : body.error());
    }
    Json errors = Json::array();
    for (const Json& each : (*body)["events"]) {
        const Json::json_pointer pointer("/data/RunId");
        const std::string id = each.is_object() && each.contains(pointer) && each[pointer].is_string()
                                   ? each[pointer].get<std::string>()
                                   : "";
        const auto known = co_await find_run(call, id);
        const bool allowed = known && may_write(call, *known);
        const auto done = allowed ? co_await take_event(call, id, each)
                                  : Result<void>(Error(Errc::not_found, "run '" + id + "' not found"));
        if (!done) {
            errors.push_back(problem(call, done.error()));
        }
    }
    Json answer{{"errors", std::move(errors)}};
    co_await reply_json(call, std::move(answer));
}

} // namespace

void add_run_routes(http::Router& router, const ApiPtr& api) {
    const std::string history = "/history/v1.0" + workspace_scope;
    const auto add = [&](verb method, const std::string& rest, Handler handler) {
        add_route(router, api, method, history + "/experiments/{experiment}" + rest, clients_and_runs, handler);
        add_route(router, api, method, history + "/experimentids/{experiment_id}" + rest, clients_and_runs, handler);
    };
    add(verb::get, "/runs/{run}", get);
    add(verb::patch, "/runs/{run}", patch);
    add(verb::get, "/runs/{run}/details", details);
    add(verb::get, "/runs/{run}/children", children);
    add(verb::get, "/runs/{run}/token", token);
    add(verb::post, "/runs/{run}/events", event);
    add(verb::delete_, "/runs/{run}/tags", delete_tags);
    add(verb::post, "/runs:query", query_runs);
    add(verb::patch, "/batch/runs", patch_batch);
    add(verb::post, "/batch/events", event_batch);
    add_route(router, api, verb::get, history + "/runs/{run}", clients_and_runs, get);
    add_route(router, api, verb::get, history + "/runs/{run}/details", clients_and_runs, details);
    add_route(router, api, verb::get, history + "/computes/{compute}/runs", clients, runs_of_compute);
}

} // namespace linarite::azureml
