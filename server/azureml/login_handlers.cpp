// The login: a directory server as far as a client's service principal needs one, and the cloud's metadata.
#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/azureml/metadata.hpp"
#include "server/azureml/call.hpp"
#include "server/http/server_core.hpp"

#include <boost/url/params_encoded_view.hpp>
#include <boost/url/parse_query.hpp>

#include <algorithm>

namespace linarite::azureml {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t form_limit = std::size_t{16} << 10U;
constexpr std::size_t client_id_limit = 128;
constexpr int failures_per_minute = 10;
constexpr std::chrono::seconds token_life{86'399}; // what the genuine service says

const std::string directory = std::string("/") + proto::azureml::tenant;
const std::string token_path = directory + "/oauth2/token";

using Form = std::map<std::string, std::string>;

Result<Form> parse_form(const std::string& body) {
    const auto parsed = boost::urls::parse_query(body);
    if (!parsed) {
        return Error(Errc::invalid_argument, "the body is not application/x-www-form-urlencoded");
    }
    boost::urls::encoding_opts options;
    options.space_as_plus = true;
    Form form;
    for (const auto& parameter : *parsed) {
        form[parameter.key.decode(options)] = parameter.value.decode(options);
    }
    return form;
}

bool is_client_id(const std::string& text) {
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
    return !text.empty() && text.size() <= client_id_limit && is_utf8(text) && std::ranges::none_of(text, is_control);
}

asio::awaitable<void> refuse(Call call, Status status, std::string code, std::string description) {
    const Json body{{"error", code}, {"error_description", description}};
    co_await call.exchange->reply_json(status, body);
}

asio::awaitable<void> refuse_secret(Call call) {
    const std::string& peer = call.exchange->head().peer;
    if (call.api->logins->too_many(peer.substr(0, peer.rfind(':')), std::chrono::steady_clock::now())) {
        call.exchange->add_header("Retry-After", "60");
        co_return co_await refuse(call, Status::too_many_requests, "temporarily_unavailable",
                                  "too many failed logins from this address, wait a minute");
    }
    co_await refuse(call, Status::unauthorized, "invalid_client",
                    "the client secret is not this coordinator's token: 'linarite env' prints the right one (it is in "
                    "the file 'token' of the data directory), 'linarite run CMD' sets it");
}

asio::awaitable<void> issue_token(Call call) {
    const auto body = co_await call.exchange->read_body(form_limit);
    if (!body) {
        co_return co_await refuse(call, http::to_http(body.error().code()), "invalid_request", body.error().detail());
    }
    auto form = parse_form(*body);
    if (!form) {
        co_return co_await refuse(call, Status::bad_request, "invalid_request", form.error().detail());
    }
    if ((*form)["grant_type"] != "client_credentials") {
        co_return co_await refuse(call, Status::bad_request, "unsupported_grant_type",
                                  "only a service principal can log in here (grant_type=client_credentials)");
    }
    const std::string client = (*form)["client_id"];
    if (!is_client_id(client)) {
        co_return co_await refuse(call, Status::bad_request, "invalid_request",
                                  "client_id must be a name of 1 to 128 bytes");
    }
    if (!equal_in_constant_time((*form)["client_secret"], call.api->admin_token)) {
        co_return co_await refuse_secret(call);
    }
    const auto token =
        call.api->tokens.issue({service::Claims::Role::client, client, 0, call.api->clock.now() + token_life});
    if (!token) {
        co_return co_await reply_error(call, token.error());
    }
    call.exchange->add_header("Cache-Control", "no-store");
    co_await reply_json(call, Json{{"token_type", "Bearer"},
                                   {"expires_in", token_life.count()},
                                   {"ext_expires_in", token_life.count()},
                                   {"access_token", *token}});
}

asio::awaitable<void> describe_directory(Call call) {
    const std::string base = call.base_url();
    co_await reply_json(call, Json{{"issuer", base + directory},
                                   {"authorization_endpoint", base + directory + "/oauth2/authorize"},
                                   {"token_endpoint", base + token_path},
                                   {"device_authorization_endpoint", base + directory + "/oauth2/devicecode"}});
}

asio::awaitable<void> describe_cloud(Call call) {
    co_await reply_json(call, proto::azureml::cloud_metadata(call.base_url(), call.authority()));
}

} // namespace

void add_login_routes(http::Router& router, const ApiPtr& api) {
    api->logins = std::make_shared<http::LoginLimiter>(failures_per_minute);
    add_route(router, api, verb::get, "/metadata/endpoints", anybody, describe_cloud);
    add_route(router, api, verb::get, directory + "/.well-known/openid-configuration", anybody, describe_directory);
    add_route(router, api, verb::post, token_path, anybody, issue_token);
}

} // namespace linarite::azureml
