// Registered environments. Requests spell their members in several ways, answers in one.
#include "server/azureml/call.hpp"
#include "server/service/environments.hpp"

#include <boost/algorithm/string/predicate.hpp>

#include <cctype>

namespace linarite::azureml {
namespace {

using service::Environment;

constexpr std::size_t page_size = 100;

// The names in these are the user's own.
bool is_users(const std::string& key) {
    return key == "environmentVariables" || key == "condaDependencies";
}

// "EnvironmentVariables" becomes "environmentVariables", at any depth.
Json in_camel_case(const Json& value) { // NOLINT(misc-no-recursion): as deep as JSON may be, 64
    if (!value.is_object()) {
        return value;
    }
    Json out = Json::object();
    for (const auto& [name, member] : value.items()) {
        std::string key = name;
        key[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(key[0])));
        out[key] = is_users(key) ? member : in_camel_case(member);
    }
    return out;
}

Json render(const Environment& environment) {
    Json out{{"assetId", nullptr}, {"inferencingStackVersion", nullptr}, {"r", nullptr}};
    if (environment.definition.is_object()) {
        out.update(environment.definition);
    }
    out["name"] = environment.name;
    out["version"] = environment.version;
    return out;
}

// The service's own environments: images and packages that only it has.
bool is_curated(const std::string& name) {
    return boost::algorithm::istarts_with(name, "AzureML-", std::locale::classic()) ||
           boost::algorithm::iequals(name, "AzureML", std::locale::classic());
}

asio::awaitable<void> get(Call call) {
    const std::string name = call.parameter("name");
    const auto found = co_await call.api->environments.find(call.workspace.id, name, call.parameter("version"));
    if (!found && found.error().code() == Errc::not_found && is_curated(name)) {
        co_return co_await reply_fault(call, Status::not_found, "NotFoundError",
                                       "environment '" + name +
                                           "' is one of Azure's curated ones, which are not here: register one of "
                                           "your own with the packages that the script needs");
    }
    co_await reply(call, found, render);
}

asio::awaitable<void> put(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    if (!body->is_object()) {
        co_return co_await reply_error(call, Error({Fault{"", "must be an object: the environment's definition"}}));
    }
    const std::string name = call.parameter("name");
    if (is_curated(name)) {
        co_return co_await reply_error(
            call, Error({Fault{"/name", "'" + name + "': names that begin with AzureML are Azure's own"}}));
    }
    Json definition = in_camel_case(*body);
    for (const char* of_the_version : {"name", "version", "assetId"}) {
        definition.erase(of_the_version);
    }
    const auto stored =
        co_await call.api->environments.put(call.workspace.id, name, call.parameter("version"), std::move(definition));
    co_await reply(call, stored, render);
}

// The pages go by name: the token is the last name of the page before.
asio::awaitable<void> list(Call call) {
    auto all = co_await call.api->environments.list(call.workspace.id);
    if (!all) {
        co_return co_await reply_error(call, all.error());
    }
    const std::string after = call.query("continuation");
    std::erase_if(*all, [&](const Environment& environment) { return environment.name <= after; });
    const std::string next = all->size() > page_size ? all->at(page_size - 1).name : "";
    all->resize(std::min(all->size(), page_size));
    Json values = Json::array();
    for (const Environment& environment : *all) {
        values.push_back(render(environment));
    }
    co_await reply_json(call, page(std::move(values), next));
}

} // namespace

void add_environment_routes(http::Router& router, const ApiPtr& api) {
    const std::string all = "/environment/v1.0" + workspace_scope + "/environments";
    add_route(router, api, verb::get, all, clients_and_runs, list);
    add_route(router, api, verb::get, all + "/{name}", clients_and_runs, get);
    add_route(router, api, verb::get, all + "/{name}/versions/{version}", clients_and_runs, get);
    add_route(router, api, verb::put, all + "/{name}", clients, put);
    add_route(router, api, verb::put, all + "/{name}/versions/{version}", clients, put);
}

} // namespace linarite::azureml
