// Compute targets as AmlCompute clusters. What a cluster would scale to is what there is: the numbers are those of the
// nodes, whatever a client asked for.
#include "proto/json_reader.hpp"
#include "server/azureml/arm.hpp"
#include "server/service/computes.hpp"

#include <boost/algorithm/string/predicate.hpp>

namespace linarite::azureml {
namespace {

using service::Compute;

constexpr int most_nodes = 1'000'000;

Json counts(const Compute& compute) {
    return Json{{"preparingNodeCount", 0},
                {"runningNodeCount", compute.running},
                {"idleNodeCount", compute.idle},
                {"unusableNodeCount", compute.unusable},
                {"leavingNodeCount", compute.leaving},
                {"preemptedNodeCount", 0}};
}

Json cluster(const Compute& compute) {
    // no null where the SDK expects an object: it reads members of what is there
    return Json{
        {"vmSize", compute.vm_size},
        {"vmPriority", "Dedicated"},
        {"scaleSettings", Json{{"minNodeCount", compute.up()},
                               {"maxNodeCount", compute.nodes()},
                               {"nodeIdleTimeBeforeScaleDown", "PT120S"}}},
        {"allocationState", "Steady"},
        {"allocationStateTransitionTime", format_time(compute.created)},
        {"errors", nullptr},
        {"currentNodeCount", compute.up()},
        {"targetNodeCount", compute.up()},
        {"nodeStateCounts", counts(compute)},
        {"userAccountCredentials",
         Json{{"adminUserName", "azureuser"}, {"adminUserSshPublicKey", nullptr}, {"adminUserPassword", nullptr}}},
        {"subnet", nullptr},
        {"remoteLoginPortPublicAccess", "Disabled"}};
}

Json stored_member(const Compute& compute, const char* name, Json otherwise) {
    const Json document = Json::parse(compute.document, nullptr, false);
    return document.is_object() && document.contains(name) ? document[name] : otherwise;
}

Json render(const Call& call, const Compute& compute) {
    const Json description = stored_member(compute, "description", nullptr);
    return Json{{"id", call.scope() + "/computes/" + compute.name},
                {"name", compute.name},
                {"type", "Microsoft.MachineLearningServices/workspaces/computes"},
                {"location", location},
                {"tags", stored_member(compute, "tags", Json::object())},
                {"properties", Json{{"computeType", "AmlCompute"},
                                    {"computeLocation", location},
                                    {"description", description},
                                    {"resourceId", nullptr},
                                    {"isAttachedCompute", false},
                                    {"provisioningState", "Succeeded"},
                                    {"provisioningErrors", nullptr},
                                    {"createdOn", format_time(compute.created)},
                                    {"modifiedOn", format_time(compute.created)},
                                    {"disableLocalAuth", true},
                                    {"properties", cluster(compute)}}}};
}

// Everything here is done when it is answered; clients insist on asking whether it is.
void add_operation(const Call& call) {
    call.exchange->add_header("Azure-AsyncOperation", call.base_url() + "/subscriptions/" +
                                                          call.workspace.subscription +
                                                          "/providers/Microsoft.MachineLearningServices/locations/" +
                                                          location + "/computeOperationsStatus/" + random_guid());
}

asio::awaitable<void> list(Call call) {
    const auto computes = co_await call.api->computes.list();
    co_await reply(call, computes, [&](const std::vector<Compute>& found) {
        Json values = Json::array();
        for (const Compute& compute : found) {
            values.push_back(render(call, compute));
        }
        return Json{{"value", std::move(values)}}; // one page: a nextLink that is null would be followed
    });
}

asio::awaitable<void> get(Call call) {
    const auto compute = co_await call.api->computes.find(call.parameter("compute"));
    if (!compute && compute.error().code() == Errc::not_found) {
        co_return co_await reply_fault(call, Status::not_found, "ResourceNotFound", compute.error().detail());
    }
    co_await reply(call, compute, [&](const Compute& found) { return render(call, found); });
}

asio::awaitable<void> list_nodes(Call call) {
    const auto nodes = co_await call.api->computes.nodes_of(call.parameter("compute"));
    co_await reply(call, nodes, [](const std::vector<service::ComputeNode>& found) {
        Json values = Json::array();
        for (const service::ComputeNode& node : found) {
            values.push_back(Json{{"nodeId", node.name.str()},
                                  {"privateIpAddress", node.address},
                                  {"publicIpAddress", nullptr},
                                  {"port", nullptr},
                                  {"nodeState", node.state},
                                  {"runId", node.runs.empty() ? Json() : Json(node.runs.front().str())}});
        }
        return Json{{"nodes", std::move(values)}};
    });
}

// What stays of a client's document: nothing that could be a secret (a login's password or key).
std::string kept(const Json& description, const Json& tags, const Json& scale) {
    return proto::print_json(Json{{"description", description.is_string() ? description : Json()},
                                  {"tags", tags.is_object() ? tags : Json::object()},
                                  {"scaleSettings", scale}});
}

Result<store::ComputeTargetRow> read_compute(const std::string& name, const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    proto::JsonReader outer = reader.object("properties");
    const std::string type = outer.required_text("computeType");
    if (!type.empty() && type != "AmlCompute") {
        outer.fault("computeType", "'" + type +
                                       "' cannot be made here: only AmlCompute, whose nodes are Linarite's "
                                       "agents; a machine becomes a node by 'linarite nodes join'");
        return Error(std::move(faults)); // what else another kind of target lacks says nothing
    }
    proto::JsonReader inner = outer.object("properties");
    store::ComputeTargetRow row;
    row.name = name;
    row.vm_size = inner.required_text("vmSize");
    proto::JsonReader scale = inner.object("scaleSettings");
    row.min_nodes = static_cast<int>(scale.integer("minNodeCount", 0, most_nodes, 0));
    row.max_nodes = static_cast<int>(scale.integer("maxNodeCount", 0, most_nodes, 1));
    row.document = kept(outer.raw("description"), reader.raw("tags"), inner.raw("scaleSettings"));
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return row;
}

asio::awaitable<void> answer_put(Call call, Result<Compute> compute, Status status) {
    if (!compute) {
        co_return co_await reply_error(call, compute.error());
    }
    add_operation(call);
    co_await call.exchange->reply_json(status, render(call, *compute));
}

asio::awaitable<void> put(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto row = read_compute(call.parameter("compute"), *body);
    if (!row) {
        co_return co_await reply_error(call, row.error());
    }
    const auto known = co_await call.api->computes.find(row->name);
    auto made = co_await call.api->computes.put(std::move(*row));
    co_await answer_put(call, std::move(made), known ? Status::ok : Status::created);
}

// New scale settings and tags of a pool that a client made; its size stays.
Result<store::ComputeTargetRow> merge(const Compute& known, const Json& body) {
    Json merged = Json::object();
    merged["properties"] =
        Json{{"computeType", "AmlCompute"},
             {"description", stored_member(known, "description", nullptr)},
             {"properties",
              Json{{"vmSize", known.vm_size}, {"scaleSettings", stored_member(known, "scaleSettings", nullptr)}}}};
    merged["tags"] = stored_member(known, "tags", nullptr);
    if (body.is_object()) {
        merged.merge_patch(body);
    }
    return read_compute(known.name, merged);
}

asio::awaitable<void> patch(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    const auto known = co_await call.api->computes.find(call.parameter("compute"));
    if (!known) {
        co_return co_await reply_error(call, known.error());
    }
    if (known->built_in) {
        co_return co_await reply_fault(call, Status::bad_request, "UserError",
                                       "compute target '" + known->name +
                                           "' has the nodes that there are: it has no settings to change");
    }
    if (body->is_object() && body->value("identity", Json()).is_object()) {
        co_return co_await reply_fault(call, Status::bad_request, "UserError",
                                       "/identity: nodes have no identities of Azure here: the scripts on them reach "
                                       "datastores by their run's own token");
    }
    auto row = merge(*known, *body);
    if (!row) {
        co_return co_await reply_error(call, row.error());
    }
    auto made = co_await call.api->computes.put(std::move(*row));
    co_await answer_put(call, std::move(made), Status::ok);
}

asio::awaitable<void> remove(Call call) {
    const auto removed = co_await call.api->computes.remove(call.parameter("compute"));
    if (!removed) {
        co_return co_await reply_error(call, removed.error());
    }
    add_operation(call);
    co_await call.exchange->reply_empty(Status::accepted);
}

asio::awaitable<void> get_operation(Call call) {
    const std::string now = format_time(call.api->clock.now());
    co_await reply_json(call, Json{{"status", "Succeeded"}, {"startTime", now}, {"endTime", now}});
}

asio::awaitable<void> list_sizes(Call call) {
    const auto sizes = co_await call.api->computes.sizes();
    co_await reply(call, sizes, [](const std::vector<service::VmSize>& found) {
        constexpr std::uint64_t gigabyte = std::uint64_t{1} << 30U;
        Json values = Json::array();
        for (const service::VmSize& size : found) {
            values.push_back(Json{{"name", size.name},
                                  {"family", "linarite"},
                                  {"vCPUs", size.cores},
                                  {"gpus", size.gpus},
                                  {"memoryGB", (size.memory_bytes + gigabyte / 2) / gigabyte},
                                  {"osVhdSizeMB", 0},
                                  {"maxResourceVolumeMB", 0},
                                  {"lowPriorityCapable", false},
                                  {"premiumIO", false}});
        }
        return Json{{"amlCompute", std::move(values)}};
    });
}

} // namespace

void add_compute_routes(http::Router& router, const ApiPtr& api) {
    // read through the one and written through the other; both know both
    for (const std::string& scope : {"/rp/workspaces" + workspace_scope, workspace_scope}) {
        const std::string one = scope + "/computes/{compute}";
        add_route(router, api, verb::get, scope + "/computes", clients_and_runs, list);
        add_route(router, api, verb::get, one, clients_and_runs, get);
        add_route(router, api, verb::put, one, clients, put);
        add_route(router, api, verb::patch, one, clients, patch);
        add_route(router, api, verb::delete_, one, clients, remove);
        add_route(router, api, verb::post, one + "/listNodes", clients, list_nodes);
    }
    const std::string provider = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/"
                                 "{location}";
    add_route(router, api, verb::get, provider + "/vmSizes", clients, list_sizes);
    add_route(router, api, verb::get, provider + "/computeOperationsStatus/{operation}", clients, get_operation);
}

} // namespace linarite::azureml
