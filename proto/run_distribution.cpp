// How many processes, and how they are started. The same intent has several spellings on the wire (different
// generations of the SDK write different ones), and the counts of most sections mean nothing: only the top-level
// nodeCount counts.
#include "fmt/core.h"
#include "proto/definition_parts.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::int64_t most_nodes = 512;
constexpr std::int64_t most_processes = 256; // on one node

struct Communicator {
    std::string_view alias; // lower case
    std::string_view canonical;
    LaunchKind launch;
};

// IntelMpi is a historic label of the service, which ran Open MPI under it.
constexpr std::array communicators = {
    Communicator{"", "None", LaunchKind::single},
    Communicator{"none", "None", LaunchKind::single},
    Communicator{"mpi", "Mpi", LaunchKind::mpi},
    Communicator{"intelmpi", "IntelMpi", LaunchKind::mpi},
    Communicator{"openmpi", "OpenMpi", LaunchKind::mpi},
    Communicator{"gloo", "Gloo", LaunchKind::process_group},
    Communicator{"nccl", "Nccl", LaunchKind::process_group},
    Communicator{"ps", "ParameterServer", LaunchKind::parameter_server},
    Communicator{"parameterserver", "ParameterServer", LaunchKind::parameter_server},
};

constexpr std::array<std::string_view, 3> frameworks = {"Python", "PyTorch", "TensorFlow"};

/// nullptr if there is none of that name.
const Communicator* find_communicator(std::string_view name) {
    const auto* const found = std::find_if(communicators.begin(), communicators.end(),
                                           [&](const Communicator& each) { return each.alias == lower(name); });
    return found == communicators.end() ? nullptr : found;
}

/// A count with the SDK's sentence for those that are too small.
int read_count(JsonReader& in, std::string_view key, std::string_view name, std::int64_t most) {
    const Json& value = in.raw(key);
    if (!value.is_number_integer()) {
        return static_cast<int>(in.integer(key, 1, most, 1));
    }
    const bool is_huge = value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>());
    const std::int64_t count = is_huge ? most + 1 : value.get<std::int64_t>();
    if (count >= 1 && count <= most) {
        return static_cast<int>(count);
    }
    in.fault(key, count < 1 ? fmt::format("{} should be at least 1.", name)
                            : fmt::format("{} should be at most {}.", name, most));
    return 1;
}

void read_framework(JsonReader& in, RunDefinition& definition) {
    const std::string name = in.text("framework");
    if (name.empty()) {
        return;
    }
    const auto* const found = std::find_if(frameworks.begin(), frameworks.end(),
                                           [&](std::string_view each) { return lower(each) == lower(name); });
    if (found == frameworks.end()) {
        in.fault("framework", fmt::format("Unsupported framework value: {}. Supported framework(s): ['Python', "
                                          "'PyTorch', 'TensorFlow'].",
                                          name));
        return;
    }
    definition.framework = *found;
}

/// The pairs that the estimators refuse; plain Python goes with all, as the generic Estimator does.
void check_pair(JsonReader& in, const RunDefinition& definition) {
    const auto refuse = [&](std::string_view type, std::string_view supported) {
        in.fault("framework", fmt::format("Unsupported framework for {} distributed training type. Supported "
                                          "frameworks are: ['{}', 'estimator']",
                                          type, supported));
    };
    if (definition.launch == LaunchKind::process_group && definition.framework == "TensorFlow") {
        refuse(definition.communicator, "pytorch");
    }
    if (definition.launch == LaunchKind::parameter_server && definition.framework == "PyTorch") {
        refuse(definition.communicator, "tensorflow");
    }
}

/// pytorch.processCount is the total over all nodes; absent, it is one for each node.
void read_process_group(JsonReader pytorch, RunDefinition& definition) {
    if (!pytorch.has("processCount")) {
        return;
    }
    const int total = read_count(pytorch, "processCount", "Process count", most_nodes * most_processes);
    if (total % definition.node_count != 0 || total / definition.node_count > most_processes) {
        pytorch.fault("processCount", fmt::format("{} processes cannot be shared out evenly over {} nodes, at most {} "
                                                  "on each: processCount is the total",
                                                  total, definition.node_count, most_processes));
        return;
    }
    definition.processes_per_node = total / definition.node_count;
}

/// tensorflow.workerCount and .parameterServerCount: together at least one task for each node. Absent, it is a worker
/// on each node and one parameter server.
void read_parameter_server(JsonReader tensorflow, RunDefinition& definition) {
    constexpr std::int64_t most_tasks = most_nodes * most_processes;
    definition.worker_count = tensorflow.has("workerCount")
                                  ? read_count(tensorflow, "workerCount", "Worker count", most_tasks)
                                  : definition.node_count;
    definition.parameter_server_count = static_cast<int>(tensorflow.integer("parameterServerCount", 0, most_tasks, 1));
    const int nodes = definition.node_count;
    const int tasks = definition.worker_count + definition.parameter_server_count;
    if (tasks < nodes || tasks > nodes * most_processes) {
        tensorflow.fault("workerCount", fmt::format("{} workers and {} parameter servers cannot be shared out over {} "
                                                    "nodes: each needs one task at least and {} at most",
                                                    definition.worker_count, definition.parameter_server_count, nodes,
                                                    most_processes));
        return;
    }
    definition.processes_per_node = (tasks + nodes - 1) / nodes;
}

} // namespace

void read_distribution(JsonReader& in, RunDefinition& definition) {
    definition.node_count = read_count(in, "nodeCount", "Node count", most_nodes);
    JsonReader mpi = in.object("mpi");
    const int per_node = read_count(mpi, "processCountPerNode", "Process count per node", most_processes);
    read_framework(in, definition);
    const std::string name = in.text("communicator");
    const Communicator* communicator = find_communicator(name);
    if (communicator == nullptr) {
        in.fault("communicator", fmt::format("Unsupported distributed backend value: {}. Supported backend(s): "
                                             "['mpi', 'gloo', 'nccl', 'ps'].",
                                             name));
        return;
    }
    definition.communicator = communicator->canonical;
    definition.launch = communicator->launch;
    check_pair(in, definition);
    switch (definition.launch) {
    case LaunchKind::single:
        if (definition.node_count > 1 || per_node > 1) {
            in.fault("communicator", "'distributed_backend' or 'distributed_training' must be specified when "
                                     "node_count > 1 or process_count_per_node > 1.");
        }
        break;
    case LaunchKind::mpi: definition.processes_per_node = per_node; break;
    case LaunchKind::process_group: read_process_group(in.object("pytorch"), definition); break;
    case LaunchKind::parameter_server: read_parameter_server(in.object("tensorflow"), definition); break;
    }
}

} // namespace linarite::proto
