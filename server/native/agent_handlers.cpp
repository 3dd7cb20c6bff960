#include "server/http/feed_body.hpp"
#include "server/native/render.hpp"

#include <charconv>

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

asio::awaitable<void> sync(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    auto request = proto::parse_sync_request(*body);
    if (!request) {
        co_return co_await exchange.reply_error(request.error());
    }
    const auto answer = co_await api->nodes.sync(NodeName(exchange.head().principal.name), std::move(*request));
    co_await reply(exchange, answer, [](const proto::SyncAnswer& found) { return proto::print(found); });
}

Result<Fence> parse_fence(const std::string& text) {
    Fence fence = 0;
    if (text.empty() ||
        std::from_chars(text.data(), text.data() + text.size(), fence).ptr != text.data() + text.size()) {
        return Error({Fault{"?fence", "expected the fence of the placement"}});
    }
    return fence;
}

// The body of a 409 says how long the file is here, so that the sender goes on from there.
asio::awaitable<void> reply_conflict(Exchange& exchange, const Error& error, const service::LengthConflict& conflict) {
    const Json body{{"error", Json{{"code", "Conflict"}, {"message", error.detail()}}},
                    {"path", conflict.path},
                    {"length", conflict.length}};
    co_await exchange.reply_json(Status::conflict, body);
}

asio::awaitable<void> receive_files(ApiPtr api, Exchange& exchange) {
    const RunId run(parameter(exchange, "id"));
    const auto fence = parse_fence(query(exchange, "fence"));
    if (!fence) {
        co_return co_await exchange.reply_error(fence.error());
    }
    if (auto allowed = api->storage.check_fence(run, *fence); !allowed) {
        co_return co_await exchange.reply_error(allowed.error());
    }
    service::RunStorage::Upload upload(api->storage, run);
    const Result<void> fed = co_await http::feed_body(exchange, upload);
    if (!fed && !upload.length_conflict()) {
        co_return co_await exchange.reply_error(fed.error());
    }
    // frames before the conflict are kept, so what they brought is indexed too
    const Result<void> done = co_await upload.finish();
    if (!fed) {
        co_return co_await reply_conflict(exchange, fed.error(), *upload.length_conflict());
    }
    co_await reply(exchange, done.has_value() ? Result<bool>(true) : Result<bool>(done.error()), [&](bool) {
        Json files = Json::array();
        for (const auto& [path, length] : upload.lengths()) {
            files.push_back(Json{{"path", path}, {"length", length}});
        }
        return Json{{"files", std::move(files)}};
    });
}

} // namespace

void add_agent_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::post, "/api/v1/agent/sync", agents, [api](Exchange& exchange) { return sync(api, exchange); });
    router.add(Verb::post, "/api/v1/agent/runs/{id}/files", agents,
               [api](Exchange& exchange) { return receive_files(api, exchange); });
}

} // namespace linarite::native
