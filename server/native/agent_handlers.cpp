#include "common/files.hpp"
#include "proto/json_reader.hpp"
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

constexpr std::size_t most_wanted = 1'000; // files in one request

Result<std::uint64_t> parse_number(const Exchange& exchange, const std::string& name, const char* what) {
    const std::string text = query(exchange, name);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        return Error({Fault{"?" + name, what}});
    }
    return number;
}

/// Who the calling node is to the run of the path, by the fence of the query.
Result<service::GangPlace> parse_place(const ApiPtr& api, const Exchange& exchange) {
    const auto fence = parse_number(exchange, "fence", "expected the fence of the placement");
    if (!fence) {
        return fence.error();
    }
    return api->storage.place_of(RunId(parameter(exchange, "id")), *fence, NodeName(exchange.head().principal.name));
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
    const auto place = parse_place(api, exchange);
    if (!place) {
        co_return co_await exchange.reply_error(place.error());
    }
    service::RunStorage::Upload upload(api->storage, run, *place);
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

asio::awaitable<void> list_gang_files(ApiPtr api, Exchange& exchange) {
    const RunId run(parameter(exchange, "id"));
    const auto since = parse_number(exchange, "since", "expected the version of the last answer, or 0");
    if (!since) {
        co_return co_await exchange.reply_error(since.error());
    }
    const auto place = parse_place(api, exchange);
    if (!place) {
        co_return co_await exchange.reply_error(place.error());
    }
    const auto found = co_await api->storage.gang_files(run, *place, *since);
    co_await reply(exchange, found, [](const service::RunStorage::GangFileList& list) {
        Json files = Json::array();
        for (const store::GangFileRow& row : list.files) {
            files.push_back(Json{{"path", row.stored},
                                 {"size", row.size},
                                 {"sha256", row.sha256},
                                 {"executable", row.executable},
                                 {"node_index", row.node}});
        }
        return Json{{"version", list.version}, {"files", std::move(files)}};
    });
}

Result<std::vector<service::RunStorage::Download::Wanted>> parse_wanted(const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader in(body, "", faults);
    std::vector<service::RunStorage::Download::Wanted> wanted;
    in.objects("files", [&](proto::JsonReader& file) {
        const std::string text = file.required_text("path");
        const auto path = parse_relative_path(text, "path");
        if (!path) {
            file.fault("path", path.error().detail());
        }
        wanted.push_back({text, file.unsigned_integer("size", 0)});
        file.refuse_others();
    });
    in.refuse_others();
    if (wanted.empty() || wanted.size() > most_wanted) {
        in.fault("files", "must be 1 to " + std::to_string(most_wanted) + " files");
    }
    return faults.empty() ? Result<std::vector<service::RunStorage::Download::Wanted>>(std::move(wanted))
                          : Error(std::move(faults));
}

// If a file cannot be read in the middle, the stream is not ended: the agent sees a broken answer, never a short one.
asio::awaitable<void> send_gang_files(ApiPtr api, Exchange& exchange) {
    const RunId run(parameter(exchange, "id"));
    const auto place = parse_place(api, exchange);
    if (!place) {
        co_return co_await exchange.reply_error(place.error());
    }
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    auto wanted = parse_wanted(*body);
    if (!wanted) {
        co_return co_await exchange.reply_error(wanted.error());
    }
    service::RunStorage::Download download(api->storage, run, std::move(*wanted));
    if (auto started = co_await exchange.start_stream("application/octet-stream"); !started) {
        co_return;
    }
    for (;;) {
        auto bytes = co_await download.next();
        if (!bytes) {
            spdlog::error("files of a run cannot be sent: run={} cause=\"{}\"", run.str(), bytes.error().detail());
            co_return;
        }
        if (bytes->empty()) {
            break;
        }
        if (auto sent = co_await exchange.write_chunk(std::move(*bytes)); !sent) {
            co_return;
        }
    }
    co_await exchange.end_stream();
}

} // namespace

void add_agent_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::post, "/api/v1/agent/sync", agents, [api](Exchange& exchange) { return sync(api, exchange); });
    router.add(Verb::post, "/api/v1/agent/runs/{id}/files", agents,
               [api](Exchange& exchange) { return receive_files(api, exchange); });
    router.add(Verb::get, "/api/v1/agent/runs/{id}/gang-files", agents,
               [api](Exchange& exchange) { return list_gang_files(api, exchange); });
    router.add(Verb::post, "/api/v1/agent/runs/{id}/gang-files/content", agents,
               [api](Exchange& exchange) { return send_gang_files(api, exchange); });
}

} // namespace linarite::native
