#include "server/blob/answer.hpp"
#include "server/blob/handlers.hpp"

namespace linarite::blob {
namespace {

using http::beast_http::verb;
using Operation = asio::awaitable<void> (*)(Call, Opened&);

const std::set<http::Principal::Role> anybody{http::Principal::Role::none};

std::string value_of(const std::map<std::string, std::string>& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? "" : found->second;
}

/// Nothing for what is not supported.
Operation blob_operation(const Call& call) {
    const std::string what = call.query("comp");
    switch (call.head().method) {
    case verb::get:
    case verb::head: return what.empty() ? get_blob : nullptr;
    case verb::delete_: return what.empty() ? delete_blob : nullptr;
    case verb::put:
        return what.empty() ? put_blob : what == "block" ? put_block : what == "blocklist" ? put_block_list : nullptr;
    default: return nullptr;
    }
}

asio::awaitable<void> refuse_operation(Call call) {
    return refuse(call, Status::bad_request, "UnsupportedQueryParameter",
                  "this operation is not supported: comp=" + call.query("comp"));
}

/// False if the request is none of ours, or its signature is not good; then it was answered.
asio::awaitable<std::optional<Opened>> enter(Call call) {
    if (!has_blob_marks(call)) {
        co_await call.exchange->reply_error(Error(Errc::unauthorized, "a bearer token is needed"));
        co_return std::nullopt;
    }
    add_common_headers(call);
    auto opened = co_await open(call);
    if (opened) {
        co_return std::move(*opened);
    }
    if (opened.error().code() == Errc::not_found) {
        co_await refuse(call, Status::not_found, "ContainerNotFound", opened.error().detail());
    } else {
        co_await refuse(call, opened.error());
    }
    co_return std::nullopt;
}

asio::awaitable<void> serve_blob(Call call) {
    auto opened = co_await enter(call);
    if (!opened) {
        co_return;
    }
    const Operation operation = blob_operation(call);
    if (operation == nullptr) {
        co_return co_await refuse_operation(call);
    }
    co_await operation(call, *opened);
}

asio::awaitable<void> serve_container(Call call) {
    auto opened = co_await enter(call);
    if (!opened) {
        co_return;
    }
    const bool is_put = call.head().method == verb::put;
    const std::string what = call.query("comp");
    if (call.query("restype") != "container" || (!what.empty() && (what != "list" || is_put))) {
        co_return co_await refuse_operation(call);
    }
    if (is_put) {
        co_return co_await refuse(call, Status::conflict, "ContainerAlreadyExists",
                                  "container '" + call.container() + "' is there");
    }
    if (what == "list") {
        co_return co_await list_blobs(call, *opened);
    }
    co_await show_container(call);
}

} // namespace

std::string Call::query(const std::string& name) const {
    return value_of(head().query, name);
}

std::string Call::header(const std::string& name) const {
    return value_of(head().headers, name);
}

std::string Call::container() const {
    return head().path.substr(1, head().path.find('/', 1) - 1);
}

std::string Call::blob() const {
    const std::size_t slash = head().path.find('/', 1);
    return slash == std::string::npos ? "" : head().path.substr(slash + 1);
}

void add_routes(http::Router& router, const ApiPtr& api) {
    const auto add = [&](verb method, const std::string& pattern, asio::awaitable<void> (*handler)(Call)) {
        router.add(method, pattern, anybody, [api, handler](http::Exchange& exchange) {
            return handler(Call{api, &exchange});
        });
    };
    const std::string artifacts = std::string("/") + service::artifact_container;
    const std::string snapshots = std::string("/") + service::snapshot_container;
    for (const std::string& container : {artifacts, snapshots, std::string("/{container}")}) {
        for (const verb method : {verb::get, verb::put, verb::delete_}) {
            add(method, container + "/{blob...}", serve_blob);
        }
    }
    add(verb::get, "/{container}", serve_container);
    add(verb::put, "/{container}", serve_container);
}

} // namespace linarite::blob
