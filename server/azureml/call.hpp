// server/azureml/call.hpp: one call of the surface: its workspace, its parameters, and how it is answered.
#pragma once

#include "server/azureml/api.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::azureml {

using http::beast_http::verb;
using Status = http::beast_http::status;

/// What every path of a workspace's services contains.
inline const std::string workspace_scope = "/subscriptions/{subscription}/resourceGroups/{group}/providers/"
                                           "Microsoft.MachineLearningServices/workspaces/{workspace}";

/// One request on its way through a handler. Copied freely; the exchange outlives all copies.
struct Call {
    ApiPtr api;
    http::Exchange* exchange;
    store::WorkspaceRow workspace; // empty for routes without one

    /// The route's parameter; "" if it has none of that name.
    [[nodiscard]] std::string parameter(const std::string& name) const;
    /// The query's value; "" if absent.
    [[nodiscard]] std::string query(const std::string& name) const;
    [[nodiscard]] std::string header(const std::string& name) const;
    [[nodiscard]] const http::Principal& caller() const { return exchange->head().principal; }
    /// "https://host:port" under which this client reaches our TLS listener: links for it begin so.
    [[nodiscard]] std::string base_url() const;
    /// "host:port" of it.
    [[nodiscard]] std::string authority() const;
    /// The workspace's path as Azure writes it.
    [[nodiscard]] std::string scope() const;
};

/// A plain function; its coroutine owns the call.
using Handler = asio::awaitable<void> (*)(Call);

inline const std::set<http::Principal::Role> clients{http::Principal::Role::admin};
inline const std::set<http::Principal::Role> clients_and_runs{http::Principal::Role::admin, http::Principal::Role::run};
inline const std::set<http::Principal::Role> anybody{http::Principal::Role::none};

/// Adds a route whose pattern may contain the workspace's scope. A workspace that is not there is a 404 before the
/// handler runs; so is a run (parameter "run") of others than the caller, if the caller is a run.
void add_route(http::Router& router, const ApiPtr& api, verb method, const std::string& pattern,
               const std::set<http::Principal::Role>& roles, Handler handler);

/// Whether the caller may know of the run: a run's token reaches that run and the runs below it.
asio::awaitable<bool> may_reach(Call call, std::string run);

/// The services' error body: {"error":{"code","message",...},"correlation",...}. The SDK shows code and message.
Json error_body(std::string_view code, const std::string& message, const Time& now);
asio::awaitable<void> reply_fault(Call call, Status status, std::string code, std::string message);
/// With the status and code that the error's kind maps to; all faults of an input are in the message.
asio::awaitable<void> reply_error(Call call, Error error);
asio::awaitable<void> reply_json(Call call, Json body);

/// Answers with what the use case gave: `render` of its value, or the error.
template <class T, class F>
asio::awaitable<void> reply(Call call, Result<T> result, F render) {
    if (!result) {
        co_await reply_error(call, result.error());
        co_return;
    }
    Json body = render(*result);
    co_await reply_json(call, std::move(body));
}

/// {"value":[...],"continuationToken":...,"nextLink":null}; `next` "" is the last page.
Json page(Json values, const std::string& next = "");

/// A link to a file that whoever holds it may read, or write once, for an hour:
/// https://ACCOUNT.blob.local@HOST:PORT<path>?<signature>. The host is written as user-info since the SDK insists on a
/// name of the form account.blob.suffix, and its HTTP client ignores what stands before the '@'. `path` must consist of
/// [A-Za-z0-9._~-/] alone.
std::string signed_link(const Call& call, service::LinkRight right, const std::string& path);

} // namespace linarite::azureml
