#include "common/files.hpp"
#include "proto/json_reader.hpp"
#include "server/http/feed_body.hpp"
#include "server/native/render.hpp"

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

Json render(const store::DatastoreRow& row) {
    return Json{{"name", row.name}, {"path", row.path}, {"shared", row.shared}, {"default", row.is_default}};
}

asio::awaitable<void> list(ApiPtr api, Exchange& exchange) {
    const auto rows = co_await api->datastores.list();
    co_await reply(exchange, rows, [](const std::vector<store::DatastoreRow>& found) {
        Json out = Json::array();
        for (const store::DatastoreRow& row : found) {
            out.push_back(render(row));
        }
        return Json{{"datastores", std::move(out)}};
    });
}

asio::awaitable<void> create(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*body, "", faults);
    const std::string name = reader.required_text("name");
    const std::string path = reader.text("path");
    const bool shared = reader.boolean("shared", false);
    reader.refuse_others();
    if (!faults.empty()) {
        co_return co_await exchange.reply_error(Error(std::move(faults)));
    }
    const auto row = co_await api->datastores.create(name, path, shared);
    co_await reply(exchange, row, render, Status::created);
}

asio::awaitable<void> files(ApiPtr api, Exchange& exchange) {
    const auto found = co_await api->datastores.files(parameter(exchange, "name"), query(exchange, "prefix"));
    co_await reply(exchange, found, [](const std::vector<artifacts::RunFiles::Entry>& entries) {
        Json out = Json::array();
        for (const artifacts::RunFiles::Entry& entry : entries) {
            out.push_back(Json{{"path", entry.name}, {"size", entry.size}});
        }
        return Json{{"files", std::move(out)}};
    });
}

asio::awaitable<void> get(ApiPtr api, Exchange& exchange) {
    const auto path = parse_relative_path(parameter(exchange, "path"), "file");
    if (!path) {
        co_return co_await exchange.reply_error(path.error());
    }
    const auto located = co_await api->datastores.locate(parameter(exchange, "name"), *path);
    if (!located) {
        co_return co_await exchange.reply_error(located.error());
    }
    co_await exchange.reply_file(located->path, located->size, content_type_of(*path), "");
}

/// Takes a body into a file, on the file thread.
class Receiver {
public:
    Receiver(asio::thread_pool& pool, artifacts::IncomingFile& file) : pool_(pool), file_(file) {}
    asio::awaitable<Result<void>> feed(std::string_view bytes) {
        auto work = [this, bytes] { return file_.append(bytes); };
        return on_pool(pool_, std::move(work));
    }

private:
    asio::thread_pool& pool_;
    artifacts::IncomingFile& file_;
};

asio::awaitable<void> put(ApiPtr api, Exchange& exchange) {
    const auto path = parse_relative_path(parameter(exchange, "path"), "file");
    if (!path) {
        co_return co_await exchange.reply_error(path.error());
    }
    auto incoming = co_await api->datastores.receive(parameter(exchange, "name"), *path);
    if (!incoming) {
        co_return co_await exchange.reply_error(incoming.error());
    }
    Receiver receiver(api->pool, *incoming);
    if (auto fed = co_await http::feed_body(exchange, receiver); !fed) {
        co_return co_await exchange.reply_error(fed.error());
    }
    auto commit = [&file = *incoming] { return file.commit(true); };
    if (auto done = co_await on_pool(api->pool, std::move(commit)); !done) {
        co_return co_await exchange.reply_error(done.error());
    }
    co_await exchange.reply_json(Status::created, Json{{"path", *path}, {"size", incoming->size()}});
}

} // namespace

void add_datastore_routes(http::Router& router, const ApiPtr& api) {
    const auto add = [&](Verb verb, const std::string& rest, asio::awaitable<void> (*handler)(ApiPtr, Exchange&)) {
        router.add(verb, "/api/v1/datastores" + rest, admins,
                   [api, handler](Exchange& exchange) { return handler(api, exchange); });
        if (rest.starts_with("/{name}")) {
            router.add(verb, "/api/v1/agent/datastores" + rest, agents,
                       [api, handler](Exchange& exchange) { return handler(api, exchange); });
        }
    };
    add(Verb::get, "", list);
    add(Verb::post, "", create);
    add(Verb::get, "/{name}/files", files);
    add(Verb::get, "/{name}/files/{path...}", get);
    add(Verb::put, "/{name}/files/{path...}", put);
}

} // namespace linarite::native
