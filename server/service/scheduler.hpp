// server/service/scheduler.hpp: the shell around the reactor: performs its actions, store first and the world second.
#pragma once

#include "async/async.hpp"
#include "common/clock.hpp"
#include "proto/agent_protocol.hpp"
#include "server/core/reactor.hpp"
#include "server/service/process_picture.hpp"
#include "server/store/store.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace linarite::service {

/// What is the same for all runs and goes into what agents are told.
struct SchedulerSettings {
    core::Limits limits;
    Millis stop_grace{30'000}; // between TERM and KILL; limits.stop must be longer
    std::string host_id;       // of the coordinator's host: agents compare it with their own
    /// The variables of a run that the coordinator decides.
    std::function<std::map<std::string, std::string>(const store::RunRow&)> variables = {};
    /// The token by which one attempt of a run speaks to us.
    std::function<std::string(const RunId&, int attempt)> run_token = {};
    /// What RunRow::sealed_password of the run says; "" if it can't be opened any more.
    std::function<std::string(const RunId&, const std::string& sealed)> unseal = {};
    /// The compute targets of a node with these labels and so many GPUs.
    std::function<std::set<std::string>(const std::vector<std::string>& labels, int gpus)> targets = {};
    /// Told of the processes of a run that has several, whenever something about them is new.
    std::function<void(ProcessPicture)> on_processes = {};
};

/// What one node is to a run that is placed on it.
struct GangPlace {
    Fence fence = 0;
    int node = 0;                // its index
    std::vector<NodeName> nodes; // by index
    /// The nodes work in more than one directory, so their files have to be told apart, and brought from one to the
    /// other.
    bool several_directories = false;
};

/// Owns the reactor. Everything here runs on the one event loop; nothing is awaited between asking the reactor and
/// queueing its actions, so the store sees them in the order in which they were decided.
class Scheduler {
public:
    Scheduler(asio::io_context& io, store::Store& store, const Clock& clock, SchedulerSettings settings);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    /// Takes back all nodes and all runs that are not terminal. Call once, before anything else.
    asio::awaitable<Result<void>> restore();

    [[nodiscard]] Result<void> check_submit(const core::RunSpec& spec) const;
    /// Stores the run with its first events and queues it, in one transaction; returns after COMMIT. `data` is where
    /// what it has on datastores lies.
    asio::awaitable<Result<void>> submit(store::RunRow row, proto::DesiredRunData data);
    asio::awaitable<Result<void>> cancel(RunId id, std::string who);

    /// One agent's word and the answer to it: held back up to request.wait until something is newer than request.seen.
    /// The facts it reports are committed when it returns.
    asio::awaitable<Result<proto::SyncAnswer>> sync(proto::SyncRequest request);
    asio::awaitable<Result<void>> set_drained(NodeName name, bool drained);
    asio::awaitable<Result<void>> remove_node(NodeName name);
    /// Gives the nodes that are up the compute targets that settings.targets says now (their leases count anew);
    /// others get theirs when they come back. What that decides for waiting runs is committed when it returns.
    asio::awaitable<void> retarget();

    [[nodiscard]] const core::Reactor& reactor() const { return *reactor_; }
    [[nodiscard]] Time now() const { return clock_.now(); }
    /// The fence that may write for a run right now; nothing if the run is not on nodes.
    [[nodiscard]] std::optional<Fence> current_fence(const RunId& id) const;
    /// forbidden if the node is none of the run's, not_found if the run is not active.
    [[nodiscard]] Result<GangPlace> place_of(const RunId& id, const NodeName& name) const;
    /// Tells the other nodes of the run's current placement that a node of it has closed files: their version is this
    /// one now.
    void share_files(const RunId& id, const GangPlace& from, std::uint64_t version);
    /// Whether a run is not terminal.
    [[nodiscard]] bool is_active(const RunId& id) const;

    /// Notified on every stored move of the run, every change of its waiting reason, and by touch(). Kept as long as
    /// somebody holds it.
    std::shared_ptr<Signal> run_signal(const RunId& id);
    /// Wakes the run's followers: its files grew.
    void touch(const RunId& id);
    /// Ends all long polls and waits soon, for a shutdown.
    void stop();
    [[nodiscard]] bool stopping() const { return stopping_; }

private:
    struct ActiveRun;
    struct Node;
    struct Batch;
    using Environments = std::vector<std::pair<RunId, store::RunEnvironmentRow>>; // that nodes told of
    std::uint64_t enqueue(std::optional<store::RunRow> insert, core::Actions actions, Environments environments = {});
    asio::awaitable<void> committed(std::uint64_t ticket);
    asio::awaitable<void> write_batches();
    asio::awaitable<void> write_batch(std::shared_ptr<std::vector<Batch>> batches);
    void publish(const core::Action& action);
    void take_report(const NodeName& name, const proto::RunReport& report);
    [[nodiscard]] bool tells_environment(const NodeName& name, const proto::RunReport& report) const;
    void tell_processes(const RunId& id, bool over) const;
    [[nodiscard]] proto::SyncAnswer answer_for(const NodeName& name, const std::vector<proto::RunReport>& told) const;
    [[nodiscard]] proto::DesiredRun describe(const core::Desired& desired, bool brief) const;
    [[nodiscard]] const proto::RunReport* report_of(const core::Desired& desired, const NodeName& member) const;
    void latch_gang(ActiveRun& run, const std::vector<NodeName>& nodes);
    [[nodiscard]] const proto::GangMember* latched_member(const core::Desired& desired, const NodeName& member) const;
    [[nodiscard]] std::string daemon_command(const core::Desired& desired) const;
    Node& node(const NodeName& name);
    void wake_gang(const RunId& id);
    void wake(Node& target);
    void arm_timer();
    void give_token(const RunId& id, ActiveRun& run, int attempt);
    void remember(const store::RunRow& row, proto::DesiredRunData data);
    [[nodiscard]] proto::RegistryLogin login_of(const store::RunRow& row,
                                                const proto::ContainerSettings& container) const;
    [[nodiscard]] std::set<std::string> targets_for(const std::vector<std::string>& labels, int gpus) const;

    asio::io_context& io_;
    store::Store& store_;
    const Clock& clock_;
    SchedulerSettings settings_;
    std::unique_ptr<core::Reactor> reactor_;
    std::map<RunId, ActiveRun> active_;
    std::map<NodeName, Node> nodes_;
    std::map<RunId, std::weak_ptr<Signal>> signals_;
    std::vector<Batch> pending_;
    bool writing_ = false;
    bool stopping_ = false;
    std::uint64_t next_ticket_ = 0;
    std::uint64_t committed_ticket_ = 0;
    Signal committed_signal_;
    asio::steady_timer timer_;
    std::optional<Time> timer_at_;
};

} // namespace linarite::service
