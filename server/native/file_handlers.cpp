#include "common/files.hpp"
#include "server/native/render.hpp"

namespace linarite::native {
namespace {

using http::Exchange;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    const auto files = co_await api->storage.list(RunId(parameter(exchange, "id")), query(exchange, "prefix"));
    co_await reply(exchange, files, [](const std::vector<service::RunFile>& found) {
        Json out = Json::array();
        for (const service::RunFile& file : found) {
            out.push_back(Json{{"path", file.path},
                               {"size", file.size},
                               {"sha256", file.sha256.empty() ? Json() : Json(file.sha256)}});
        }
        return Json{{"files", std::move(out)}};
    });
}

asio::awaitable<void> get(ApiPtr api, Exchange& exchange) {
    const RunId run(parameter(exchange, "id"));
    const auto path = parse_relative_path(parameter(exchange, "path"), "file");
    if (!path) {
        co_return co_await exchange.reply_error(path.error());
    }
    const auto file = co_await api->storage.open(run, *path, service::Shown::all);
    if (!file) {
        co_return co_await exchange.reply_error(file.error());
    }
    co_await exchange.reply_open_file(std::move(*file->fd), file->size, content_type_of(*path), file->version);
}

} // namespace

void add_file_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/runs/{id}/files", admins, [api](Exchange& exchange) { return list(api, exchange); });
    router.add(Verb::get, "/api/v1/runs/{id}/files/{path...}", admins,
               [api](Exchange& exchange) { return get(api, exchange); });
}

} // namespace linarite::native
