// Service discovery: which address each of the workspace's services has. All are ours.
#include "common/hash.hpp"
#include "server/azureml/arm.hpp"

#include <array>

namespace linarite::azureml {
namespace {

// Part of every generation: to be raised when the document below changes.
constexpr const char* edition = "1";
constexpr std::size_t generation_digits = 16;

asio::awaitable<void> discover(Call call) {
    constexpr std::array services{"api",       "catalog",         "datastore",       "executionservice",
                                  "history",   "experimentation", "hyperdrive",      "inferencemanagement",
                                  "notebooks", "pipelines",       "modelmanagement", "rp",
                                  "studio"};
    const std::string base = call.base_url();
    Json document = Json::object();
    for (const char* service : services) {
        document[service] = base;
    }
    co_await reply_json(call, std::move(document));
}

} // namespace

std::string discovery_url(const Call& call) {
    const std::string base = call.base_url();
    const std::string generation = sha256_hex(std::string(edition) + "\n" + base + "\n" + call.workspace.id);
    return base + "/discovery/" + generation.substr(0, generation_digits);
}

void add_discovery_routes(http::Router& router, const ApiPtr& api) {
    // an old generation gets today's answer: it is the right one
    add_route(router, api, verb::get, "/discovery/{generation}", anybody, discover);
}

} // namespace linarite::azureml
