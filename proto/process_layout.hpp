// proto/process_layout.hpp: which processes a run has, and on which of its nodes each is. The same for all who ask:
// agents start them by it, the coordinator tells of them by it.
#pragma once

#include "proto/run_definition.hpp"

#include <string>
#include <vector>

namespace linarite::proto {

/// What a process is to the others of its run.
enum class ProcessRole { rank, worker, parameter_server };

/// One process of a run.
struct ProcessPlace {
    int rank = 0; // over all nodes, from 0; workers first, then parameter servers
    ProcessRole role = ProcessRole::rank;
    int index = 0; // within its role
    int node = 0;
    int local_rank = 0; // on its node
    bool operator==(const ProcessPlace&) const = default;
};

/// All processes by rank. Ranks are placed by node: 0 to P-1 on node 0. With a parameter server the nodes are dealt out
/// in turn, first to the parameter servers, then to the workers, so that those are spread evenly.
std::vector<ProcessPlace> process_layout(const RunDefinition& definition);

/// How many processes the run has.
int process_count(const RunDefinition& definition);

/// What its files are called after: "3", "worker_0", "ps_1"; "" for the only process of a run.
std::string file_word(const ProcessPlace& place, int processes);
/// File name of its driver log, as Azure has it: "70_driver_log_3.txt".
std::string driver_log_name(const std::string& file_word);
/// For people: "rank 3", "worker 0", "parameter server 1".
std::string describe(const ProcessPlace& place);
std::string_view to_wire(ProcessRole role);

} // namespace linarite::proto
