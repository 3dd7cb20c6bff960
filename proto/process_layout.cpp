#include "proto/process_layout.hpp"

namespace linarite::proto {

namespace {

/// The task that is dealt out as the `turn`th.
ProcessPlace deal(const RunDefinition& definition, int turn) {
    const bool server = turn < definition.parameter_server_count;
    const int index = server ? turn : turn - definition.parameter_server_count;
    return {server ? definition.worker_count + index : index,
            server ? ProcessRole::parameter_server : ProcessRole::worker, index, turn % definition.node_count,
            turn / definition.node_count};
}

} // namespace

int process_count(const RunDefinition& definition) {
    return definition.launch == LaunchKind::parameter_server
               ? definition.worker_count + definition.parameter_server_count
               : definition.node_count * definition.processes_per_node;
}

std::vector<ProcessPlace> process_layout(const RunDefinition& definition) {
    const int count = process_count(definition);
    std::vector<ProcessPlace> out(static_cast<std::size_t>(count));
    for (int at = 0; at < count; ++at) {
        const int per_node = definition.processes_per_node;
        const ProcessPlace place = definition.launch == LaunchKind::parameter_server
                                       ? deal(definition, at)
                                       : ProcessPlace{at, ProcessRole::rank, at, at / per_node, at % per_node};
        out[static_cast<std::size_t>(place.rank)] = place;
    }
    return out;
}

std::string file_word(const ProcessPlace& place, int processes) {
    switch (place.role) {
    case ProcessRole::rank: return processes == 1 ? "" : std::to_string(place.rank);
    case ProcessRole::worker: return "worker_" + std::to_string(place.index);
    case ProcessRole::parameter_server: return "ps_" + std::to_string(place.index);
    }
    return "";
}

std::string driver_log_name(const std::string& file_word) {
    return "70_driver_log" + (file_word.empty() ? "" : "_" + file_word) + ".txt";
}

std::string describe(const ProcessPlace& place) {
    switch (place.role) {
    case ProcessRole::rank: return "rank " + std::to_string(place.rank);
    case ProcessRole::worker: return "worker " + std::to_string(place.index);
    case ProcessRole::parameter_server: return "parameter server " + std::to_string(place.index);
    }
    return "";
}

std::string_view to_wire(ProcessRole role) {
    switch (role) {
    case ProcessRole::rank: return "rank";
    case ProcessRole::worker: return "worker";
    case ProcessRole::parameter_server: return "ps";
    }
    return "";
}

} // namespace linarite::proto
