#include "common/files.hpp"
#include "server/http/feed_body.hpp"
#include "server/native/render.hpp"

#include <fcntl.h>

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;

asio::awaitable<void> offer(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    auto manifest = proto::parse_manifest(*body);
    if (!manifest) {
        co_return co_await exchange.reply_error(manifest.error());
    }
    const auto offered = co_await api->snapshots.offer(std::move(*manifest));
    if (!offered) {
        co_return co_await exchange.reply_error(offered.error());
    }
    if (offered->missing.empty()) {
        co_return co_await exchange.reply_json(Status::created, Json{{"id", offered->id.str()}});
    }
    co_await exchange.reply_json(Status::ok, Json{{"id", offered->id.str()}, {"missing", offered->missing}});
}

asio::awaitable<void> receive_blobs(ApiPtr api, Exchange& exchange) {
    service::Snapshots::Upload upload(api->snapshots);
    if (auto fed = co_await http::feed_body(exchange, upload); !fed) {
        co_return co_await exchange.reply_error(fed.error());
    }
    const auto stored = co_await upload.finish();
    co_await reply(exchange, stored, [](std::size_t count) { return Json{{"stored", count}}; });
}

asio::awaitable<void> show(ApiPtr api, Exchange& exchange) {
    const auto manifest = co_await api->snapshots.find(SnapshotId(parameter(exchange, "id")));
    co_await reply(exchange, manifest, [](const proto::Manifest& found) { return proto::print(found); });
}

asio::awaitable<Result<void>> send_blob(ApiPtr api, Exchange& exchange, const proto::SnapshotFile& file) {
    proto::FrameHeader header;
    header.path = file.path;
    header.size = file.size;
    header.sha256 = file.sha256;
    header.executable = file.executable;
    const auto located = api->snapshots.locate(file.sha256);
    if (!located) {
        co_return located.error();
    }
    const UniqueFd fd(::open(located->c_str(), O_RDONLY | O_CLOEXEC));
    std::string out = proto::print_frame_header(header);
    std::uint64_t left = file.size;
    do {
        const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_bytes));
        auto read = [&fd, want]() -> Result<std::string> {
            std::string bytes(want, '\0');
            const ssize_t got = want == 0 ? 0 : ::read(fd.get(), bytes.data(), want);
            if (got != static_cast<ssize_t>(want)) {
                return Error(Errc::internal, "a blob of the snapshot is shorter than its row says");
            }
            return bytes;
        };
        const auto bytes = co_await on_pool(api->pool, std::move(read));
        if (!bytes) {
            co_return bytes.error();
        }
        out += *bytes;
        left -= want;
        if (auto sent = co_await exchange.write_chunk(std::move(out)); !sent) {
            co_return sent;
        }
        out.clear();
    } while (left > 0);
    co_return Result<void>{};
}

// If a blob cannot be read in the middle, the stream is not ended: the client sees a broken answer, never a short one.
asio::awaitable<void> send_content(ApiPtr api, Exchange& exchange) {
    const auto manifest = co_await api->snapshots.find(SnapshotId(parameter(exchange, "id")));
    if (!manifest) {
        co_return co_await exchange.reply_error(manifest.error());
    }
    if (auto started = co_await exchange.start_stream("application/octet-stream"); !started) {
        co_return;
    }
    for (const proto::SnapshotFile& file : manifest->files) {
        if (auto sent = co_await send_blob(api, exchange, file); !sent) {
            spdlog::error("snapshot cannot be sent: file={} cause=\"{}\"", file.path, sent.error().detail());
            co_return;
        }
    }
    co_await exchange.end_stream();
}

} // namespace

void add_snapshot_routes(http::Router& router, const ApiPtr& api) {
    const auto add = [&](Verb verb, const std::string& pattern, const std::set<http::Principal::Role>& roles,
                         asio::awaitable<void> (*handler)(ApiPtr, Exchange&)) {
        router.add(verb, pattern, roles, [api, handler](Exchange& exchange) { return handler(api, exchange); });
    };
    add(Verb::post, "/api/v1/snapshots", admins, offer);
    add(Verb::post, "/api/v1/snapshots/blobs", admins, receive_blobs);
    add(Verb::get, "/api/v1/snapshots/{id}", admins, show);
    add(Verb::get, "/api/v1/snapshots/{id}/content", admins, send_content);
    add(Verb::get, "/api/v1/agent/snapshots/{id}/content", agents, send_content);
}

} // namespace linarite::native
