// agent/shim/job.hpp: the files that tell the shim what to do. The agent writes them (agent/launch/shim_job.hpp).
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace linarite::shim {

using Json = nlohmann::json;

/// What keeps the processes of a run together, so that all of them can be ended. `automatic` takes the first that the
/// kernel grants, in this order.
enum class Containment { automatic, pid_namespace, cgroup, freezer, sweep };

/// Lines of ours in the log of a process, around its own output.
struct LogLines {
    std::vector<std::string> before; // each gets the time in front
    std::string success;             // "" prints nothing
    std::string failure;             // "{code}" becomes the exit code, or minus the signal
};

/// A folder that is shared with others, and that the run may change nonetheless: its changes are its own.
struct View {
    std::string path;
    std::string changes; // a folder for them
};

/// One run on one node.
struct Job {
    std::string run;
    std::string fence;
    std::vector<std::string> argv;
    std::vector<std::string> env; // "NAME=value": all of it, nothing is inherited
    std::string cwd;
    std::string out; // stdout is appended to this file
    std::string err; // may be the same file
    std::string facts_dir;
    std::int64_t limit_ms = 0; // 0: none
    std::int64_t grace_ms = 30'000;
    std::int64_t straggler_ms = 2'000;
    LogLines log;
    Containment containment = Containment::automatic;
    std::string cgroup;               // name of the control group, if one is used
    std::vector<std::string> folders; // made before the start, removed with all that is in them at the end
    bool signal_group = true;         // false: only the main process gets the TERM
    std::vector<View> views;
    std::vector<std::string> read_only; // folders and files
    bool user_namespace = true;         // who is not root may use one to mount what the run sees
};

/// One process that `linarite-shim ranks` starts.
struct RankProcess {
    int rank = 0;                           // over all nodes
    std::string word;                       // what its log is called after; "" for the only process of a run
    bool service = false;                   // a parameter server: works for the others, and ends when they have
    std::map<std::string, std::string> env; // what is its own
};

/// What every rank of a run on one node needs to know.
struct RankJob {
    std::vector<std::string> argv;
    std::map<std::string, std::string> env; // wins over what mpirun gave
    std::string cwd;
    std::string log_dir;
    std::string facts_dir;
    bool plain_name = false; // the only rank of its run: its log has no number
    bool bind = false;       // each rank to its share of the node's cores
    LogLines log;
    std::vector<RankProcess> processes; // none with MPI, whose launcher says who is who
    bool linger = false;                // services go on until we are told to end: there are workers on other nodes
};

/// Reads a job file. Gives "" or what is wrong with it.
std::string read_job(const std::string& path, Job& job);
std::string read_rank_job(const std::string& path, RankJob& job);

/// The whole file, "" if it cannot be read.
std::string slurp(const std::string& path);
/// How the kinds of containment are called in files.
const char* to_text(Containment kind);

} // namespace linarite::shim
