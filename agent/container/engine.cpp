#include "agent/container/engine.hpp"

#include "agent/container/output_frames.hpp"
#include "agent/container/pull_progress.hpp"
#include "client/http_client.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace linarite::agent {

namespace {

using proto::Json;
using proto::JsonReader;

constexpr int our_api_minor = 41; // of API 1: the one of Docker 20.10, which Podman speaks too
constexpr const char* default_registry = "https://index.docker.io/v1/"; // its name in headers
constexpr std::chrono::seconds introduction_limit{30}; // Podman asks its package manager for it, which takes some
constexpr std::chrono::minutes silent_pull{3};
constexpr std::chrono::minutes longest_import{30};
constexpr const char* usual_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::chrono::hours silent_output{24}; // a tool may be quiet for as long as its own limit lets it

Errc errc_of(int status) {
    switch (status) {
    case 400: return Errc::invalid_argument;
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 409: return Errc::conflict;
    default: return Errc::internal;
    }
}

Error refused(const EngineAnswer& answer) {
    const auto document = proto::parse_json(answer.body);
    std::vector<Fault> ignored;
    std::string words;
    if (document && document->is_object()) {
        JsonReader reader(*document, "", ignored);
        words = reader.text("message", reader.text("cause"));
    }
    return {errc_of(answer.status),
            words.empty() ? "the container engine answered with status " + std::to_string(answer.status) : words};
}

Result<Json> object_in(const EngineAnswer& answer) {
    auto document = proto::parse_json(answer.body);
    if (!document || !document->is_object()) {
        return Error(Errc::internal, "the container engine's answer can't be read");
    }
    return std::move(*document);
}

bool has_ended(const ContainerFacts& facts) {
    constexpr std::array ends{"exited", "dead", "removing", "stopped", "stopping", ""}; // the last are Podman's
    return !facts.running && std::ranges::find(ends, facts.status) != ends.end();
}

std::map<std::string, std::string> read_variables(const std::vector<std::string>& entries) {
    std::map<std::string, std::string> out;
    for (const std::string& entry : entries) {
        if (const auto equals = entry.find('='); equals != std::string::npos) {
            out[entry.substr(0, equals)] = entry.substr(equals + 1);
        }
    }
    return out;
}

std::map<std::string, std::string> read_labels(JsonReader& reader, std::string_view key) {
    std::map<std::string, std::string> out;
    reader.members(key, [&](const std::string& name, const Json& value) {
        if (value.is_string()) {
            out[name] = value.get<std::string>();
        }
    });
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

Engine::Engine(asio::any_io_executor executor, fs::path socket)
    : executor_(std::move(executor)), socket_(std::move(socket)) {}

asio::awaitable<Result<std::string>> Engine::introduce() {
    if (!prefix_.empty()) {
        co_return name_;
    }
    EngineRequest request;
    request.target = "/version";
    request.timeout = introduction_limit;
    const auto answer = co_await ask_engine(executor_, socket_, std::move(request), {}, {});
    if (!answer) {
        co_return answer.error();
    }
    const auto document = answer->status == 200 ? object_in(*answer) : Result<Json>(refused(*answer));
    if (!document) {
        co_return document.error();
    }
    std::vector<Fault> ignored;
    JsonReader reader(*document, "", ignored);
    const std::string api = reader.text("ApiVersion", "1.41");
    std::string product = reader.object("Platform").text("Name");
    reader.objects("Components", [&](JsonReader& component) {
        if (component.text("Name").find("Podman") != std::string::npos) {
            product = "Podman";
            is_podman_ = true;
        }
    });
    int minor = our_api_minor;
    if (const auto dot = api.find('.'); dot != std::string::npos) {
        std::from_chars(api.data() + dot + 1, api.data() + api.size(), minor);
    }
    const std::string prefix = "/v1." + std::to_string(std::min(minor, our_api_minor));
    const auto rootless = co_await ask_whether_rootless(prefix);
    if (!rootless) {
        co_return rootless.error();
    }
    is_rootless_ = *rootless;
    name_ = (product.empty() ? "Docker Engine" : product) + " " + reader.text("Version") +
            (is_rootless_ ? " (rootless) at " : " at ") + socket_.string();
    prefix_ = prefix;
    co_return name_;
}

/// Whether it runs as an ordinary user, in whose user namespace all of its containers are.
asio::awaitable<Result<bool>> Engine::ask_whether_rootless(const std::string& prefix) {
    EngineRequest request;
    request.target = prefix + "/info";
    request.timeout = introduction_limit;
    const auto answer = co_await ask_engine(executor_, socket_, std::move(request), {}, {});
    if (!answer) {
        co_return answer.error();
    }
    const auto document = object_in(*answer);
    if (answer->status != 200 || !document) {
        co_return false; // a filter before the socket may keep this to itself
    }
    std::vector<Fault> ignored;
    JsonReader reader(*document, "", ignored);
    const auto options = reader.texts("SecurityOptions"); // Docker's word for it; Podman 4.3 has a field of its own
    co_return reader.boolean("Rootless", false) || std::ranges::find(options, "name=rootless") != options.end();
}

asio::awaitable<bool> Engine::answers() {
    EngineRequest request;
    request.target = "/_ping";
    const auto answer = co_await ask_engine(executor_, socket_, std::move(request), {}, {});
    co_return answer && answer->status == 200;
}

asio::awaitable<Result<EngineAnswer>> Engine::call(EngineRequest request, PieceSink sink, CancelToken cancel) {
    const auto known = co_await introduce();
    if (!known) {
        co_return known.error();
    }
    request.target = prefix_ + request.target;
    auto answer = co_await ask_engine(executor_, socket_, std::move(request), std::move(sink), std::move(cancel));
    if (answer && answer->status > 399) {
        co_return refused(*answer);
    }
    co_return answer;
}

asio::awaitable<Result<Json>> Engine::ask(EngineRequest request) {
    const auto answer = co_await call(std::move(request));
    co_return answer ? object_in(*answer) : Result<Json>(answer.error());
}

asio::awaitable<Result<void>> Engine::command(EngineRequest request) {
    const auto answer = co_await call(std::move(request));
    co_return answer ? Result<void>() : Result<void>(answer.error());
}

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

asio::awaitable<Result<void>> Engine::build(std::string name, fs::path tar, std::vector<RegistryLogin> logins,
                                            LineOut log, CancelToken cancel) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/build" + client::encode_query({{"t", name},
                                                      {"forcerm", "1"}, // containers of steps, if they fail, too
                                                      {"labels", R"({"linarite.dockerfile":""})"}});
    request.body_file = std::move(tar);
    request.timeout = silent_output; // a step may print nothing for as long as the build's own limit lets it
    if (!logins.empty()) {
        request.headers["X-Registry-Config"] = print_logins(logins);
    }
    co_return co_await follow(std::move(request), std::move(log), std::move(cancel));
}

