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

/// A file that is replaced as a whole may be another one already than its row says.
bool was_replaced(const fs::path& at, const service::RunFile& file) {
    std::error_code ec;
    const auto size = fs::file_size(at, ec);
    return !file.sha256.empty() && !ec && size != file.size;
}

asio::awaitable<void> get(ApiPtr api, Exchange& exchange) {
    const RunId run(parameter(exchange, "id"));
    const auto path = parse_relative_path(parameter(exchange, "path"), "file");
    if (!path) {
        co_return co_await exchange.reply_error(path.error());
    }
    const auto located = co_await api->storage.locate(run, *path);
    if (!located) {
        co_return co_await exchange.reply_error(located.error());
    }
    auto file = co_await api->storage.find(run, *path);
    for (int tries = 0; tries < 3 && file && was_replaced(*located, *file); ++tries) {
        file = co_await api->storage.find(run, *path); // the row follows at once
    }
    if (!file) {
        co_return co_await exchange.reply_error(file.error());
    }
    co_await exchange.reply_file(*located, file->size, content_type_of(*path), file->sha256);
}

} // namespace

void add_file_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/runs/{id}/files", admins, [api](Exchange& exchange) { return list(api, exchange); });
    router.add(Verb::get, "/api/v1/runs/{id}/files/{path...}", admins,
               [api](Exchange& exchange) { return get(api, exchange); });
}

} // namespace linarite::native
