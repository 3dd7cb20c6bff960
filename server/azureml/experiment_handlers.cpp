#include "proto/json_reader.hpp"
#include "server/azureml/run_dto.hpp"
#include "server/azureml/run_filter.hpp"

#include <algorithm>

namespace linarite::azureml {
namespace {

using Row = store::ExperimentRow;
using Condition = store::RunCondition;

asio::awaitable<void> get(Call call) {
    auto row = co_await call.api->experiments.find(call.workspace.id, call.parameter("experiment"));
    if (!row && row.error().code() == Errc::not_found) {
        // clients of MLflow's plug-in write an id in this place
        row = co_await call.api->experiments.find_by_id(call.workspace.id, call.parameter("experiment"));
    }
    co_await reply(call, row, experiment_dto);
}

asio::awaitable<void> create(Call call) {
    auto row = co_await call.api->experiments.ensure(call.workspace.id, call.parameter("experiment"));
    co_await reply(call, row, experiment_dto);
}

asio::awaitable<void> get_by_id(Call call) {
    auto row = co_await call.api->experiments.find_by_id(call.workspace.id, call.parameter("experiment_id"));
    co_await reply(call, row, experiment_dto);
}

// Of experiments the SDK compares names and tags. A tag that is not there makes every comparison with it false.
bool holds(const Condition& condition, const Row& row) { // NOLINT(misc-no-recursion): as deep as the filter
    const auto part_holds = [&row](const Condition& part) { return holds(part, row); };
    switch (condition.kind) {
    case Condition::Kind::all: return std::ranges::all_of(condition.parts, part_holds);
    case Condition::Kind::any: return std::ranges::any_of(condition.parts, part_holds);
    case Condition::Kind::compare: break;
    }
    const auto tag = row.tags.find(condition.key);
    const bool by_name = condition.field == Condition::Field::id;
    if (!by_name && (condition.field != Condition::Field::tag || tag == row.tags.end())) {
        return false;
    }
    const bool same = by_name ? condition.value == row.name : tag->second == condition.value;
    return condition.op == Condition::Operator::eq ? same : condition.op == Condition::Operator::ne && !same;
}

asio::awaitable<void> list(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    std::vector<Fault> faults;
    const Json nothing = Json::object();
    proto::JsonReader reader(body->is_null() ? nothing : *body, "", faults);
    const std::string view = reader.text("viewType", "ActiveOnly");
    std::optional<Condition> condition;
    if (const std::string filter = reader.text("filter"); !filter.empty()) {
        auto parsed = parse_experiment_filter(filter);
        if (!parsed) {
            co_return co_await reply_error(call, parsed.error());
        }
        condition = std::move(*parsed);
    }
    auto rows = co_await call.api->experiments.list(call.workspace.id);
    co_await reply(call, std::move(rows), [&](const std::vector<Row>& found) {
        Json values = Json::array();
        for (const Row& row : found) {
            const bool wanted = view == "All" || row.archived.has_value() == (view == "ArchivedOnly");
            if (wanted && (!condition || holds(*condition, row))) {
                values.push_back(experiment_dto(row));
            }
        }
        return page(std::move(values));
    });
}

void apply(Row& row, const Json& body, Time now) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    if (reader.has("archive")) {
        row.archived = reader.boolean("archive", false) ? std::optional(now) : std::nullopt;
    }
    row.description = reader.text("description", row.description);
    reader.members("tags", [&](const std::string& name, const Json& value) {
        row.tags[name] = value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
    });
}

asio::awaitable<void> patch(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body || !body->is_object()) {
        co_return co_await reply_error(call, body ? Error(Errc::invalid_argument, "the body must be an object")
                                                  : body.error());
    }
    auto change = [document = *body, now = call.api->clock.now()](Row& row) { apply(row, document, now); };
    auto row =
        co_await call.api->experiments.update(call.workspace.id, call.parameter("experiment_id"), std::move(change));
    co_await reply(call, row, experiment_dto);
}

asio::awaitable<void> delete_tags(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto change = [document = *body](Row& row) {
        const Json& names = document.is_object() && document.contains("tags") ? document["tags"] : document;
        for (const Json& name : names) {
            row.tags.erase(name.is_string() ? name.get<std::string>() : "");
        }
    };
    auto row =
        co_await call.api->experiments.update(call.workspace.id, call.parameter("experiment_id"), std::move(change));
    co_await reply(call, row, experiment_dto);
}

asio::awaitable<void> refuse_deletion(Call call) {
    co_await reply_fault(call, Status::bad_request, "NotEmulated",
                         "Linarite deletes no experiments: archive() puts one out of sight, with all its runs");
}

} // namespace

void add_experiment_routes(http::Router& router, const ApiPtr& api) {
    const std::string history = "/history/v1.0" + workspace_scope;
    add_route(router, api, verb::get, history + "/experiments/{experiment}", clients_and_runs, get);
    add_route(router, api, verb::post, history + "/experiments/{experiment}", clients, create);
    add_route(router, api, verb::post, history + "/experiments:query", clients_and_runs, list);
    add_route(router, api, verb::get, history + "/experimentids/{experiment_id}", clients_and_runs, get_by_id);
    add_route(router, api, verb::patch, history + "/experimentids/{experiment_id}", clients, patch);
    add_route(router, api, verb::delete_, history + "/experimentids/{experiment_id}", clients, refuse_deletion);
    add_route(router, api, verb::post, history + "/experimentids/{experiment_id}/tags:delete", clients, delete_tags);
}

} // namespace linarite::azureml
