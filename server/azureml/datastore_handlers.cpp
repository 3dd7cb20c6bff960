// Datastores as Azure blob containers of the built-in store.
#include "proto/azureml/metadata.hpp"
#include "proto/json_reader.hpp"
#include "server/azureml/call.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace linarite::azureml {
namespace {

using store::DatastoreRow;

// Blobs and everything else are served under one authority, and a blob's path begins with its container.
constexpr std::array reserved{"adfs",
                              "api",
                              "artifact",
                              "assetstore",
                              "azureml-artifacts",
                              "azureml-snapshots",
                              "content",
                              "credential",
                              "dataset",
                              "datastore",
                              "discovery",
                              "environment",
                              "execution",
                              "healthz",
                              "history",
                              "hyperdrive",
                              "metadata",
                              "metric",
                              "metrics",
                              "mlflow",
                              "modelmanagement",
                              "pipelines",
                              "rp",
                              "studio",
                              "subscriptions"};

bool is_word(std::string_view text, std::size_t shortest, std::size_t longest, std::string_view more) {
    return text.size() >= shortest && text.size() <= longest && std::ranges::all_of(text, [&](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
           });
}

Json render(const Call& call, const DatastoreRow& row) {
    const service::BlobNames names = service::blob_names(row);
    const std::string key = call.api->tokens.account_key(names.account);
    const Json section{{"accountName", names.account},
                       {"containerName", names.container},
                       {"endpoint", proto::azureml::storage_suffix(call.authority())},
                       {"protocol", "https"},
                       {"credentialType", "AccountKey"},
                       {"credential", key},
                       {"accountKey", key},
                       {"sasToken", nullptr},
                       {"isSas", false},
                       {"blobCacheTimeout", 0},
                       {"areWorkspaceManagedIdentitiesAllowed", false},
                       {"subscriptionId", call.workspace.subscription},
                       {"resourceGroup", call.workspace.resource_group},
                       {"serviceDataAccessAuthIdentity", "None"},
                       {"clientCredentials", nullptr}};
    return Json{{"name", row.name},       {"dataStoreType", "AzureBlob"}, {"hasBeenValidated", true},
                {"tags", Json::object()}, {"isDefault", row.is_default},  {"azureStorageSection", section}};
}

asio::awaitable<void> get(Call call) {
    const auto row = co_await call.api->datastores.find(call.parameter("name"));
    co_await reply(call, row, [&](const DatastoreRow& found) { return render(call, found); });
}

asio::awaitable<void> get_default(Call call) {
    const auto rows = co_await call.api->datastores.list();
    if (!rows) {
        co_return co_await reply_error(call, rows.error());
    }
    const auto found = std::ranges::find_if(*rows, &DatastoreRow::is_default);
    if (found == rows->end()) {
        co_return co_await reply_error(call, Error(Errc::not_found, "no datastore is the default one"));
    }
    co_await reply_json(call, render(call, *found));
}

asio::awaitable<void> set_default(Call call) {
    const auto done = co_await call.api->datastores.set_default(call.parameter("name"));
    if (!done) {
        co_return co_await reply_error(call, done.error());
    }
    co_await call.exchange->reply_empty(Status::ok);
}

// The pages go by name: the token is the last name of the page before.
asio::awaitable<void> list(Call call) {
    const std::string count = call.query("count");
    std::size_t limit = 100;
    std::from_chars(count.data(), count.data() + count.size(), limit);
    limit = std::clamp<std::size_t>(limit, 1, 1'000);
    auto rows = co_await call.api->datastores.list();
    if (!rows) {
        co_return co_await reply_error(call, rows.error());
    }
    const std::string after = call.query("continuationToken");
    std::erase_if(*rows, [&](const DatastoreRow& row) { return row.name <= after; });
    const std::string next = rows->size() > limit ? rows->at(limit - 1).name : "";
    rows->resize(std::min(rows->size(), limit));
    Json values = Json::array();
    for (const DatastoreRow& row : *rows) {
        values.push_back(render(call, row));
    }
    co_await reply_json(call, page(std::move(values), next));
}

/// What a registration asks for.
struct Registration {
    std::string name;
    service::BlobNames blob;
};

Result<Registration> read_registration(const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    Registration wanted;
    wanted.name = reader.required_text("name");
    const std::string type = reader.required_text("dataStoreType");
    if (!type.empty() && type != "AzureBlob") {
        reader.fault("dataStoreType", "'" + type +
                                          "' is not emulated: only AzureBlob, whose containers are "
                                          "directories here; for a directory that is there already: "
                                          "linarite datastore create NAME --path DIR");
        return Error(std::move(faults));
    }
    proto::JsonReader section = reader.object("azureStorageSection");
    wanted.blob = {section.required_text("accountName"), section.required_text("containerName")};
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    if (!is_word(wanted.blob.account, 1, 24, "")) {
        section.fault("accountName", "a storage account's name has 3 to 24 lower-case letters and digits");
    }
    if (!is_word(wanted.blob.container, 3, 63, "-") || wanted.blob.container.front() == '-') {
        section.fault("containerName", "a container's name has 3 to 63 lower-case letters, digits and '-'");
    } else if (std::ranges::find(reserved, wanted.blob.container) != reserved.end()) {
        section.fault("containerName", "'" + wanted.blob.container +
                                           "' cannot be a container's name here: the coordinator's own services are "
                                           "under that path");
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return wanted;
}

// `must_be` is the name in the path, if there is one.
asio::awaitable<void> store_registration(Call call, bool replace, std::string must_be) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    const auto wanted = read_registration(*body);
    if (!wanted) {
        co_return co_await reply_error(call, wanted.error());
    }
    if (!must_be.empty() && must_be != wanted->name) {
        co_return co_await reply_error(call, Error({Fault{"/name", "must be '" + must_be + "', as in the path"}}));
    }
    const auto row = co_await call.api->datastores.register_container(wanted->name, wanted->blob, replace);
    if (!row && row.error().code() == Errc::conflict) {
        if (call.query("createIfNotExists") == "true") {
            co_return co_await call.exchange->reply_empty(Status::ok);
        }
        // by these words the SDK decides to replace it, if it was told to overwrite
        co_return co_await reply_fault(call, Status::bad_request, "UserError",
                                       "Another datastore with the same name already exists");
    }
    if (!row) {
        co_return co_await reply_error(call, row.error());
    }
    co_await call.exchange->reply_empty(Status::ok);
}

asio::awaitable<void> create(Call call) {
    co_await store_registration(call, false, "");
}

asio::awaitable<void> replace(Call call) {
    co_await store_registration(call, true, call.parameter("name"));
}

asio::awaitable<void> remove(Call call) {
    const auto done = co_await call.api->datastores.remove(call.parameter("name"));
    if (!done) {
        co_return co_await reply_error(call, done.error());
    }
    co_await call.exchange->reply_empty(Status::ok);
}

} // namespace

void add_datastore_routes(http::Router& router, const ApiPtr& api) {
    const std::string base = "/datastore/v1.0" + workspace_scope;
    const std::string one = base + "/datastores/{name}";
    add_route(router, api, verb::get, base + "/default", clients_and_runs, get_default);
    add_route(router, api, verb::put, base + "/default/{name}", clients, set_default);
    add_route(router, api, verb::get, base + "/datastores", clients_and_runs, list);
    add_route(router, api, verb::post, base + "/datastores", clients, create);
    add_route(router, api, verb::get, one, clients_and_runs, get);
    add_route(router, api, verb::put, one, clients, replace);
    add_route(router, api, verb::delete_, one, clients, remove);
}

} // namespace linarite::azureml
