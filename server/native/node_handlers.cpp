#include "proto/json_reader.hpp"
#include "server/native/render.hpp"

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    const auto rows = co_await api->nodes.list();
    co_await reply(exchange, rows, [&](const std::vector<store::NodeRow>& found) {
        const std::vector<core::NodeView> views = api->scheduler.reactor().nodes();
        Json nodes = Json::array();
        for (const store::NodeRow& row : found) {
            const auto view = std::find_if(views.begin(), views.end(),
                                           [&](const core::NodeView& each) { return each.spec.name == row.name; });
            nodes.push_back(render_node(row, view == views.end() ? nullptr : &*view));
        }
        return Json{{"nodes", std::move(nodes)}};
    });
}

asio::awaitable<void> make_token(ApiPtr api, Exchange& exchange) {
    const auto token = co_await api->nodes.make_join_token();
    co_await reply(exchange, token, [&](const std::string& text) {
        proto::JoinString join = api->join_template();
        join.token = text;
        return Json{{"join", proto::print(join)}};
    });
}

asio::awaitable<void> drain(ApiPtr api, Exchange& exchange, bool drained) {
    const NodeName name(parameter(exchange, "name"));
    const auto done = co_await api->nodes.drain(name, drained);
    if (!done) {
        co_return co_await exchange.reply_error(done.error());
    }
    co_await exchange.reply_json(Status::ok, Json{{"name", name.str()}, {"drained", drained}});
}

asio::awaitable<void> remove(ApiPtr api, Exchange& exchange) {
    const NodeName name(parameter(exchange, "name"));
    const auto done = co_await api->nodes.remove(name);
    if (!done) {
        co_return co_await exchange.reply_error(done.error());
    }
    co_await exchange.reply_json(Status::ok, Json{{"name", name.str()}, {"removed", true}});
}

asio::awaitable<void> targets(ApiPtr api, Exchange& exchange) {
    std::map<std::string, std::pair<int, int>> counts; // nodes, up
    for (const core::NodeView& node : api->scheduler.reactor().nodes()) {
        for (const std::string& target : node.spec.targets) {
            ++counts[target].first;
            counts[target].second += node.up ? 1 : 0;
        }
    }
    Json list = Json::array();
    for (const auto& [name, count] : counts) {
        list.push_back(Json{{"name", name}, {"nodes", count.first}, {"up", count.second}});
    }
    co_await exchange.reply_json(Status::ok, Json{{"targets", std::move(list)}});
}

asio::awaitable<void> join(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    auto request = proto::parse_join_request(*body);
    if (!request) {
        co_return co_await exchange.reply_error(request.error());
    }
    const auto answer = co_await api->nodes.join(std::move(*request));
    co_await reply(exchange, answer, [](const proto::JoinAnswer& joined) { return proto::print(joined); });
}

} // namespace

void add_node_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/nodes", admins, [api](Exchange& exchange) { return list(api, exchange); });
    router.add(Verb::post, "/api/v1/nodes/join-tokens", admins,
               [api](Exchange& exchange) { return make_token(api, exchange); });
    router.add(Verb::post, "/api/v1/nodes/{name}/drain", admins,
               [api](Exchange& exchange) { return drain(api, exchange, true); });
    router.add(Verb::post, "/api/v1/nodes/{name}/resume", admins,
               [api](Exchange& exchange) { return drain(api, exchange, false); });
    router.add(Verb::delete_, "/api/v1/nodes/{name}", admins,
               [api](Exchange& exchange) { return remove(api, exchange); });
    router.add(Verb::get, "/api/v1/targets", admins, [api](Exchange& exchange) { return targets(api, exchange); });
    // the join token in the body is the proof; there is no bearer yet
    router.add(Verb::post, "/api/v1/agent/join", {http::Principal::Role::none},
               [api](Exchange& exchange) { return join(api, exchange); });
}

} // namespace linarite::native
