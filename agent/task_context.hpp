// agent/task_context.hpp: what the tasks of one agent share, and the folders of one task.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "agent/capture/data_cache.hpp"
#include "agent/capture/file_watcher.hpp"
#include "agent/capture/snapshot_cache.hpp"
#include "agent/container/containers.hpp"
#include "agent/environment/cache.hpp"
#include "agent/gpus.hpp"
#include "agent/launch/daemon_socket.hpp"
#include "agent/launch/interfaces.hpp"
#include "agent/launch/spawner.hpp"
#include "agent/mpi_version.hpp"
#include "agent/trash.hpp"
#include "common/data_dir.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <string>

namespace linarite::agent {

/// Everything of the agent that a task uses. All of it outlives the tasks.
struct TaskContext {
    asio::any_io_executor executor;
    asio::thread_pool& pool;
    fs::path folder; // the agent's
    fs::path shim;   // linarite-shim
    NodeName node;
    std::string host_id;
    fs::path shared_dir; // where working directories go that other hosts are to see; "" is none
    int cores = 1;
    bool owns_cores = false; // one slot, and no other local node
    GpuSlots& gpus;
    int max_processes = 0; // of one run on this node; 0: as many as are asked for
    std::uint64_t max_log_size = 0;
    bool user_namespaces = true; // an agent that is not root may use one for what a run sees otherwise than others
    EnvironmentCache& environments;
    Containers& containers;
    SnapshotCache& snapshots;
    DataCache& data_cache;
    FileWatcher& watcher;
    Spawner& spawner;
    Trash& trash;
    MpiVersions& mpi_versions;
    std::shared_ptr<Coordinator> coordinator;
    std::unique_ptr<DaemonSocket> daemons; // set before the first task
    std::function<void()> report;          // tells the coordinator the new picture
    std::function<Millis()> silence;       // how long the coordinator has not been reached
    fs::path dropin;                       // our azureml module, for PYTHONPATH; "" is none
    /// By which variables a run finds the service.
    std::function<Result<std::map<std::string, std::string>>()> service_variables;
    /// The interface for MPI to other hosts, as it is now.
    std::function<Result<ChosenInterface>()> mpi_interface;
};

/// The folders of one run on this node.
struct TaskFolders {
    TaskFolders(const fs::path& agent_folder, const RunId& run)
        : root(agent_folder / "work" / run.str()),
          state(root / "state"),
          wd(root / "wd"),
          logs(root / "azureml-logs"),
          tmp(root / "tmp") {}
    fs::path root;
    fs::path state; // the shim's facts and our own record
    fs::path wd;    // the working directory: snapshot, outputs/, logs/
    fs::path logs;
    fs::path tmp;
    /// What other nodes wrote into the working directory.
    [[nodiscard]] fs::path foreign() const { return state / "foreign.jsonl"; }
    [[nodiscard]] fs::path job() const { return root / "job.json"; }
    [[nodiscard]] fs::path record() const { return state / "task.json"; }
    [[nodiscard]] fs::path ending() const { return state / "ending.json"; }
};

} // namespace linarite::agent