asio::awaitable<Result<std::string>> Engine::create(std::string name, ContainerSpec spec) {
    if (const auto known = co_await introduce(); !known) { // which of both it is decides how this is said
        co_return known.error();
    }
    if (is_rootless_) {
        // the user's number is somebody else's there, who may neither read nor write what is mounted
        spec.keep_user_id = is_podman_;
        spec.user = is_podman_ ? spec.user : "0:0";
    }
    EngineRequest request;
    request.method = "POST";
    request.target = "/containers/create" + client::encode_query({{"name", name}});
    request.body = proto::print_json(print(spec, is_podman_));
    const auto document = co_await ask(std::move(request));
    if (!document) {
        co_return document.error();
    }
    std::vector<Fault> ignored;
    co_return JsonReader(*document, "", ignored).text("Id");
}

asio::awaitable<Result<void>> Engine::start(std::string name) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/containers/" + client::encode_part(name) + "/start";
    request.timeout = std::chrono::minutes(2);
    co_return co_await command(std::move(request));
}

asio::awaitable<Result<ContainerFacts>> Engine::inspect(std::string name) {
    EngineRequest request;
    request.target = "/containers/" + client::encode_part(name) + "/json";
    const auto document = co_await ask(std::move(request));
    if (!document) {
        co_return document.error();
    }
    std::vector<Fault> ignored;
    JsonReader reader(*document, "", ignored);
    JsonReader state = reader.object("State");
    ContainerFacts facts;
    facts.id = reader.text("Id");
    facts.running = state.boolean("Running", false);
    facts.status = state.text("Status");
    facts.ended = has_ended(facts);
    facts.pid = static_cast<pid_t>(state.integer("Pid", 0, 1 << 30, 0));
    facts.exit_code = static_cast<int>(state.integer("ExitCode", -1'000'000, 1'000'000, 0));
    facts.out_of_memory = state.boolean("OOMKilled", false);
    facts.error = state.text("Error");
    co_return facts;
}

