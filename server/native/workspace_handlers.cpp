#include "proto/json_reader.hpp"
#include "server/native/render.hpp"

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

Json render(const store::WorkspaceRow& row) {
    return Json{{"id", row.id},
                {"name", row.name},
                {"subscription", row.subscription},
                {"resource_group", row.resource_group},
                {"created", format_time(row.created)}};
}

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    Json out = Json::array();
    for (const store::WorkspaceRow& row : api->workspaces.list()) {
        out.push_back(render(row));
    }
    co_await exchange.reply_json(Status::ok, Json{{"workspaces", std::move(out)}});
}

asio::awaitable<void> create(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    const store::WorkspaceRow& first = api->workspaces.default_row();
    std::vector<Fault> faults;
    proto::JsonReader reader(*body, "", faults);
    const std::string name = reader.required_text("name");
    const std::string subscription = reader.text("subscription", first.subscription);
    const std::string group = reader.text("resource_group", first.resource_group);
    reader.refuse_others();
    if (!faults.empty()) {
        co_return co_await exchange.reply_error(Error(std::move(faults)));
    }
    const auto row = co_await api->workspaces.create(subscription, group, name);
    co_await reply(exchange, row, render, Status::created);
}

} // namespace

void add_workspace_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/workspaces", admins, [api](Exchange& exchange) { return list(api, exchange); });
    router.add(Verb::post, "/api/v1/workspaces", admins, [api](Exchange& exchange) { return create(api, exchange); });
}

} // namespace linarite::native
