// server/service/process_picture.hpp: the processes of a run as far as their nodes have told.
#pragma once

#include "common/clock.hpp"
#include "common/ids.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/process_layout.hpp"

#include <string>
#include <vector>

namespace linarite::service {

inline constexpr const char* process_info_file = "azureml-logs/process_info.json";
inline constexpr const char* process_status_file = "azureml-logs/process_status.json";

/// One process: where it is, and what it does.
struct ProcessState {
    proto::ProcessPlace place;
    NodeName node;      // empty before the placement
    std::string log;    // of what it prints
    std::string status; // "NotStarted", "Running", "Completed", "Failed" or "Canceled"
    int exit_code = 0;
    int signal = 0;
    bool operator==(const ProcessState&) const = default;
};

struct ProcessPicture {
    RunId run;
    int attempt = 0;
    Time at{};
    bool over = false; // the run has ended: nothing more comes
    std::vector<ProcessState> processes;
};

/// What the node's last word about its part (null: it gave none) says of the process. One that was ended by us, or that
/// a run left behind, is "Canceled".
ProcessState process_state(const proto::ProcessPlace& place, int processes, const NodeName& node,
                           const proto::RunReport* report, bool over);

proto::Json print_info(const ProcessPicture& picture);
proto::Json print_status(const ProcessPicture& picture);

} // namespace linarite::service