asio::awaitable<Result<int>> Engine::wait(std::string name) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/containers/" + client::encode_part(name) + "/wait";
    request.timeout = std::chrono::minutes(1);
    const auto document = co_await ask(std::move(request));
    if (!document) {
        co_return document.error();
    }
    std::vector<Fault> ignored;
    co_return static_cast<int>(JsonReader(*document, "", ignored).integer("StatusCode", -1'000'000, 1'000'000, -1));
}

asio::awaitable<Result<void>> Engine::kill(std::string name, std::string signal) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/containers/" + client::encode_part(name) + "/kill" + client::encode_query({{"signal", signal}});
    co_return co_await command(std::move(request));
}

asio::awaitable<Result<void>> Engine::remove(std::string name) {
    auto done = co_await remove_once(name);
    if (!done && done.error().code() != Errc::unavailable) {
        // Podman can't remove one that is about to end, and Docker says so of one that somebody else removes
        co_await wait(name);
        done = co_await remove_once(name);
    }
    co_return done;
}

asio::awaitable<Result<void>> Engine::remove_once(std::string name) {
    EngineRequest request;
    request.method = "DELETE";
    request.target = "/containers/" + client::encode_part(name) + "?force=1&v=1";
    request.timeout = std::chrono::minutes(1);
    const auto done = co_await command(std::move(request));
    const bool gone = done || done.error().code() == Errc::not_found;
    co_return gone ? Result<void>() : done;
}

asio::awaitable<Result<std::vector<ListedContainer>>> Engine::list(std::string label, std::string value) {
    EngineRequest request;
    const Json filter{{"label", Json::array({label + "=" + value})}};
    request.target = "/containers/json" + client::encode_query({{"all", "1"}, {"filters", proto::print_json(filter)}});
    const auto answer = co_await call(std::move(request));
    if (!answer) {
        co_return answer.error();
    }
    const auto document = proto::parse_json("{\"list\":" + answer->body + "}");
    if (!document) {
        co_return Error(Errc::internal, "the container engine's list can't be read");
    }
    std::vector<ListedContainer> out;
    std::vector<Fault> ignored;
    JsonReader(*document, "", ignored).objects("list", [&](JsonReader& entry) {
        out.push_back({entry.text("Id"), read_labels(entry, "Labels")});
    });
    co_return out;
}

asio::awaitable<Result<void>> Engine::read_output(std::string name, bool follow, LineOut line, CancelToken cancel) {
    EngineRequest request;
    request.target =
        "/containers/" + client::encode_part(name) + "/logs?stdout=1&stderr=1&follow=" + (follow ? "1" : "0");
    request.timeout = silent_output;
    const auto frames = std::make_shared<OutputFrames>(std::move(line));
    const auto answer = co_await call(
        std::move(request), [frames](std::string_view piece) { frames->feed(piece); }, std::move(cancel));
    frames->finish();
    co_return answer ? Result<void>() : Result<void>(answer.error());
}

} // namespace linarite::agent
