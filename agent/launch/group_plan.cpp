#include "agent/launch/group_plan.hpp"

#include "agent/launch/run_environment.hpp"
#include "fmt/core.h"
#include "proto/json_reader.hpp"
#include "proto/process_layout.hpp"

#include <algorithm>
#include <utility>

namespace linarite::agent {

namespace {

using proto::Json;
using proto::ProcessPlace;
using proto::ProcessRole;
using Variables = std::map<std::string, std::string>;

int count_on(const std::vector<ProcessPlace>& layout, int node) {
    return static_cast<int>(std::ranges::count(layout, node, &ProcessPlace::node));
}

/// What torch's env:// rendezvous reads, beside MASTER_ADDR and MASTER_PORT, which every process has.
Variables rank_variables(const ProcessPlace& place, const std::vector<ProcessPlace>& layout) {
    return {{"RANK", std::to_string(place.rank)},
            {"LOCAL_RANK", std::to_string(place.local_rank)},
            {"WORLD_SIZE", std::to_string(layout.size())},
            {"LOCAL_WORLD_SIZE", std::to_string(count_on(layout, place.node))},
            {"AZ_BATCHAI_TASK_INDEX", std::to_string(place.rank)}};
}

/// Where the tasks of a role listen, by index: the ports after the rendezvous' own, counted up on each node.
std::vector<std::string> hosts_of(const LaunchOrder& order, const std::vector<ProcessPlace>& layout, ProcessRole role) {
    const auto addresses = node_addresses(order);
    std::vector<std::string> out;
    for (const auto& place : layout) {
        if (place.role == role) {
            out.push_back(fmt::format("{}:{}", addresses[static_cast<std::size_t>(place.node)],
                                      port_of(order, place.node) + 1 + place.local_rank));
        }
    }
    return out;
}

std::string tf_config(const ProcessPlace& place, const std::vector<std::string>& servers,
                      const std::vector<std::string>& workers) {
    Json cluster{{"worker", workers}};
    if (!servers.empty()) {
        cluster["ps"] = servers;
    }
    return proto::print_json(Json{{"cluster", std::move(cluster)},
                                  {"task", {{"type", proto::to_wire(place.role)}, {"index", place.index}}},
                                  {"environment", "cloud"}});
}

Variables task_variables(const LaunchOrder& order, const std::vector<ProcessPlace>& layout, const ProcessPlace& place) {
    const auto servers = hosts_of(order, layout, ProcessRole::parameter_server);
    const auto workers = hosts_of(order, layout, ProcessRole::worker);
    return {{"TF_CONFIG", tf_config(place, servers, workers)},
            {"AZ_BATCHAI_PS_HOSTS", fmt::format("{}", fmt::join(servers, ","))},
            {"AZ_BATCHAI_WORKER_HOSTS", fmt::format("{}", fmt::join(workers, ","))},
            {"AZ_BATCHAI_TASK_TYPE", std::string(proto::to_wire(place.role))},
            {"AZ_BATCHAI_TASK_INDEX", std::to_string(place.index)}};
}

/// Whether workers on other nodes may still need the parameter servers of this one.
bool has_workers_elsewhere(const LaunchOrder& order, const std::vector<ProcessPlace>& layout) {
    return std::ranges::any_of(layout, [&](const ProcessPlace& place) {
        return place.role == ProcessRole::worker && place.node != order.node_index;
    });
}

} // namespace

int ports_of(const proto::RunDefinition& definition, int node_index) {
    switch (definition.launch) {
    case proto::LaunchKind::single: return 0;
    case proto::LaunchKind::mpi:
    case proto::LaunchKind::process_group: return node_index == 0 ? 1 : 0;
    case proto::LaunchKind::parameter_server: return 1 + count_on(proto::process_layout(definition), node_index);
    }
    return 0;
}

void plan_group(const LaunchOrder& order, Variables env, std::vector<std::string> argv, LaunchPlan& plan) {
    const auto layout = proto::process_layout(order.definition);
    RankJob ranks;
    ranks.argv = std::move(argv);
    ranks.cwd = order.work_dir;
    ranks.log_dir = order.run_dir / "azureml-logs";
    ranks.facts_dir = order.facts_dir;
    ranks.log = std::exchange(plan.job.log, LogLines());
    ranks.linger = has_workers_elsewhere(order, layout);
    for (const ProcessPlace& place : layout) {
        if (place.node == order.node_index) {
            ranks.processes.push_back({place.rank, proto::file_word(place, static_cast<int>(layout.size())),
                                       place.role == ProcessRole::parameter_server,
                                       place.role == ProcessRole::rank ? rank_variables(place, layout)
                                                                       : task_variables(order, layout, place)});
        }
    }
    plan.ranks = std::move(ranks);
    plan.rank_file = order.facts_dir / "ranks.json";
    env["LINARITE_RANK_FILE"] = plan.rank_file.string();
    plan.job.argv = {order.shim.string(), "ranks"};
    plan.job.env = std::move(env);
    plan.job.cwd = "/";
    plan.job.out = order.facts_dir / "ranks.log";
    plan.job.signal_group = false; // it tells the processes
}

} // namespace linarite::agent
