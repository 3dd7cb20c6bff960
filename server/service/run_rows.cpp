#include "server/service/run_rows.hpp"

#include "proto/process_layout.hpp"
#include "server/service/workspaces.hpp"

namespace linarite::service {

core::NodeSpec node_spec(const store::NodeRow& row) {
    return core::NodeSpec{row.name, targets_of(row.labels, row.gpus), row.slots, row.incarnation, row.boot_id};
}

namespace {

/// The nodes whose ends make the run's. An MPI run's is its launcher's, whatever its daemons elsewhere do.
std::set<int> deciders_of(const store::RunRow& row) {
    const auto definition = row.node_count == 1
                                ? Result<proto::RunDefinition>(Error())
                                : proto::parse_run_definition(proto::Json::parse(row.definition, nullptr, false));
    if (!definition || definition->launch == proto::LaunchKind::mpi) {
        return {0};
    }
    std::set<int> out;
    for (const proto::ProcessPlace& place : proto::process_layout(*definition)) {
        if (place.role != proto::ProcessRole::parameter_server) {
            out.insert(place.node);
        }
    }
    return out;
}

} // namespace

core::RunSpec run_spec(const store::RunRow& row) {
    core::RunSpec spec;
    spec.id = row.id;
    spec.target = row.target;
    spec.node_count = row.node_count;
    spec.priority = row.priority;
    spec.submitted = row.created;
    spec.max_duration = row.max_duration;
    spec.max_attempts = row.max_attempts;
    spec.deciders = deciders_of(row);
    return spec;
}

core::StoredRun stored_run(const store::RunRow& row) {
    core::StoredRun run;
    run.spec = run_spec(row);
    run.status = row.status;
    run.before_not_responding = row.before_not_responding;
    run.sequence = row.sequence;
    run.attempt = row.attempt;
    run.fence = row.fence;
    run.nodes = row.nodes;
    run.outcome = row.outcome;
    run.changed = row.changed;
    run.running_since = row.started;
    return run;
}

core::Outcome outcome_of(const NodeName& node, const proto::Ending& ending) {
    core::Outcome outcome;
    outcome.started = ending.started;
    outcome.exit_code = ending.exit_code;
    outcome.signal = ending.signal;
    outcome.out_of_memory = ending.out_of_memory;
    outcome.timed_out = ending.timed_out;
    outcome.stopped = ending.stopped;
    outcome.rank = ending.rank;
    outcome.rank_ended_us = ending.rank_ended_us;
    outcome.node = node;
    outcome.code = ending.code;
    outcome.message = ending.message;
    return outcome;
}

core::NodeReport node_report(const NodeName& node, const proto::RunReport& report) {
    core::NodeReport out;
    out.run = report.run;
    out.fence = report.fence;
    switch (report.phase) {
    case proto::Phase::preparing: out.phase = core::NodePhase::preparing; break;
    case proto::Phase::ready: out.phase = core::NodePhase::ready; break;
    case proto::Phase::launched: out.phase = core::NodePhase::launched; break;
    case proto::Phase::exited: out.phase = core::NodePhase::exited; break;
    case proto::Phase::done: out.phase = core::NodePhase::done; break;
    }
    out.detail = report.detail;
    out.work_done = report.work_done;
    if (report.ending) {
        out.outcome = outcome_of(node, *report.ending);
    }
    return out;
}

store::RunEnvironmentRow environment_row(const proto::RunEnvironment& environment) {
    return {environment.key,         environment.provider, environment.python,
            environment.interpreter, environment.image,    environment.image_digest};
}

void update_node_row(store::NodeRow& row, const proto::SyncRequest& request, Time now) {
    row.incarnation = request.incarnation;
    row.boot_id = request.boot_id;
    row.host_id = request.host_id;
    row.shared_dir = request.shared_dir;
    row.address = request.address;
    row.version = request.version;
    row.cores = request.resources.cores;
    row.memory_bytes = request.resources.memory_bytes;
    row.gpus = request.resources.gpus;
    row.slots = request.resources.slots;
    row.labels = request.resources.labels;
    row.last_seen = now;
}

std::set<std::string> targets_of(const std::vector<std::string>& labels, int gpus) {
    std::set<std::string> targets{"cpu-cluster", "local"};
    if (gpus > 0) {
        targets.insert("gpu-cluster");
    }
    constexpr std::string_view prefix = "target=";
    for (const std::string& label : labels) {
        if (label.starts_with(prefix) && label.size() > prefix.size()) {
            targets.insert(label.substr(prefix.size()));
        }
    }
    return targets;
}

proto::DesiredRunData desired_data(const proto::RunDefinition& definition,
                                   const std::map<std::string, store::DatastoreRow>& datastores) {
    const auto place_of = [&](const proto::DataReference& reference) -> std::optional<proto::DesiredData> {
        const auto found = datastores.find(reference.datastore);
        return found == datastores.end()
                   ? std::nullopt
                   : std::optional(proto::DesiredData{reference, found->second.path, found->second.shared});
    };
    proto::DesiredRunData out;
    for (const proto::DataReference& reference : definition.data) {
        if (auto data = place_of(reference)) {
            out.references.push_back(std::move(*data));
        }
    }
    if (const auto& context = definition.container.build_context) {
        proto::DataReference reference;
        reference.name = "build context"; // for people: no script sees it
        reference.datastore = context->datastore;
        reference.path_on_datastore = context->path;
        out.build_context = place_of(reference);
    }
    return out;
}

proto::DesiredRunData desired_data(const store::RunRow& row,
                                   const std::map<std::string, store::DatastoreRow>& datastores) {
    const auto definition = proto::parse_run_definition(proto::Json::parse(row.definition, nullptr, false));
    return definition ? desired_data(*definition, datastores) : proto::DesiredRunData();
}

std::map<std::string, std::string> run_variables(const store::RunRow& row, const store::WorkspaceRow& workspace) {
    // the agent adds where the service is (AZUREML_SERVICE_ENDPOINT): it knows by which address it reaches us
    const std::string scope = scope_of(workspace);
    return {
        {"AZUREML_RUN_ID", row.id.str()},
        {"AZUREML_ROOT_RUN_ID", row.root.empty() ? row.id.str() : row.root.str()},
        {"AZUREML_EXPERIMENT_ID", row.experiment_id},
        {"AZUREML_EXPERIMENT_NAME", row.experiment},
        {"AZUREML_ARM_PROJECT_NAME", row.experiment},
        {"AZUREML_ARM_SUBSCRIPTION", workspace.subscription},
        {"AZUREML_ARM_RESOURCEGROUP", workspace.resource_group},
        {"AZUREML_ARM_WORKSPACE_NAME", workspace.name},
        {"AZUREML_WORKSPACE_ID", workspace.id},
        {"AZUREML_WORKSPACE_SCOPE", scope},
        {"AZUREML_EXPERIMENT_SCOPE", scope + "/experiments/" + row.experiment},
        {"AZUREML_NODE_COUNT", std::to_string(row.node_count)},
        {"AZUREML_OUTPUT_DIRECTORY", "./outputs"},
        {"AZUREML_TARGET_TYPE", "batchai"},
    };
}

} // namespace linarite::service
