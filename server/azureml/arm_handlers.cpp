// The resource manager: subscriptions, resource groups and workspaces, which are the coordinator's workspaces seen from
// three sides.
#include "server/azureml/arm.hpp"

#include <boost/algorithm/string/predicate.hpp>

#include <algorithm>
#include <array>

namespace linarite::azureml {
namespace {

constexpr const char* provider = "Microsoft.MachineLearningServices";
constexpr const char* workspace_type = "Microsoft.MachineLearningServices/workspaces";

// Scripts say in which region their workspace is to be made, and the SDK checks that against a list before it asks
// whether the workspace is there. All of them are here.
constexpr std::array regions{location,        "australiaeast",    "brazilsouth",        "canadacentral",
                             "centralindia",  "centralus",        "eastasia",           "eastus",
                             "eastus2",       "francecentral",    "germanywestcentral", "japaneast",
                             "japanwest",     "koreacentral",     "northcentralus",     "northeurope",
                             "norwayeast",    "southafricanorth", "southcentralus",     "southeastasia",
                             "swedencentral", "switzerlandnorth", "uaenorth",           "uksouth",
                             "ukwest",        "westcentralus",    "westeurope",         "westus",
                             "westus2",       "westus3"};

bool same(const std::string& a, const std::string& b) {
    return boost::algorithm::iequals(a, b, std::locale::classic());
}

std::string provider_path(const store::WorkspaceRow& row, const std::string& rest) {
    return "/subscriptions/" + row.subscription + "/resourceGroups/" + row.resource_group + "/providers/" + rest;
}

std::string storage_account(const store::WorkspaceRow& row) {
    return provider_path(row, std::string("Microsoft.Storage/storageAccounts/") + service::workspace_account);
}

// What a list of resources shows of a workspace.
Json resource(const store::WorkspaceRow& row) {
    return Json{{"id", service::scope_of(row)},
                {"name", row.name},
                {"type", workspace_type},
                {"location", location},
                {"tags", Json::object()}};
}

Json workspace(const Call& call) {
    const store::WorkspaceRow& row = call.workspace;
    Json out = resource(row);
    out["sku"] = Json{{"name", "Basic"}, {"tier", "Basic"}};
    out["identity"] = Json{{"type", "SystemAssigned"}, {"principalId", row.id}, {"tenantId", service::tenant_id}};
    out["properties"] =
        Json{{"workspaceId", row.id},
             {"friendlyName", row.name},
             {"description", ""},
             {"creationTime", format_time(row.created)},
             {"provisioningState", "Succeeded"},
             {"discoveryUrl", discovery_url(call)},
             {"mlFlowTrackingUri", "azureml://" + call.authority() + "/mlflow/v1.0" + service::scope_of(row)},
             {"storageAccount", storage_account(row)},
             {"keyVault", provider_path(row, "Microsoft.Keyvault/vaults/linarite")},
             {"applicationInsights", provider_path(row, "Microsoft.insights/components/linarite")},
             {"hbiWorkspace", false}};
    return out;
}

Json subscription(const std::string& id) {
    return Json{{"id", "/subscriptions/" + id},    {"subscriptionId", id}, {"tenantId", service::tenant_id},
                {"displayName", "Linarite " + id}, {"state", "Enabled"},   {"authorizationSource", "RoleBased"}};
}

Json group(const store::WorkspaceRow& row) {
    return Json{{"id", "/subscriptions/" + row.subscription + "/resourceGroups/" + row.resource_group},
                {"name", row.resource_group},
                {"type", "Microsoft.Resources/resourceGroups"},
                {"location", location},
                {"tags", Json::object()},
                {"properties", Json{{"provisioningState", "Succeeded"}}}};
}

// The workspaces below the path's subscription and resource group, if it names them.
std::vector<store::WorkspaceRow> rows_below(const Call& call) {
    const std::string subscription = call.parameter("subscription");
    const std::string group = call.parameter("group");
    std::vector<store::WorkspaceRow> rows = call.api->workspaces.list();
    std::erase_if(rows, [&](const store::WorkspaceRow& row) {
        return (!subscription.empty() && !same(row.subscription, subscription)) ||
               (!group.empty() && !same(row.resource_group, group));
    });
    return rows;
}

// One row for each subscription or resource group.
std::vector<store::WorkspaceRow> distinct(std::vector<store::WorkspaceRow> rows,
                                          std::string store::WorkspaceRow::*field) {
    std::vector<store::WorkspaceRow> out;
    for (store::WorkspaceRow& row : rows) {
        const bool known = std::ranges::any_of(out, [&](const auto& other) { return same(other.*field, row.*field); });
        if (!known) {
            out.push_back(std::move(row));
        }
    }
    return out;
}

asio::awaitable<void> list_subscriptions(Call call) {
    Json values = Json::array();
    for (const auto& row : distinct(rows_below(call), &store::WorkspaceRow::subscription)) {
        values.push_back(subscription(row.subscription));
    }
    co_await reply_json(call, Json{{"value", std::move(values)}});
}

asio::awaitable<void> get_subscription(Call call) {
    const auto rows = rows_below(call);
    if (rows.empty()) {
        co_return co_await reply_fault(call, Status::not_found, "SubscriptionNotFound",
                                       "The subscription '" + call.parameter("subscription") +
                                           "' could not be found: no workspace is in it.");
    }
    co_await reply_json(call, subscription(rows.front().subscription));
}

asio::awaitable<void> list_groups(Call call) {
    Json values = Json::array();
    for (const auto& row : distinct(rows_below(call), &store::WorkspaceRow::resource_group)) {
        values.push_back(group(row));
    }
    co_await reply_json(call, Json{{"value", std::move(values)}});
}

asio::awaitable<void> get_group(Call call) {
    const auto rows = rows_below(call);
    if (rows.empty()) {
        co_return co_await reply_fault(call, Status::not_found, "ResourceGroupNotFound",
                                       "Resource group '" + call.parameter("group") +
                                           "' could not be found: no workspace is in it.");
    }
    co_await reply_json(call, group(rows.front()));
}

// $filter=resourceType eq 'TYPE' is what clients ask; workspaces are the only resources that there are.
asio::awaitable<void> list_resources(Call call) {
    const std::string filter = call.query("$filter");
    Json values = Json::array();
    if (filter.empty() || boost::algorithm::icontains(filter, workspace_type, std::locale::classic())) {
        for (const auto& row : rows_below(call)) {
            values.push_back(resource(row));
        }
    }
    co_await reply_json(call, Json{{"value", std::move(values)}});
}

asio::awaitable<void> list_workspaces(Call call) {
    Json values = Json::array();
    for (auto& row : rows_below(call)) {
        call.workspace = std::move(row);
        values.push_back(workspace(call));
    }
    co_await reply_json(call, Json{{"value", std::move(values)}});
}

asio::awaitable<void> get_workspace(Call call) {
    co_await reply_json(call, workspace(call));
}

// Of all that Azure has keys for there is a storage account alone.
asio::awaitable<void> list_keys(Call call) {
    co_await reply_json(call, Json{{"userStorageKey", call.api->tokens.account_key(service::workspace_account)},
                                   {"userStorageResourceId", storage_account(call.workspace)},
                                   {"appInsightsInstrumentationKey", nullptr},
                                   {"containerRegistryCredentials", nullptr},
                                   {"notebookAccessKeys", nullptr}});
}

asio::awaitable<void> get_provider(Call call) {
    const Json workspaces{{"resourceType", "workspaces"}, {"locations", regions}, {"apiVersions", Json::array()}};
    co_await reply_json(call,
                        Json{{"id", "/subscriptions/" + call.parameter("subscription") + "/providers/" + provider},
                             {"namespace", provider},
                             {"registrationState", "Registered"},
                             {"resourceTypes", Json::array({workspaces})}});
}

// A workspace is an operator's to make: it has no price here, and clients that make them would spell them anyhow.
asio::awaitable<void> refuse_creation(Call call) {
    co_await reply_fault(call, Status::bad_request, "NotEmulated",
                         "Workspaces and resource groups are not made through Azure's API here: "
                         "linarite workspace create NAME --subscription ID --resource-group NAME");
}

} // namespace

void add_arm_routes(http::Router& router, const ApiPtr& api) {
    const std::string subscription = "/subscriptions/{subscription}";
    const std::string workspaces = std::string("/providers/") + workspace_type;
    add_route(router, api, verb::get, "/subscriptions", clients, list_subscriptions);
    add_route(router, api, verb::get, subscription, clients, get_subscription);
    add_route(router, api, verb::get, subscription + "/resources", clients, list_resources);
    add_route(router, api, verb::get, subscription + "/providers/" + provider, clients, get_provider);
    add_route(router, api, verb::get, subscription + workspaces, clients, list_workspaces);
    // both spellings are in use
    for (const char* groups : {"/resourceGroups", "/resourcegroups"}) {
        const std::string group = subscription + groups + "/{group}";
        add_route(router, api, verb::get, subscription + groups, clients, list_groups);
        add_route(router, api, verb::get, group, clients, get_group);
        add_route(router, api, verb::put, group, clients, refuse_creation);
        add_route(router, api, verb::get, group + workspaces, clients, list_workspaces);
        add_route(router, api, verb::put, group + "/providers/Microsoft.Resources/deployments/{deployment}", clients,
                  refuse_creation);
    }
    add_route(router, api, verb::get, workspace_scope, clients_and_runs, get_workspace);
    add_route(router, api, verb::put, workspace_scope, clients, refuse_creation);
    add_route(router, api, verb::post, workspace_scope + "/listKeys", clients, list_keys);
    add_route(router, api, verb::get, "/rp/workspaces" + workspace_scope, clients_and_runs, get_workspace);
}

} // namespace linarite::azureml
