#include "common/files.hpp"
#include "proto/json_reader.hpp"
#include "server/http/feed_body.hpp"
#include "server/native/render.hpp"

#include <algorithm>
#include <charconv>

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

constexpr Millis longest_wait = std::chrono::seconds(30);

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

Json render(const service::DataListing& listing) {
    if (!listing.complete) {
        return Json{{"files", listing.file_count},
                    {"bytes", listing.bytes},
                    {"known_files", listing.known_files},
                    {"known_bytes", listing.known_bytes}};
    }
    Json files = Json::array();
    for (const service::DataContent& file : listing.files) {
        files.push_back(Json{{"path", file.name}, {"size", file.size}, {"sha256", file.sha256}});
    }
    return Json{{"files", std::move(files)}, {"obstacles", listing.obstacles}};
}

/// The path of the query, "" for all; "a/b" has been made of "/a/b/" by whoever asks.
Result<std::string> queried_path(const Exchange& exchange) {
    const std::string path = query(exchange, "path");
    return path.empty() ? Result<std::string>(path) : parse_relative_path(path, "path");
}

Result<Millis> queried_wait(const Exchange& exchange) {
    const std::string text = query(exchange, "wait_ms");
    int wait = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), wait);
    if (!text.empty() && (failure != std::errc() || end != text.data() + text.size() || wait < 0)) {
        return Error(Errc::invalid_argument, "wait_ms must be a number of milliseconds");
    }
    return std::min(Millis(wait), longest_wait);
}

asio::awaitable<void> contents(ApiPtr api, Exchange& exchange) {
    const auto path = queried_path(exchange);
    const auto wait = queried_wait(exchange);
    if (!path || !wait) {
        co_return co_await exchange.reply_error(path ? wait.error() : path.error());
    }
    auto listing = co_await api->datastores.contents(parameter(exchange, "name"), *path, *wait);
    if (!listing) {
        co_return co_await exchange.reply_error(listing.error());
    }
    const Status status = listing->complete ? Status::ok : Status::accepted;
    // a million files take a second to print
    auto print = [listing = std::move(*listing)]() -> Result<std::string> { return render(listing).dump(); };
    const auto text = co_await on_pool(api->pool, std::move(print));
    co_await exchange.reply_text(status, "application/json", *text);
}

asio::awaitable<void> get(ApiPtr api, Exchange& exchange) {
    const auto path = parse_relative_path(parameter(exchange, "path"), "file");
    if (!path) {
        co_return co_await exchange.reply_error(path.error());
    }
    const auto file = co_await api->datastores.open(parameter(exchange, "name"), *path);
    if (!file) {
        co_return co_await exchange.reply_error(file.error());
    }
    co_await exchange.reply_open_file(std::move(*file->fd), file->size, content_type_of(*path), file->version);
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
    const std::uint64_t size = incoming->size();
    const auto condition = exchange.head().headers.find("if-none-match");
    const bool must_be_new = condition != exchange.head().headers.end() && condition->second == "*";
    const std::string name = parameter(exchange, "name");
    if (auto kept = co_await api->datastores.keep(name, *path, std::move(*incoming), must_be_new); !kept) {
        co_return co_await exchange.reply_error(kept.error());
    }
    co_await exchange.reply_json(Status::created, Json{{"path", *path}, {"size", size}});
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
    router.add(Verb::get, "/api/v1/agent/datastores/{name}/contents", agents,
               [api](Exchange& exchange) { return contents(api, exchange); });
    add(Verb::get, "/{name}/files", files);
    add(Verb::get, "/{name}/files/{path...}", get);
    add(Verb::put, "/{name}/files/{path...}", put);
}

} // namespace linarite::native
