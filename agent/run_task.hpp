// agent/run_task.hpp: one node's part of one run, from the first word about it until its files may go.
#pragma once

#include "agent/capture/capture.hpp"
#include "agent/capture/data.hpp"
#include "agent/capture/mirror.hpp"
#include "agent/container/containers.hpp"
#include "agent/gang_barrier.hpp"
#include "agent/launch/ending.hpp"
#include "agent/launch/plan.hpp"
#include "agent/launch/port_lease.hpp"
#include "agent/launch/supervisor.hpp"
#include "agent/task_context.hpp"
#include "agent/task_record.hpp"
#include "async/async.hpp"
#include "async/cancel.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/process_layout.hpp"
#include "proto/run_definition.hpp"

#include <memory>
#include <optional>
#include <string>

namespace linarite::agent {

/// Prepares, launches, watches, ends and captures. What it has done is on disk (see TaskRecord), so a task that is made
/// anew after the agent was killed goes on where the old one was. Lives on the agent's event loop.
class RunTask : public std::enable_shared_from_this<RunTask> {
public:
    RunTask(TaskContext& context, proto::DesiredRun desired);
    RunTask(const RunTask&) = delete;
    RunTask& operator=(const RunTask&) = delete;

    /// Spawns the work; `on_end` is called when the task is over and its files are gone.
    void start(std::function<void()> on_end);
    /// What is wanted now. A higher fence ends this task's processes; the owner then makes a new task.
    void update(proto::DesiredRun desired);
    /// The coordinator does not want anything of this run any more.
    void forget();
    /// mpirun on this node wants a daemon on another one.
    void request_daemon(const LaunchRequest& request);

    [[nodiscard]] proto::RunReport report() const;
    [[nodiscard]] const RunId& run() const { return desired_.run; }
    [[nodiscard]] Fence fence() const { return desired_.fence; }

private:
    asio::awaitable<void> live();
    static asio::awaitable<void> watch_contact(std::weak_ptr<RunTask> watched, asio::any_io_executor executor);
    [[nodiscard]] bool gave_up() const { return !gave_up_because_.empty(); }
    [[nodiscard]] const std::string& stop_reason() const;
    asio::awaitable<void> clear();
    asio::awaitable<void> remove_folder(fs::path folder);
    asio::awaitable<void> work(bool was_launched);
    asio::awaitable<Result<bool>> prepare_and_launch();
    [[nodiscard]] Result<void> check_size() const;
    asio::awaitable<Result<void>> prepare();
    asio::awaitable<Result<void>> prepare_directory();
    asio::awaitable<Result<void>> prepare_environment();
    Result<void> keep_ports();
    asio::awaitable<Result<EnvironmentBase>> prepare_image();
    Result<void> write_lock();
    asio::awaitable<bool> lease_gpus();
    asio::awaitable<Result<std::string>> find_mpi_version();
    asio::awaitable<Result<void>> prepare_network();
    asio::awaitable<Result<bool>> await_launch();
    [[nodiscard]] Result<bool> may_launch() const;
    [[nodiscard]] bool knows_peers() const;
    [[nodiscard]] DataReferences data_references(std::vector<proto::DesiredData> data, fs::path scratch);
    asio::awaitable<Result<std::optional<BuildFiles>>> bring_build_files();
    [[nodiscard]] LaunchOrder launch_order() const;
    asio::awaitable<Result<void>> launch();
    asio::awaitable<Result<std::unique_ptr<Supervisor>>> start_supervisor(LaunchOrder order);
    [[nodiscard]] Result<std::unique_ptr<Supervisor>> attach_supervisor();
    Result<bool> take_up();
    asio::awaitable<void> await_exit();
    void stop_supervisor();
    asio::awaitable<void> take_exit(Result<ExitFact> fact);
    asio::awaitable<void> await_daemon_ends();
    asio::awaitable<void> await_other_nodes();
    [[nodiscard]] bool others_use_directory() const;
    void watch_ranks();
    void take_rank_fact(const std::string& name);
    void take_rank_facts();
    [[nodiscard]] bool work_is_done() const;
    [[nodiscard]] EndingContext ending_context() const;
    asio::awaitable<void> await_verdict();
    asio::awaitable<void> finish();
    void start_capture();
    void start_mirror(CaptureSettings& settings);
    CaptureSettings capture_settings();
    asio::awaitable<Result<void>> note_source_tree();
    [[nodiscard]] TaskRecord record(bool launched) const;
    void end_with(proto::Ending ending, EndingSource source);
    void end_with_error(const Error& error);
    void end_stopped();
    void answer_daemons();
    void set_phase(proto::Phase phase, std::string detail);
    void note(const std::string& line);
    void note_engine(const std::string& line);
    void note_build(const std::string& line) const;
    void note_in(const std::string& log, const std::string& line);
    [[nodiscard]] bool stop_wanted() const;
    [[nodiscard]] bool is_lead() const { return desired_.node_index == 0; }
    /// The node in whose working directory this one works.
    [[nodiscard]] int keeper() const;
    /// Whether the directory is this node's to make, to capture and to remove.
    [[nodiscard]] bool keeps_directory() const { return keeper() == desired_.node_index; }
    /// This node's own, if it keeps one.
    [[nodiscard]] fs::path own_dir() const;
    [[nodiscard]] fs::path work_dir() const;

    TaskContext& context_;
    proto::DesiredRun desired_;
    proto::RunDefinition definition_;
    TaskFolders folders_;
    Signal changed_;
    CancelToken cancel_;        // of the preparations: the run is not wanted to start any more
    CancelToken finish_cancel_; // of the last uploads: nobody wants the run any more
    proto::Phase phase_ = proto::Phase::preparing;
    std::string detail_;
    std::optional<proto::Ending> ending_;
    std::vector<proto::DaemonRequest> daemons_;
    bool forgotten_ = false;
    std::string gave_up_because_; // the coordinator was not reached; "" if it was
    TaskRecord record_;           // as on disk
    std::vector<proto::ProcessPlace> layout_;
    std::map<int, RankFact> ranks_; // those of this node that have ended
    std::optional<FileWatcher::Watch> rank_watch_;
    std::optional<PortLease> ports_;
    std::optional<GpuSlots::Lease> gpus_; // until nothing of the run lives any more
    std::optional<Image> image_;          // of the run's container; none on the node itself
    PreparedEnvironment environment_;
    std::optional<proto::RunEnvironment> told_environment_; // once it is prepared
    std::map<std::string, std::string> data_paths_;
    std::shared_ptr<GangBarrier> barrier_; // MPI over several hosts
    std::unique_ptr<Supervisor> supervisor_;
    std::unique_ptr<Capture> capture_;
    std::unique_ptr<Mirror> mirror_;
};

} // namespace linarite::agent
