#include "server/azureml/artifacts.hpp"

#include "common/files.hpp"
#include "server/service/blob_links.hpp"

#include <algorithm>

namespace linarite::azureml {
namespace {

constexpr const char* origin = "ExperimentRun";
constexpr std::size_t page_size = 500;
constexpr std::size_t batch_limit = 1'000;

std::string artifact_id(const RunId& run, const std::string& path) {
    return std::string(origin) + "/" + container_of(run) + "/" + path;
}

Json content_at(const RunId& run, const std::string& path, const std::string& link) {
    return Json{
        {"contentUri", link}, {"origin", origin}, {"container", container_of(run)}, {"path", path}, {"tags", nullptr}};
}

} // namespace

std::string container_of(const RunId& run) {
    return "dcid." + run.str();
}

Json artifact_json(const RunId& run, const std::string& path, Time created) {
    const std::string id = artifact_id(run, path);
    return Json{
        {"artifactId", id},
        {"origin", origin},
        {"container", container_of(run)},
        {"path", path},
        {"etag", nullptr},
        {"createdTime", format_time(created)},
        {"dataPath", Json{{"dataStoreName", "workspaceartifactstore"}, {"relativePath", id}, {"sqlDataPath", nullptr}}},
        {"tags", Json::object()}};
}

Json content_json(const Call& call, const RunId& run, const std::string& path) {
    return content_at(run, path, signed_link(call, service::LinkRight::read, service::artifact_blob_path({run, path})));
}

Result<Json> upload_links(const Call& call, const RunId& run, const Json& body) {
    const Json paths = body.is_object() ? body.value("paths", Json::array()) : Json();
    if (!paths.is_array() || paths.size() > batch_limit) {
        return Error(Errc::invalid_argument, "paths must be a list of at most 1000 names");
    }
    Json artifacts = Json::object();
    Json contents = Json::object();
    Json errors = Json::object();
    for (const Json& item : paths) {
        if (!item.is_object() || !item.contains("path") || !item["path"].is_string()) {
            return Error(Errc::invalid_argument, "each of the paths must be an object with a path");
        }
        const std::string path = item["path"];
        if (const auto checked = parse_relative_path(path, "artifact"); !checked) {
            errors[path] = error_body("UserError", checked.error().detail(), call.api->clock.now());
            continue;
        }
        // each link is another one: a client may write through it once, and a second upload is not the first one's
        const std::string blob = service::artifact_blob_path({run, path}, random_hex(8));
        artifacts[path] = artifact_json(run, path, call.api->clock.now());
        contents[path] = content_at(run, path, signed_link(call, service::LinkRight::write, blob));
    }
    return Json{{"artifacts", std::move(artifacts)},
                {"artifactContentInformation", std::move(contents)},
                {"errors", std::move(errors)}};
}

asio::awaitable<Result<Json>> artifact_page(Call call, RunId run, std::string prefix, bool with_links) {
    const auto files = co_await call.api->storage.list(run, prefix);
    if (!files) {
        co_return files.error();
    }
    const std::string last = call.query("continuationToken");
    auto at = std::find_if(files->begin(), files->end(),
                           [&](const service::RunFile& file) { return last.empty() || file.path > last; });
    Json values = Json::array();
    for (; at != files->end() && values.size() < page_size; ++at) {
        values.push_back(with_links ? content_json(call, run, at->path) : artifact_json(run, at->path, at->changed));
    }
    const bool is_last = at == files->end();
    co_return page(std::move(values), is_last ? "" : std::prev(at)->path);
}

asio::awaitable<Result<service::RunFile>> find_artifact(Call call, RunId run, std::vector<std::string> names) {
    for (const std::string& name : names) {
        auto file = co_await call.api->storage.find(run, name);
        if (file || file.error().code() != Errc::not_found) {
            co_return file;
        }
    }
    co_return Error(Errc::not_found, "Artifact " + artifact_id(run, names.front()) + " not found");
}

asio::awaitable<Result<Json>> log_files(Call call, RunId run) {
    const auto files = co_await call.api->storage.list(run, "azureml-logs/");
    if (!files) {
        co_return files.error();
    }
    Json links = Json::object();
    for (const service::RunFile& file : *files) {
        const std::string blob = service::artifact_blob_path({run, file.path});
        links[file.path] = signed_link(call, service::LinkRight::read, blob);
    }
    co_return links;
}

} // namespace linarite::azureml
