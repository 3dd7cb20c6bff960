// Calls about images; those about containers are in engine.cpp.
#include "agent/container/engine.hpp"
#include "agent/container/pull_progress.hpp"
#include "client/http_client.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>

namespace linarite::agent {

namespace {

using proto::Json;
using proto::JsonReader;

constexpr const char* default_registry = "https://index.docker.io/v1/"; // its name in headers
constexpr std::chrono::minutes silent_pull{3};
constexpr std::chrono::minutes longest_import{30};
constexpr std::chrono::hours silent_step{24};
constexpr const char* usual_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::map<std::string, std::string> read_variables(const std::vector<std::string>& entries) {
    std::map<std::string, std::string> out;
    for (const std::string& entry : entries) {
        if (const auto equals = entry.find('='); equals != std::string::npos) {
            out[entry.substr(0, equals)] = entry.substr(equals + 1);
        }
    }
    return out;
}

std::string query_of(const std::string& name) {
    // without a tag the engine would fetch all of them
    const auto slash = name.rfind('/');
    const auto colon = name.find(':', slash == std::string::npos ? 0 : slash);
    if (name.find('@') != std::string::npos) {
        return client::encode_query({{"fromImage", name}});
    }
    return client::encode_query({{"fromImage", name.substr(0, colon)},
                                 {"tag", colon == std::string::npos ? "latest" : name.substr(colon + 1)}});
}

/// In the alphabet that is safe in an address, which the engine wants in its headers.
std::string print_header(const Json& document) {
    std::string text = base64_encode(proto::print_json(document));
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

std::string print_login(const RegistryLogin& login) {
    return print_header({{"username", login.username}, {"password", login.password}, {"serveraddress", login.server}});
}

std::string print_logins(const std::vector<RegistryLogin>& logins) {
    Json by_server = Json::object();
    for (const RegistryLogin& login : logins) {
        by_server[login.server.empty() ? default_registry : login.server] = {{"username", login.username},
                                                                             {"password", login.password}};
    }
    return print_header(by_server);
}

} // namespace

// For calls whose answers tell of their progress, and in the end of their failure.
asio::awaitable<Result<void>> Engine::follow(EngineRequest request, LineOut log, CancelToken cancel) {
    const auto progress = std::make_shared<PullProgress>(std::move(log), std::chrono::steady_clock::now);
    const auto answer = co_await call(
        std::move(request), [progress](std::string_view piece) { progress->feed(piece); }, std::move(cancel));
    if (!answer) {
        co_return answer.error();
    }
    co_return progress->error() ? Result<void>(Error(Errc::internal, *progress->error())) : Result<void>();
}

asio::awaitable<Result<ImageFacts>> Engine::find_image(std::string name) {
    EngineRequest request;
    request.target = "/images/" + client::encode_path(name) + "/json";
    const auto document = co_await ask(std::move(request));
    if (!document) {
        co_return document.error();
    }
    std::vector<Fault> ignored;
    JsonReader reader(*document, "", ignored);
    ImageFacts facts;
    facts.id = reader.text("Id");
    facts.digests = reader.texts("RepoDigests");
    facts.variables = read_variables(reader.object("Config").texts("Env"));
    co_return facts;
}

asio::awaitable<Result<void>> Engine::pull(std::string name, RegistryLogin login, LineOut log, CancelToken cancel) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/images/create" + query_of(name);
    request.timeout = silent_pull;
    if (!login.username.empty()) {
        request.headers["X-Registry-Auth"] = print_login(login);
    }
    co_return co_await follow(std::move(request), std::move(log), std::move(cancel));
}

asio::awaitable<Result<void>> Engine::import(std::string name, fs::path tar, CancelToken cancel) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/images/create" + client::encode_query({{"fromSrc", "-"},
                                                              {"repo", name}, // Podman takes no notice of a "tag" here
                                                              {"changes", "ENV PATH=" + std::string(usual_path)}});
    request.body_file = std::move(tar);
    request.timeout = longest_import;
    co_return co_await follow(
        std::move(request), [](const std::string&) {}, std::move(cancel));
}

asio::awaitable<Result<void>> Engine::build(ImageBuild order, LineOut log, CancelToken cancel) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/build" + client::encode_query({{"t", order.name},
                                                      {"dockerfile", order.dockerfile},
                                                      {"forcerm", "1"}, // containers of steps, if they fail, too
                                                      {"labels", R"({"linarite.dockerfile":""})"}});
    request.body_file = std::move(order.tar);
    request.timeout = silent_step; // a step may print nothing for as long as the build's own limit lets it
    if (!order.logins.empty()) {
        request.headers["X-Registry-Config"] = print_logins(order.logins);
    }
    co_return co_await follow(std::move(request), std::move(log), std::move(cancel));
}

} // namespace linarite::agent
