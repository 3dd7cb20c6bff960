// agent/launch/ending.hpp: from what the processes left behind to what is told about the end.
#pragma once

#include "agent/launch/shim_job.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/process_layout.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// Whose end it is.
struct EndingContext {
    std::string node;                           // this node's name
    std::string program;                        // what was started, for people ("train.py")
    fs::path log_dir;                           // azureml-logs of this node
    fs::path output;                            // ShimJob::out: what the main process (the launcher, with MPI) printed
    std::vector<proto::ProcessPlace> processes; // all of the run, by rank
    proto::LaunchKind launch = proto::LaunchKind::single;
    int node_index = 0;
    bool lead = true;
    std::string stop_reason;
    std::optional<std::chrono::seconds> limit;
};

/// How this node's part ended. With ranks, the one that failed first decides exit code and signal, and its log gives
/// the last lines; on a node that is not the lead, the daemon's own end counts only if no rank of it failed.
proto::Ending make_ending(const EndingContext& context, const ExitFact& fact, const std::vector<RankFact>& ranks);

/// The signal that ended the rank that failed first, if mpirun on the lead says no more of that rank than this, by its
/// own exit code; else 0. It names none that is not through with MPI_Init.
int unnamed_signal(const EndingContext& context, const ExitFact& fact);

/// The lead's ending of an MPI run with what the other nodes told: if the rank that failed first ran on another node,
/// its ending is the run's. `signal` is the unnamed_signal().
proto::Ending merge_endings(const proto::Ending& lead, const std::map<int, proto::Ending>& others, int signal = 0);

/// The ending of a supervisor that was lost.
proto::Ending lost_ending(const std::string& node, const Error& error);

/// The rank that mpirun's own output names as the first to fail, or -1.
int rank_named_by_mpirun(std::string_view output);

/// The last `lines` lines of a log, without our own closing sentence: at most 8 KiB, each line at most 400 bytes, valid
/// UTF-8.
std::string log_tail(const fs::path& log, std::size_t lines = 20);

/// "SIGKILL" for 9; "signal 77" for one without a name.
std::string signal_name(int signal);

} // namespace linarite::agent
