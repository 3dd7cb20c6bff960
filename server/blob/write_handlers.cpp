#include "common/hash.hpp"
#include "proto/snapshot.hpp"
#include "server/blob/answer.hpp"
#include "server/blob/handlers.hpp"
#include "server/blob/receiver.hpp"
#include "server/blob/xml.hpp"
#include "server/http/range.hpp"

namespace linarite::blob {
namespace {

constexpr std::size_t block_list_limit = std::size_t{8} << 20U; // 50,000 ids
constexpr std::size_t block_id_limit = 64;

/// Whose blocks they are.
std::string blocks_key(const Call& call, const Opened& opened) {
    return service::blob_names(opened.datastore).account + call.head().path;
}

bool must_be_new(const Call& call, const Opened& opened) {
    return call.header("if-none-match") == "*" || !opened.rights.write;
}

/// Whether the blob is still the one that the client thinks it writes over.
asio::awaitable<Result<bool>> condition_holds(Call call, Place& place) {
    const std::string condition = call.header("if-match");
    if (condition.empty()) {
        co_return true;
    }
    const auto facts = co_await place.find();
    if (!facts) {
        co_return facts.error().code() == Errc::not_found ? Result<bool>(false) : facts.error();
    }
    co_return http::names_etag(condition, facts->etag);
}

/// A file to write into, if the signature and the request's conditions allow; nothing after an answer was given.
asio::awaitable<std::optional<artifacts::IncomingFile>> begin_write(Call call, Opened& opened) {
    if (!opened.rights.any_write()) {
        co_await refuse(call, Error(Errc::forbidden, "the signature does not allow to write"));
        co_return std::nullopt;
    }
    const auto holds = co_await condition_holds(call, *opened.place);
    if (!holds) {
        co_await refuse(call, holds.error());
        co_return std::nullopt;
    }
    if (!*holds) {
        co_await refuse(call, Status::precondition_failed, "ConditionNotMet", "the blob is another by now");
        co_return std::nullopt;
    }
    auto file = co_await opened.place->receive(must_be_new(call, opened));
    if (!file) {
        co_await refuse(call, file.error());
        co_return std::nullopt;
    }
    co_return std::move(*file);
}

asio::awaitable<void> finish_write(Call call, Opened& opened, artifacts::IncomingFile file) {
    const auto facts = co_await opened.place->keep(std::move(file), must_be_new(call, opened));
    if (!facts) {
        co_return co_await refuse(call, facts.error());
    }
    auto forget = [&blocks = call.api->blocks, key = blocks_key(call, opened)]() -> Result<void> {
        blocks.drop(key);
        return {};
    };
    co_await on_pool(call.api->pool, std::move(forget));
    add_written_headers(call, *facts);
    co_await call.exchange->reply_empty(Status::created);
}

/// The MD5 that was checked.
void echo_md5(const Call& call) {
    if (const std::string md5 = call.header("content-md5"); !md5.empty()) {
        call.exchange->add_header("Content-MD5", md5);
    }
}

bool too_long(const Call& call) {
    return call.container() == service::snapshot_container &&
           call.head().content_length.value_or(0) > proto::default_snapshot_limit;
}

} // namespace

asio::awaitable<void> put_blob(Call call, Opened& opened) {
    if (!call.header("x-ms-copy-source").empty()) {
        co_return co_await refuse(call, Status::bad_request, "UnsupportedHeader", "copying is not supported");
    }
    const std::string type = call.header("x-ms-blob-type");
    if (type != "BlockBlob") {
        co_return co_await refuse(call, Status::bad_request,
                                  type.empty() ? "MissingRequiredHeader" : "UnsupportedHeader",
                                  "x-ms-blob-type must be BlockBlob");
    }
    if (too_long(call)) {
        co_return co_await refuse(call, Error(Errc::too_large, "more bytes than a snapshot may have"));
    }
    auto file = co_await begin_write(call, opened);
    if (!file) {
        co_return;
    }
    Receiver receiver(call, *file);
    if (auto received = co_await receiver.receive(); !received) {
        co_return co_await refuse(call, received.error());
    }
    echo_md5(call);
    co_await finish_write(call, opened, std::move(*file));
}

asio::awaitable<void> put_block(Call call, Opened& opened) {
    if (!opened.rights.any_write()) {
        co_return co_await refuse(call, Error(Errc::forbidden, "the signature does not allow to write"));
    }
    const auto id = base64_decode(call.query("blockid"));
    if (!id || id->empty() || id->size() > block_id_limit) {
        co_return co_await refuse(call, Status::bad_request, "InvalidQueryParameterValue",
                                  "blockid must be the base64 of 1 to 64 bytes");
    }
    auto start = [&blocks = call.api->blocks, key = blocks_key(call, opened), block = call.query("blockid")] {
        return blocks.create(key, block);
    };
    auto file = co_await on_pool(call.api->pool, std::move(start));
    if (!file) {
        co_return co_await refuse(call, file.error());
    }
    Receiver receiver(call, *file);
    if (auto received = co_await receiver.receive(); !received) {
        co_return co_await refuse(call, received.error());
    }
    auto commit = [&file = *file] { return file.commit(true); };
    if (auto done = co_await on_pool(call.api->pool, std::move(commit)); !done) {
        co_return co_await refuse(call, done.error());
    }
    echo_md5(call);
    call.exchange->add_header("x-ms-request-server-encrypted", "true");
    co_await call.exchange->reply_empty(Status::created);
}

asio::awaitable<void> put_block_list(Call call, Opened& opened) {
    const auto body = co_await call.exchange->read_body(block_list_limit);
    if (!body) {
        co_return co_await refuse(call, body.error());
    }
    const auto ids = parse_block_list(*body);
    if (!ids) {
        co_return co_await refuse(call, Status::bad_request, "InvalidBlockList", ids.error().detail());
    }
    auto file = co_await begin_write(call, opened);
    if (!file) {
        co_return;
    }
    const std::string key = blocks_key(call, opened);
    for (const std::string& id : *ids) {
        auto append = [&blocks = call.api->blocks, &file = *file, &key, &id] {
            return blocks.append_to(file, key, id);
        };
        const auto appended = co_await on_pool(call.api->pool, std::move(append));
        if (!appended && appended.error().code() == Errc::not_found) {
            co_return co_await refuse(call, Status::bad_request, "InvalidBlockList",
                                      "block '" + id + "' was never sent");
        }
        if (!appended) {
            co_return co_await refuse(call, appended.error());
        }
    }
    co_await finish_write(call, opened, std::move(*file));
}

asio::awaitable<void> delete_blob(Call call, Opened& opened) {
    if (!opened.rights.remove) {
        co_return co_await refuse(call, Error(Errc::forbidden, "the signature does not allow to delete"));
    }
    if (auto removed = co_await opened.place->remove(); !removed) {
        co_return co_await refuse(call, removed.error());
    }
    call.exchange->add_header("x-ms-delete-type-permanent", "true");
    co_await call.exchange->reply_empty(Status::accepted);
}

} // namespace linarite::blob
