#include "server/azureml/call.hpp"
#include "server/azureml/source_tree.hpp"
#include "server/service/blob_links.hpp"
#include "server/service/blob_uploads.hpp"

#include <algorithm>

namespace linarite::azureml {
namespace {

constexpr const char* no_snapshot = "00000000-0000-0000-0000-000000000000";
constexpr std::size_t batch_limit = 10'000;

Json render(const Call& call, const std::string& id, const Json& parent, Json root) {
    return Json{{"id", id},
                {"parentId", parent},
                {"name", nullptr},
                {"description", nullptr},
                {"tags", nullptr},
                {"properties", Json::object()},
                {"createdTime", format_time(call.api->clock.now())},
                {"root", std::move(root)}};
}

/// There is never a latest one: then the client sends all of its files once, and those that we have cost no room.
asio::awaitable<void> latest(Call call) {
    return reply_json(call, render(call, no_snapshot, nullptr, empty_tree()));
}

asio::awaitable<void> links_for_files(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    const Json names = body->is_object() ? body->value("FileNames", Json()) : Json();
    const bool good = names.is_array() && names.size() <= batch_limit &&
                      std::all_of(names.begin(), names.end(), [](const Json& name) { return name.is_string(); });
    if (!good) {
        co_return co_await reply_fault(call, Status::bad_request, "UserError",
                                       "FileNames must be a list of at most 10000 names");
    }
    Json nodes = Json::array();
    for (const Json& name : names) {
        const std::string blob = service::upload_blob_path(random_hex(16));
        nodes.push_back(Json{{"fullName", name}, {"blobUri", signed_link(call, service::LinkRight::write, blob)}});
    }
    co_await reply_json(call, Json{{"fileNodes", std::move(nodes)}});
}

/// Where the content of files that were not sent comes from.
asio::awaitable<Result<std::map<std::string, proto::SnapshotFile>>> files_of_parent(Call call, std::string parent) {
    std::map<std::string, proto::SnapshotFile> files;
    if (parent.empty()) {
        co_return files;
    }
    const auto id = co_await call.api->snapshots.resolve(parent);
    if (!id) {
        // its files may all have been sent; if not, the error names one that was not
        co_return id.error().code() == Errc::not_found ? Result<std::map<std::string, proto::SnapshotFile>>(files)
                                                       : id.error();
    }
    const auto manifest = co_await call.api->snapshots.find(*id);
    if (!manifest) {
        co_return manifest.error();
    }
    for (const proto::SnapshotFile& file : manifest->files) {
        files.emplace(file.path, file);
    }
    co_return files;
}

asio::awaitable<Result<proto::SnapshotFile>> sent_file(Call call, std::string path, SourceTree::Sent sent) {
    const auto row = co_await call.api->uploads.find(sent.upload);
    if (!row && row.error().code() == Errc::not_found) {
        co_return Error(Errc::invalid_argument, "the content of '" + path + "' was never sent");
    }
    if (!row) {
        co_return row.error();
    }
    if (sent.size && *sent.size != row->size) {
        co_return Error(Errc::invalid_argument, "'" + path + "' arrived with " + std::to_string(row->size) +
                                                    " bytes, not " + std::to_string(*sent.size));
    }
    co_return proto::SnapshotFile{path, row->size, row->sha256, false};
}

/// The tree with the content of each file: as it was sent, else as it is in the parent.
asio::awaitable<Result<proto::Manifest>> manifest_of(Call call, SourceTree tree) {
    const auto inherited = co_await files_of_parent(call, tree.parent);
    if (!inherited) {
        co_return inherited.error();
    }
    proto::Manifest manifest;
    for (const std::string& path : tree.files) {
        const auto sent = tree.sent.find(path);
        const auto old = inherited->find(path);
        if (sent != tree.sent.end()) {
            auto file = co_await sent_file(call, path, sent->second);
            if (!file) {
                co_return file.error();
            }
            manifest.files.push_back(std::move(*file));
        } else if (old != inherited->end()) {
            manifest.files.push_back(old->second);
        } else {
            co_return Error(Errc::invalid_argument,
                            "the content of '" + path + "' is neither sent nor in snapshot '" + tree.parent + "'");
        }
    }
    // the checks of one tree, and the order that its id is made of
    co_return proto::parse_manifest(proto::print(manifest));
}

asio::awaitable<void> create(Call call) {
    const std::string id = call.parameter("id");
    if (const auto name = parse_name(id, "snapshot id"); !name) {
        co_return co_await reply_error(call, name.error());
    }
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto tree = parse_source_tree(*body);
    if (!tree) {
        co_return co_await reply_error(call, tree.error());
    }
    auto manifest = co_await manifest_of(call, std::move(*tree));
    if (!manifest) {
        co_return co_await reply_error(call, manifest.error());
    }
    const auto adopted = co_await call.api->snapshots.adopt(id, std::move(*manifest));
    if (!adopted) {
        co_return co_await reply_error(call, adopted.error());
    }
    co_await reply_json(call, render(call, id, body->value("ParentSnapshotId", Json()), (*body)["DirTreeNode"]));
}

/// The snapshot that the route names. A run knows no other than its own.
asio::awaitable<Result<SnapshotId>> named_snapshot(Call call) {
    auto id = co_await call.api->snapshots.resolve(call.parameter("id"));
    if (!id || call.caller().role != http::Principal::Role::run) {
        co_return id;
    }
    const auto run = co_await call.api->runs.find(RunId(call.caller().name));
    if (!run || run->snapshot != *id) {
        co_return Error(Errc::not_found, "snapshot '" + call.parameter("id") + "' not found");
    }
    co_return id;
}

asio::awaitable<void> show(Call call) {
    const auto id = co_await named_snapshot(call);
    if (!id) {
        co_return co_await reply_error(call, id.error());
    }
    const auto manifest = co_await call.api->snapshots.find(*id);
    co_await reply(call, manifest, [&call](const proto::Manifest& found) {
        return render(call, call.parameter("id"), nullptr, print_tree(found));
    });
}

asio::awaitable<void> zip(Call call) {
    const auto id = co_await named_snapshot(call);
    if (!id) {
        co_return co_await reply_error(call, id.error());
    }
    if (const auto made = co_await call.api->snapshots.make_zip(*id); !made) {
        co_return co_await reply_error(call, made.error());
    }
    const std::string link = signed_link(call, service::LinkRight::read, service::zip_blob_path(*id));
    co_await reply_json(call, Json{{"zipSasUri", link}});
}

} // namespace

void add_snapshot_routes(http::Router& router, const ApiPtr& api) {
    const auto add = [&](verb method, const char* version, const std::string& rest, Handler handler) {
        add_route(router, api, method, "/content/" + std::string(version) + workspace_scope + "/snapshots" + rest,
                  clients_and_runs, handler);
    };
    add(verb::get, "v1.0", "/latest/metadata", latest);
    add(verb::get, "v1.0", "/{id}/metadata", show);
    add(verb::get, "v2.0", "/{id}/metadata", show);
    add(verb::post, "v2.0", "/getblob", links_for_files);
    add(verb::post, "v2.0", "/{id}", create);
    add(verb::post, "v2.0", "/{id}/zip", zip);
}

} // namespace linarite::azureml
