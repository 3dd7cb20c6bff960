#include "proto/json_reader.hpp"
#include "server/azureml/run_dto.hpp"

namespace linarite::azureml {
namespace {

using Row = store::ExperimentRow;

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

asio::awaitable<void> list(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    std::vector<Fault> faults;
    const Json nothing = Json::object();
    proto::JsonReader reader(body->is_null() ? nothing : *body, "", faults);
    const std::string view = reader.text("viewType", "ActiveOnly");
    auto rows = co_await call.api->experiments.list(call.workspace.id);
    co_await reply(call, std::move(rows), [&](const std::vector<Row>& found) {
        Json values = Json::array();
        for (const Row& row : found) {
            const bool wanted = view == "All" || row.archived.has_value() == (view == "ArchivedOnly");
            if (wanted) {
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

} // namespace

void add_experiment_routes(http::Router& router, const ApiPtr& api) {
    const std::string history = "/history/v1.0" + workspace_scope;
    add_route(router, api, verb::get, history + "/experiments/{experiment}", clients_and_runs, get);
    add_route(router, api, verb::post, history + "/experiments/{experiment}", clients, create);
    add_route(router, api, verb::post, history + "/experiments:query", clients_and_runs, list);
    add_route(router, api, verb::get, history + "/experimentids/{experiment_id}", clients_and_runs, get_by_id);
    add_route(router, api, verb::patch, history + "/experimentids/{experiment_id}", clients, patch);
    add_route(router, api, verb::post, history + "/experimentids/{experiment_id}/tags:delete", clients, delete_tags);
}

} // namespace linarite::azureml
