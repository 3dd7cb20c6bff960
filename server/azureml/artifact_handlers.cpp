#include "server/azureml/absences.hpp"
#include "server/azureml/artifacts.hpp"
#include "server/azureml/run_changes.hpp"

#include <algorithm>

namespace linarite::azureml {
namespace {

/// The run whose files the route's container holds. If the caller may not know of it, the call was answered.
asio::awaitable<std::optional<RunId>> enter_container(Call call) {
    if (call.parameter("origin") != "ExperimentRun") {
        co_await reply_not_emulated(call);
        co_return std::nullopt;
    }
    constexpr std::string_view start = "dcid.";
    const std::string container = call.parameter("container");
    const RunId run(container.starts_with(start) ? container.substr(start.size()) : "");
    const bool reachable = co_await may_reach(call, run.str());
    const auto row = co_await find_run(call, run.str());
    if (!reachable || !row) {
        co_await reply_fault(call, Status::not_found, "UserError",
                             "Container " + call.parameter("origin") + "/" + container + " not found");
        co_return std::nullopt;
    }
    co_return run;
}

/// The request's path as it was sent.
std::string_view raw_path(const Call& call) {
    const std::string_view target = call.exchange->head().target;
    return target.substr(0, target.find('?'));
}

/// What the path may mean: the client does not escape a '%' that is part of a name, so an escape may be none.
std::vector<std::string> possible_names(const Call& call) {
    const std::string decoded = call.parameter("path");
    std::string_view rest = raw_path(call);
    std::string raw;
    for (auto parts = std::count(decoded.begin(), decoded.end(), '/') + 1; parts > 0; --parts) {
        rest = rest.substr(0, rest.find_last_not_of('/') + 1);
        const std::size_t slash = rest.rfind('/');
        raw.insert(0, raw.empty() ? "" : "/").insert(0, rest.substr(slash + 1));
        rest = rest.substr(0, slash);
    }
    return raw == decoded ? std::vector{decoded} : std::vector{decoded, raw};
}

asio::awaitable<void> reply_result(Call call, Result<Json> result) {
    if (!result && result.error().code() == Errc::not_found) {
        co_return co_await reply_fault(call, Status::not_found, "UserError", result.error().detail());
    }
    co_await reply(call, std::move(result), [](Json& body) { return std::move(body); });
}

asio::awaitable<void> batch_metadata(Call call) {
    const auto run = co_await enter_container(call);
    if (!run) {
        co_return;
    }
    const auto body = co_await call.exchange->read_json();
    co_await reply_result(call, body ? upload_links(call, *run, *body) : Result<Json>(body.error()));
}

asio::awaitable<void> list(Call call) {
    const auto run = co_await enter_container(call);
    if (!run) {
        co_return;
    }
    auto found = co_await artifact_page(call, *run, "", false);
    co_await reply_result(call, std::move(found));
}

asio::awaitable<void> list_content(Call call) {
    const auto run = co_await enter_container(call);
    if (!run) {
        co_return;
    }
    std::string prefix = call.parameter("prefix");
    if (!prefix.empty() && raw_path(call).ends_with('/')) {
        prefix += '/'; // the transport knows one spelling of a path alone, without it
    }
    auto found = co_await artifact_page(call, *run, std::move(prefix), true);
    co_await reply_result(call, std::move(found));
}

asio::awaitable<void> content_info(Call call) {
    const auto run = co_await enter_container(call);
    if (!run) {
        co_return;
    }
    const auto file = co_await find_artifact(call, *run, possible_names(call));
    co_await reply_result(call, file ? content_json(call, *run, file->path) : Result<Json>(file.error()));
}

asio::awaitable<void> metadata(Call call) {
    const auto run = co_await enter_container(call);
    if (!run) {
        co_return;
    }
    const auto file = co_await find_artifact(call, *run, possible_names(call));
    co_await reply_result(call, file ? artifact_json(*run, file->path, file->changed) : Result<Json>(file.error()));
}

} // namespace

void add_artifact_routes(http::Router& router, const ApiPtr& api) {
    const std::string base = "/artifact/v2.0" + workspace_scope + "/artifacts";
    const std::string container = "/{origin}/{container}";
    const auto add = [&](verb method, const std::string& rest, Handler handler) {
        add_route(router, api, method, base + rest, clients_and_runs, handler);
    };
    add(verb::post, "/batch/metadata" + container, batch_metadata);
    add(verb::get, container, list);
    add(verb::get, "/contentinfo" + container + "/{path...}", content_info);
    add(verb::get, "/prefix/contentinfo" + container, list_content);
    add(verb::get, "/prefix/contentinfo" + container + "/{prefix...}", list_content);
    add(verb::get, "/metadata" + container + "/{path...}", metadata);
}

} // namespace linarite::azureml
