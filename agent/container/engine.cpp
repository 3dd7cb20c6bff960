#include "agent/container/engine.hpp"

#include "agent/container/output_frames.hpp"
#include "client/http_client.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace linarite::agent {

namespace {

using proto::Json;
using proto::JsonReader;

constexpr int our_api_minor = 41;                      // of API 1: the one of Docker 20.10, which Podman speaks too
constexpr std::chrono::seconds introduction_limit{30}; // Podman asks its package manager for it, which takes some
constexpr std::chrono::hours silent_output{24};        // a tool may be quiet for as long as its own limit lets it

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

std::map<std::string, std::string> read_labels(JsonReader& reader, std::string_view key) {
    std::map<std::string, std::string> out;
    reader.members(key, [&](const std::string& name, const Json& value) {
        if (value.is_string()) {
            out[name] = value.get<std::string>();
        }
    });
    return out;
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
    if (!done && done.error().detail().find("already in progress") != std::string::npos) {
        co_return co_await wait_until_removed(name); // by another call of ours
    }
    if (!done && done.error().code() != Errc::unavailable) {
        // Podman can't remove one that is about to end, and Docker says so of one that somebody else removes
        co_await wait(name);
        done = co_await remove_once(name);
    }
    co_return done;
}

asio::awaitable<Result<void>> Engine::wait_until_removed(std::string name) {
    EngineRequest request;
    request.method = "POST";
    request.target = "/containers/" + client::encode_part(name) + "/wait?condition=removed";
    request.timeout = std::chrono::minutes(1);
    const auto waited = co_await command(std::move(request));
    co_return waited || waited.error().code() == Errc::not_found ? Result<void>() : waited;
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
