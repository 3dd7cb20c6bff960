#include "server/azureml/call.hpp"

#include <spdlog/spdlog.h>

namespace linarite::azureml {
namespace {

using namespace std::chrono_literals;

constexpr Millis link_life = 1h;
constexpr Millis link_step = 10min;

std::string value_of(const std::map<std::string, std::string>& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? "" : found->second;
}

asio::awaitable<void> enter(ApiPtr api, http::Exchange& exchange, Handler handler) {
    Call call{std::move(api), &exchange, {}};
    if (const std::string name = call.parameter("workspace"); !name.empty()) {
        auto row = call.api->workspaces.find(call.parameter("subscription"), call.parameter("group"), name);
        if (!row) {
            co_await reply_fault(call, Status::not_found, "ResourceNotFound", row.error().detail());
            co_return;
        }
        call.workspace = std::move(*row);
    }
    const std::string run = call.parameter("run");
    const bool reachable = co_await may_reach(call, run);
    if (!reachable) {
        co_await reply_fault(call, Status::not_found, "UserError", "run '" + run + "' not found");
        co_return;
    }
    co_await handler(call);
}

std::string_view code_of(Errc code) {
    switch (code) {
    case Errc::unauthorized: return "AuthenticationError";
    case Errc::forbidden: return "AuthorizationError";
    case Errc::not_found: return "NotFoundError";
    case Errc::conflict:
    case Errc::gone: return "ConflictError";
    case Errc::invalid_argument:
    case Errc::too_large:
    case Errc::resource_exhausted: return "UserError";
    case Errc::unavailable:
    case Errc::no_space:
    case Errc::internal: return "ServiceError";
    }
    return "ServiceError";
}

} // namespace

std::string Call::parameter(const std::string& name) const {
    return value_of(exchange->head().parameters, name);
}

std::string Call::query(const std::string& name) const {
    return value_of(exchange->head().query, name);
}

std::string Call::header(const std::string& name) const {
    return value_of(exchange->head().headers, name);
}

std::string Call::authority() const {
    // the name by which this client knows us (the transport has checked it), with the port of the TLS listener
    const std::string host = header("host");
    const std::size_t bracket = host.find(']');
    const std::size_t colon = host.find(':', bracket == std::string::npos ? 0 : bracket);
    return host.substr(0, colon) + ":" + std::to_string(api->https_port());
}

std::string Call::base_url() const {
    return "https://" + authority();
}

std::string Call::scope() const {
    return service::scope_of(workspace);
}

void add_route(http::Router& router, const ApiPtr& api, verb method, const std::string& pattern,
               const std::set<http::Principal::Role>& roles, Handler handler) {
    router.add(method, pattern, roles,
               [api, handler](http::Exchange& exchange) { return enter(api, exchange, handler); });
}

asio::awaitable<bool> may_reach(Call call, std::string run) {
    if (call.caller().role != http::Principal::Role::run || run.empty() || run == call.caller().name) {
        co_return true;
    }
    const auto row = co_await call.api->runs.find(RunId(run));
    // an unknown id may become a child of the caller: creating it is checked there
    co_return row ? row->root.str() == call.caller().name : row.error().code() == Errc::not_found;
}

// The SDK raises its own UserErrorException for that one code alone; what kind of error it is stands within.
Json error_body(std::string_view code, const std::string& message, const Time& now) {
    const bool of_user = code == "NotFoundError" || code == "ConflictError";
    return Json{{"error", Json{{"code", of_user ? "UserError" : code},
                               {"severity", nullptr},
                               {"message", message},
                               {"messageFormat", nullptr},
                               {"messageParameters", Json::object()},
                               {"referenceCode", nullptr},
                               {"detailsUri", nullptr},
                               {"target", nullptr},
                               {"details", Json::array()},
                               {"innerError", of_user ? Json{{"code", code}, {"innerError", nullptr}} : Json()}}},
                {"correlation", Json{{"operation", random_hex(8)}, {"request", random_hex(8)}}},
                {"environment", "local"},
                {"location", "local"},
                {"time", format_time(now)},
                {"componentName", "linarite"}};
}

asio::awaitable<void> reply_fault(Call call, Status status, std::string code, std::string message) {
    const Json body = error_body(code, message, call.api->clock.now());
    co_await call.exchange->reply_json(status, body);
}

asio::awaitable<void> reply_error(Call call, Error error) {
    if (error.code() == Errc::internal || error.code() == Errc::unavailable) {
        co_await call.exchange->reply_error(error); // logs it, and keeps its words to itself
        co_return;
    }
    co_await reply_fault(call, http::to_http(error.code()), std::string(code_of(error.code())), error.detail());
}

asio::awaitable<void> reply_json(Call call, Json body) {
    co_await call.exchange->reply_json(Status::ok, body);
}

Json page(Json values, const std::string& next) {
    return Json{
        {"value", std::move(values)}, {"continuationToken", next.empty() ? Json() : Json(next)}, {"nextLink", nullptr}};
}

std::string signed_link(const Call& call, service::LinkRight right, const std::string& path) {
    // rounded, so that the link to one file stays the same for a while
    const Time until = call.api->clock.now() + link_life;
    const Time expires = until - until.time_since_epoch() % link_step;
    return "https://linarite.blob.local@" + call.authority() + path +
           "?sv=linarite-1&sp=" + (right == service::LinkRight::read ? "r" : "w") +
           "&se=" + std::to_string(to_ms(expires) / 1000) + "&sig=" + call.api->tokens.sign_link(right, path, expires);
}

} // namespace linarite::azureml
