// agent/launch/shim_job.hpp: the files through which the agent and linarite-shim understand each other.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

namespace fs = std::filesystem;

/// Lines of ours in the log of a process, around its own output.
struct LogLines {
    std::vector<std::string> before; // each gets the time in front
    std::string success;             // "" prints nothing
    std::string failure;             // "{code}" becomes the exit code, or minus the signal
};

/// What keeps a run's processes together, so that all can be ended. `automatic` takes the first that the kernel grants,
/// in this order.
enum class Containment { automatic, pid_namespace, cgroup, freezer, sweep };

/// A folder that is shared with others, and that the run may change nonetheless: its changes are its own.
struct View {
    fs::path path;
    fs::path changes; // a folder for them
    bool operator==(const View&) const = default;
};

/// What the supervisor of one run on one node needs to know.
struct ShimJob {
    RunId run;
    Fence fence = 0;
    std::vector<std::string> argv;          // the program is looked for on `env`'s PATH
    std::map<std::string, std::string> env; // all of it: nothing is inherited
    fs::path cwd;
    fs::path out;             // stdout and stderr are appended to it
    fs::path facts_dir;       // must be there
    Millis limit{0};          // the run's time limit; 0: none
    Millis grace{30'000};     // between TERM and KILL at the time limit
    Millis stragglers{2'000}; // how long other processes may outlive the main one
    LogLines log;
    Containment containment = Containment::automatic;
    std::vector<fs::path> folders; // made before the start, removed with all that is in them at the end
    bool signal_group = true;      // false: the TERM goes to the main process alone
    std::vector<View> views;       // where the kernel lets us: else they are read-only, or as they are
    std::vector<fs::path> read_only;
    bool user_namespace = true; // who is not root may use one for that
};

/// One process that `linarite-shim ranks` starts.
struct RankProcess {
    int rank = 0;
    std::string word;                       // proto::file_word(): what its log is called after
    bool service = false;                   // a parameter server: ends when the workers have
    std::map<std::string, std::string> env; // what is its own
};

/// What each rank of a run on one node needs to know (`linarite-shim rank` and `ranks`).
struct RankJob {
    std::vector<std::string> argv;
    std::map<std::string, std::string> env; // wins over what mpirun gave
    fs::path cwd;
    fs::path log_dir;
    fs::path facts_dir;
    bool plain_name = false; // the only rank of its run: its log has no number
    bool bind = false;       // each rank to its share of the node's cores (MPI)
    LogLines log;
    std::vector<RankProcess> processes; // none with MPI, whose launcher says who is who
    bool linger = false;                // services go on until they are told to end: there are workers on other nodes
};

Result<void> write_job_file(const fs::path& file, const ShimJob& job);
Result<void> write_rank_file(const fs::path& file, const RankJob& job);

/// exit.json: how a run's main process ended. Nothing of the run lives once it is there.
struct ExitFact {
    bool started = false;
    std::string error; // why it could not be started
    int exit_code = 0;
    int signal = 0;
    bool out_of_memory = false;
    bool timed_out = false;
    bool stopped = false;
    bool stragglers_killed = false;
    Millis duration{0};
    Time ended{};
    std::uint64_t max_rss_bytes = 0;
};

/// rank-<n>.json: how one rank ended. A rank that was killed before it could leave one has none.
struct RankFact {
    int rank = 0;
    int exit_code = 0;
    int signal = 0;
    bool out_of_memory = false;
    bool told = false;    // it ended after it had been asked to
    bool service = false; // see RankProcess
    std::int64_t ended_us = 0;
    [[nodiscard]] bool ok() const { return exit_code == 0 && signal == 0; }
};

/// Nothing if the run has not ended. A file that cannot be read is an error.
Result<std::optional<ExitFact>> read_exit_fact(const fs::path& facts_dir);
/// That of one rank; nothing if it cannot be read (it is being written, or the run put a file of its own there).
std::optional<RankFact> read_rank_fact(const fs::path& file);
/// Those that are there, by rank.
std::vector<RankFact> read_rank_facts(const fs::path& facts_dir);

} // namespace linarite::agent
