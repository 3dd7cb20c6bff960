#include "server/service/scheduler.hpp"

#include "proto/json_reader.hpp"
#include "server/service/run_rows.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>

namespace linarite::service {

using namespace std::chrono_literals;

/// What agents must be told of a run that is not terminal, beyond what the reactor knows.
struct Scheduler::ActiveRun {
    std::string experiment;
    SnapshotId snapshot;
    proto::Json definition;
    std::vector<proto::DesiredData> data;
    std::map<std::string, std::string> variables;
    proto::RegistryLogin registry; // for its image
    /// The last word of each node about its part, by node; only of the current fence.
    std::map<NodeName, proto::RunReport> reports;
    std::vector<proto::ProcessPlace> layout; // if it has several processes
    Fence fence = 0;
    int attempt = 0;
    /// The nodes of the current placement. Where each of them was then decides for good which of them share a
    /// directory.
    std::vector<proto::GangMember> gang;
    bool several_directories = false;
    std::uint64_t files_version = 0;
};

struct Scheduler::Node {
    std::uint64_t version = 0;
    Signal changed;
    std::string host_id;
    std::string shared_dir;
    std::string address;
    store::NodeRow row; // as stored
};

struct Scheduler::Batch {
    std::optional<store::RunRow> insert;
    core::Actions actions;
    Environments environments;
};

Scheduler::Scheduler(asio::io_context& io, store::Store& store, const Clock& clock, SchedulerSettings settings)
    : io_(io), store_(store), clock_(clock), settings_(std::move(settings)), timer_(io) {}

Scheduler::~Scheduler() = default;

asio::awaitable<Result<void>> Scheduler::restore() {
    struct Stored {
        Fence fence = 0;
        std::vector<store::NodeRow> nodes;
        std::vector<store::RunRow> runs;
        std::map<std::string, store::DatastoreRow> datastores;
        std::map<RunId, std::uint64_t> files_versions;
        std::map<RunId, std::string> secrets;
    };
    auto read = [](store::Tables& tables) -> Result<Stored> {
        Stored stored;
        const auto fence = tables.highest_fence();
        auto nodes = tables.list_nodes();
        auto runs = tables.active_runs();
        auto datastores = tables.list_datastores();
        auto versions = tables.gang_file_versions();
        auto secrets = tables.run_secrets();
        if (!fence || !nodes || !runs || !datastores || !versions || !secrets) {
            return Error(Errc::internal, "the run history cannot be read");
        }
        stored.fence = *fence;
        stored.nodes = std::move(*nodes);
        stored.runs = std::move(*runs);
        stored.files_versions = std::move(*versions);
        stored.secrets = std::move(*secrets);
        for (store::DatastoreRow& row : *datastores) {
            stored.datastores.emplace(row.name, row);
        }
        return stored;
    };
    Result<Stored> stored = co_await store_.read(std::move(read));
    if (!stored) {
        co_return stored.error();
    }
    const Time now = clock_.now();
    reactor_ = std::make_unique<core::Reactor>(settings_.limits, stored->fence + 1);
    for (const store::NodeRow& row : stored->nodes) {
        Node& known = node(row.name);
        known.row = row;
        known.host_id = row.host_id;
        known.shared_dir = row.shared_dir;
        known.address = row.address;
        core::NodeSpec spec = node_spec(row);
        spec.targets = targets_for(row.labels, row.gpus);
        reactor_->restore_node(std::move(spec), row.drained, now);
    }
    for (store::RunRow& row : stored->runs) {
        row.sealed_password = stored->secrets[row.id];
        remember(row, desired_data(row, stored->datastores));
        if (const auto version = stored->files_versions.find(row.id); version != stored->files_versions.end()) {
            active_[row.id].files_version = version->second;
        }
        reactor_->restore_run(stored_run(row), now);
    }
    // runs that were queued may find room only now that all of them are known
    enqueue(std::nullopt, reactor_->tick(now));
    spdlog::info("run history read: nodes={} active_runs={} next_fence={}", stored->nodes.size(), stored->runs.size(),
                 stored->fence + 1);
    co_return Result<void>{};
}

void Scheduler::remember(const store::RunRow& row, std::vector<proto::DesiredData> data) {
    ActiveRun& run = active_[row.id];
    run.experiment = row.experiment;
    run.snapshot = row.snapshot;
    run.definition = proto::Json::parse(row.definition, nullptr, false);
    run.data = std::move(data);
    run.variables = settings_.variables ? settings_.variables(row) : run_variables(row, store::WorkspaceRow{});
    give_token(row.id, run, row.attempt);
    run.fence = row.fence;
    run.attempt = row.attempt;
    if (row.node_count * row.processes_per_node > 1 || !row.sealed_password.empty()) {
        if (const auto definition = proto::parse_run_definition(run.definition)) {
            run.layout = proto::process_layout(*definition);
            run.registry = login_of(row, definition->container);
        }
    }
    latch_gang(run, row.nodes);
}

// For the nodes that make its image ready; nothing that is stored or answered to clients holds it.
proto::RegistryLogin Scheduler::login_of(const store::RunRow& row, const proto::ContainerSettings& container) const {
    if (row.sealed_password.empty() || !settings_.unseal) {
        return {};
    }
    std::string password = settings_.unseal(row.id, row.sealed_password);
    if (password.empty()) {
        spdlog::warn("a registry's password can't be opened: run={} (it was submitted to another data directory)",
                     row.id.str());
        return {};
    }
    return {container.registry_user, std::move(password), proto::login_server(container)};
}

void Scheduler::latch_gang(ActiveRun& run, const std::vector<NodeName>& nodes) {
    run.gang.clear();
    for (const NodeName& name : nodes) {
        const auto known = nodes_.find(name);
        proto::GangMember member;
        member.node = name;
        if (known != nodes_.end()) {
            member.host_id = known->second.host_id;
            member.shared_dir = known->second.shared_dir;
        }
        run.gang.push_back(std::move(member));
    }
    run.several_directories = proto::has_several_directories(run.gang);
    run.files_version = 0;
}

// Each attempt has a token of its own, so that a lost one cannot write any more.
void Scheduler::give_token(const RunId& id, ActiveRun& run, int attempt) {
    if (settings_.run_token && attempt > 0) {
        run.variables["AZUREML_RUN_TOKEN"] = settings_.run_token(id, attempt);
    }
}

Result<void> Scheduler::check_submit(const core::RunSpec& spec) const {
    return reactor_->check_submit(spec);
}

asio::awaitable<Result<void>> Scheduler::submit(store::RunRow row, std::vector<proto::DesiredData> data) {
    const Time now = clock_.now();
    const core::RunSpec spec = run_spec(row);
    if (const auto fits = reactor_->check_submit(spec); !fits) {
        co_return fits.error();
    }
    remember(row, std::move(data));
    const std::uint64_t ticket = enqueue(std::move(row), reactor_->submit(spec, now));
    co_await committed(ticket);
    co_return Result<void>{};
}

asio::awaitable<Result<void>> Scheduler::cancel(RunId id, std::string who) {
    const std::uint64_t ticket = enqueue(std::nullopt, reactor_->cancel(id, who, clock_.now()));
    co_await committed(ticket);
    co_return Result<void>{};
}

asio::awaitable<Result<void>> Scheduler::set_drained(NodeName name, bool drained) {
    const auto stored = co_await store_.write(
        [name, drained](store::Tables& tables) -> Result<void> { return tables.set_drained(name, drained); });
    if (!stored) {
        co_return stored.error();
    }
    node(name).row.drained = drained;
    co_await committed(enqueue(std::nullopt, reactor_->set_drained(name, drained, clock_.now())));
    co_return Result<void>{};
}

asio::awaitable<Result<void>> Scheduler::remove_node(NodeName name) {
    auto actions = reactor_->remove_node(name, clock_.now());
    if (!actions) {
        co_return actions.error();
    }
    const std::uint64_t ticket = enqueue(std::nullopt, std::move(*actions));
    nodes_.erase(name);
    const auto removed =
        co_await store_.write([name](store::Tables& tables) -> Result<void> { return tables.remove_node(name); });
    co_await committed(ticket);
    co_return removed;
}

std::set<std::string> Scheduler::targets_for(const std::vector<std::string>& labels, int gpus) const {
    return settings_.targets ? settings_.targets(labels, gpus) : targets_of(labels, gpus);
}

asio::awaitable<void> Scheduler::retarget() {
    const Time now = clock_.now();
    core::Actions actions;
    for (const core::NodeView& view : reactor_->nodes()) {
        const auto known = nodes_.find(view.spec.name);
        if (!view.up || known == nodes_.end()) {
            continue;
        }
        core::NodeSpec spec = view.spec;
        spec.targets = targets_for(known->second.row.labels, known->second.row.gpus);
        if (auto more = reactor_->node_up(std::move(spec), now)) {
            actions.insert(actions.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
        }
    }
    co_await committed(enqueue(std::nullopt, std::move(actions)));
}

// ---- agents ---------------------------------------------------------------------------------------------------------

asio::awaitable<Result<proto::SyncAnswer>> Scheduler::sync(proto::SyncRequest request) {
    const NodeName name = request.node;
    const Time now = clock_.now();
    Node& from = node(name);
    const bool news = from.row.incarnation != request.incarnation || from.row.boot_id != request.boot_id ||
                      from.row.address != request.address || from.row.host_id != request.host_id ||
                      from.row.shared_dir != request.shared_dir || from.row.slots != request.resources.slots;
    core::NodeSpec spec{name, targets_for(request.resources.labels, request.resources.gpus), request.resources.slots,
                        request.incarnation, request.boot_id};
    auto actions = reactor_->node_up(std::move(spec), now);
    if (!actions) {
        co_return actions.error();
    }
    from.host_id = request.host_id;
    from.shared_dir = request.shared_dir;
    from.address = request.address;
    std::vector<core::NodeReport> reports;
    Environments environments;
    for (const proto::RunReport& report : request.runs) {
        if (tells_environment(name, report)) {
            environments.emplace_back(report.run, environment_row(*report.environment));
        }
        take_report(name, report);
        reports.push_back(node_report(name, report));
    }
    core::Actions more = reactor_->report(name, reports, now);
    actions->insert(actions->end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    const std::uint64_t ticket = enqueue(std::nullopt, std::move(*actions), std::move(environments));
    if (news) {
        auto update = [request, now](store::Tables& tables) -> Result<store::NodeRow> {
            auto row = tables.find_node(request.node); // its secret and its drain stay as they are
            if (!row) {
                return row;
            }
            update_node_row(*row, request, now);
            auto put = tables.put_node(*row);
            return put ? row : Result<store::NodeRow>(put.error());
        };
        auto stored = co_await store_.write(std::move(update));
        if (!stored) {
            co_return stored.error();
        }
        node(name).row = std::move(*stored);
    }
    co_await committed(ticket);

    const auto deadline = std::chrono::steady_clock::now() + request.wait;
    while (!stopping_ && nodes_.contains(name) && node(name).version <= request.seen) {
        const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
        if (left <= 0ms) {
            break;
        }
        co_await node(name).changed.wait(left);
    }
    if (request.wait == 0ms && request.seen > 0 && nodes_.contains(name) && node(name).version == request.seen) {
        // it reports beside a poll that it holds: what is new comes there
        proto::SyncAnswer answer;
        answer.version = request.seen;
        answer.lease = settings_.limits.lease;
        answer.unchanged = true;
        co_return answer;
    }
    // whatever the answer shows must be on disk before the agent acts on it
    proto::SyncAnswer answer = answer_for(name, request.runs);
    co_await committed(next_ticket_);
    co_return answer;
}

// Whether the first node of a placement says for the first time what its Python is.
bool Scheduler::tells_environment(const NodeName& name, const proto::RunReport& report) const {
    const auto found = active_.find(report.run);
    if (!report.environment || found == active_.end() || found->second.fence != report.fence ||
        found->second.gang.empty() || found->second.gang.front().node != name) {
        return false;
    }
    const auto known = found->second.reports.find(name);
    return known == found->second.reports.end() || known->second.environment != report.environment;
}

void Scheduler::take_report(const NodeName& name, const proto::RunReport& report) {
    const auto found = active_.find(report.run);
    if (found == active_.end() || found->second.fence != report.fence) {
        return;
    }
    proto::RunReport& known = found->second.reports[name];
    // the other nodes of the gang are told of these; a change wakes them
    const bool news = known.work_dir != report.work_dir || known.daemons != report.daemons ||
                      known.ending != report.ending || known.port != report.port || known.network != report.network;
    if (known.fence == report.fence && known.phase > report.phase) {
        return; // an older picture that came late
    }
    const bool moved = known.phase != report.phase || known.ended != report.ended;
    known = report;
    if (moved) {
        tell_processes(report.run, false);
    }
    if (news) {
        wake_gang(report.run);
    }
}

void Scheduler::tell_processes(const RunId& id, bool over) const {
    const auto found = active_.find(id);
    if (!settings_.on_processes || found == active_.end() || found->second.layout.empty()) {
        return;
    }
    const ActiveRun& run = found->second;
    ProcessPicture picture{id, run.attempt, clock_.now(), over, {}};
    for (const proto::ProcessPlace& place : run.layout) {
        const auto node = static_cast<std::size_t>(place.node);
        const NodeName name = node < run.gang.size() ? run.gang[node].node : NodeName();
        const auto report = run.reports.find(name);
        picture.processes.push_back(process_state(place, static_cast<int>(run.layout.size()), name,
                                                  report == run.reports.end() ? nullptr : &report->second, over));
    }
    settings_.on_processes(std::move(picture));
}

proto::SyncAnswer Scheduler::answer_for(const NodeName& name, const std::vector<proto::RunReport>& told) const {
    proto::SyncAnswer answer;
    const auto found = nodes_.find(name);
    answer.version = found == nodes_.end() ? 0 : found->second.version;
    answer.lease = settings_.limits.lease;
    std::set<std::pair<RunId, Fence>> known;
    for (const proto::RunReport& report : told) {
        known.emplace(report.run, report.fence);
    }
    for (const core::Desired& desired : reactor_->desired(name)) {
        answer.runs.push_back(describe(desired, known.contains({desired.run, desired.fence})));
    }
    return answer;
}

proto::DesiredRun Scheduler::describe(const core::Desired& desired, bool brief) const {
    proto::DesiredRun out;
    out.run = desired.run;
    out.fence = desired.fence;
    out.brief = brief;
    out.attempt = desired.attempt;
    out.want = static_cast<proto::Want>(desired.want);
    out.stop_reason = desired.stop_reason;
    out.grace = settings_.stop_grace;
    out.give_up_after = desired.last_attempt ? Millis(0) : settings_.limits.lost_after * 4 / 5;
    out.node_index = desired.node_index;
    const auto found = brief ? active_.end() : active_.find(desired.run);
    out.host_id = brief ? "" : settings_.host_id;
    if (found != active_.end()) {
        out.experiment = found->second.experiment;
        out.snapshot = found->second.snapshot;
        out.definition = found->second.definition;
        out.data = found->second.data;
        out.variables = found->second.variables;
        out.registry = found->second.registry;
    }
    for (const NodeName& member : desired.gang) {
        const proto::RunReport* report = report_of(desired, member);
        const auto index = static_cast<int>(out.gang.size());
        proto::GangMember entry;
        entry.node = member;
        if (report != nullptr) {
            entry.work_dir = report->work_dir;
            entry.port = report->port;
        }
        if (const auto known = nodes_.find(member); known != nodes_.end()) {
            entry.host_id = known->second.host_id;
            entry.shared_dir = known->second.shared_dir;
            entry.address = known->second.address;
        }
        if (const auto* latched = latched_member(desired, member)) {
            entry.host_id = latched->host_id;
            entry.shared_dir = latched->shared_dir;
        }
        if (report != nullptr && report->network) {
            entry.network = report->network;
            entry.address = report->network->address;
        }
        out.gang.push_back(std::move(entry));
        if (index != desired.node_index && report != nullptr && report->ending) {
            out.daemon_ends[index] = *report->ending;
        }
    }
    out.daemon_command = daemon_command(desired);
    if (const auto run = active_.find(desired.run); run != active_.end() && run->second.fence == desired.fence) {
        out.files_version = run->second.files_version;
    }
    return out;
}

// The last word of one node about this placement.
const proto::RunReport* Scheduler::report_of(const core::Desired& desired, const NodeName& member) const {
    const auto run = active_.find(desired.run);
    if (run == active_.end()) {
        return nullptr;
    }
    const auto report = run->second.reports.find(member);
    return report == run->second.reports.end() || report->second.fence != desired.fence ? nullptr : &report->second;
}

const proto::GangMember* Scheduler::latched_member(const core::Desired& desired, const NodeName& member) const {
    const auto run = active_.find(desired.run);
    if (run == active_.end() || run->second.fence != desired.fence) {
        return nullptr; // of a placement that was given up
    }
    const auto found = std::ranges::find(run->second.gang, member, &proto::GangMember::node);
    return found == run->second.gang.end() ? nullptr : &*found;
}

// What the lead's mpirun wants started on this node; "" until it asked.
std::string Scheduler::daemon_command(const core::Desired& desired) const {
    const proto::RunReport* lead =
        desired.node_index == 0 || desired.gang.empty() ? nullptr : report_of(desired, desired.gang.front());
    if (lead != nullptr) {
        for (const proto::DaemonRequest& daemon : lead->daemons) {
            if (daemon.node_index == desired.node_index) {
                return daemon.command;
            }
        }
    }
    return "";
}

Scheduler::Node& Scheduler::node(const NodeName& name) {
    const auto [at, made] = nodes_.try_emplace(name);
    if (made) {
        // higher than any version that this node saw from an earlier coordinator process
        at->second.version = static_cast<std::uint64_t>(to_ms(clock_.now())) << 10U;
        at->second.row.name = name;
    }
    return at->second;
}

void Scheduler::wake(Node& target) {
    ++target.version;
    target.changed.notify();
}

void Scheduler::wake_gang(const RunId& id) {
    if (const auto view = reactor_->find_run(id, clock_.now())) {
        if (view->nodes.size() > 1) {
            for (const NodeName& member : view->nodes) {
                wake(node(member));
            }
        }
    }
}

// ---- store first ----------------------------------------------------------------------------------------------------

std::uint64_t Scheduler::enqueue(std::optional<store::RunRow> insert, core::Actions actions,
                                 Environments environments) {
    for (const core::Action& action : actions) {
        if (const auto* assign = std::get_if<core::AssignRun>(&action)) {
            ActiveRun& run = active_[assign->run];
            run.fence = assign->fence;
            run.reports.clear();
            latch_gang(run, assign->nodes);
            run.attempt = assign->attempt;
            give_token(assign->run, run, assign->attempt);
        }
        if (const auto* move = std::get_if<core::MoveRun>(&action);
            move != nullptr && move->to == core::RunStatus::queued) {
            active_[move->run].fence = 0; // a lost attempt may not write any more
        }
    }
    if (insert || !actions.empty() || !environments.empty()) {
        pending_.push_back(Batch{std::move(insert), std::move(actions), std::move(environments)});
        ++next_ticket_;
        if (!writing_) {
            writing_ = true;
            asio::co_spawn(io_, write_batches(), [](const std::exception_ptr& failure) {
                if (failure) {
                    spdlog::critical("the writer of run states ended by an exception");
                    std::abort();
                }
            });
        }
    }
    arm_timer();
    return next_ticket_;
}

asio::awaitable<void> Scheduler::committed(std::uint64_t ticket) {
    while (committed_ticket_ < ticket) {
        co_await committed_signal_.wait(1h);
    }
}

asio::awaitable<void> Scheduler::write_batches() {
    while (!pending_.empty()) {
        auto batches = std::make_shared<std::vector<Batch>>(std::move(pending_));
        pending_.clear();
        co_await write_batch(batches);
        for (const Batch& batch : *batches) {
            for (const core::Action& action : batch.actions) {
                publish(action);
            }
        }
        committed_ticket_ += batches->size();
        committed_signal_.notify();
    }
    writing_ = false;
}

namespace {

Result<void> store_action(store::Tables& tables, const core::Action& action) {
    if (const auto* move = std::get_if<core::MoveRun>(&action)) {
        return tables.move_run(*move);
    }
    if (const auto* assign = std::get_if<core::AssignRun>(&action)) {
        return tables.assign_run(*assign);
    }
    return {};
}

Result<void> store_all(store::Tables& tables, const std::optional<store::RunRow>& insert,
                       const core::Actions& actions) {
    if (insert) {
        if (auto inserted = tables.insert_run(*insert); !inserted) {
            return inserted;
        }
    }
    for (const core::Action& action : actions) {
        if (auto stored = store_action(tables, action); !stored) {
            return stored;
        }
    }
    return {};
}

} // namespace

asio::awaitable<void> Scheduler::write_batch(std::shared_ptr<std::vector<Batch>> batches) {
    auto work = [batches](store::Tables& tables) -> Result<void> {
        for (const Batch& batch : *batches) {
            if (auto stored = store_all(tables, batch.insert, batch.actions); !stored) {
                return stored;
            }
            for (const auto& [run, environment] : batch.environments) {
                if (auto stored = tables.put_run_environment(run, environment);
                    !stored && stored.error().code() != Errc::not_found) {
                    return stored;
                }
            }
        }
        return {};
    };
    for (;;) {
        const Result<void> stored = co_await store_.write(work);
        if (stored) {
            co_return;
        }
        if (stored.error().code() != Errc::no_space) {
            // memory and disk disagree: going on would make it worse, a restart reads the truth
            spdlog::critical("run states cannot be stored: {}", stored.error().detail());
            std::abort();
        }
        spdlog::error("the disk of the run history is full; trying again every second");
        asio::steady_timer pause(io_, 1s);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

void Scheduler::publish(const core::Action& action) {
    if (const auto* changed = std::get_if<core::NodeChanged>(&action)) {
        wake(node(changed->node));
    } else if (const auto* waits = std::get_if<core::WaitChanged>(&action)) {
        touch(waits->run);
    } else if (const auto* move = std::get_if<core::MoveRun>(&action)) {
        spdlog::info("run moved: run={} status={} attempt={} reason=\"{}\"", move->run.str(), core::to_wire(move->to),
                     move->attempt, move->reason);
        touch(move->run);
        if (core::is_terminal(move->to)) {
            tell_processes(move->run, true);
            active_.erase(move->run);
        }
    }
}

void Scheduler::arm_timer() {
    const std::optional<Time> next = reactor_->next_deadline();
    if (!next || stopping_ || (timer_at_ && *timer_at_ <= *next)) {
        return;
    }
    timer_at_ = next;
    timer_.expires_after(std::max(*next - clock_.now(), Millis(1)));
    timer_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) {
            timer_at_.reset();
            enqueue(std::nullopt, reactor_->tick(clock_.now()));
        }
    });
}

// ---- watching -------------------------------------------------------------------------------------------------------

std::optional<Fence> Scheduler::current_fence(const RunId& id) const {
    const auto found = active_.find(id);
    if (found == active_.end() || found->second.fence == 0) {
        return std::nullopt;
    }
    return found->second.fence;
}

Result<GangPlace> Scheduler::place_of(const RunId& id, const NodeName& name) const {
    const auto run = active_.find(id);
    if (run == active_.end()) {
        return Error(Errc::not_found, "run '" + id.str() + "' is not on any node");
    }
    GangPlace place{run->second.fence, -1, {}, run->second.several_directories};
    for (const proto::GangMember& member : run->second.gang) {
        if (member.node == name) {
            place.node = static_cast<int>(place.nodes.size());
        }
        place.nodes.push_back(member.node);
    }
    if (place.node < 0) {
        return Error(Errc::forbidden, "run '" + id.str() + "' is not on node '" + name.str() + "'");
    }
    return place;
}

void Scheduler::share_files(const RunId& id, const GangPlace& from, std::uint64_t version) {
    const auto run = active_.find(id);
    if (run == active_.end() || run->second.fence != from.fence || run->second.files_version >= version) {
        return;
    }
    run->second.files_version = version;
    for (const NodeName& member : from.nodes) {
        if (member != from.nodes[static_cast<std::size_t>(from.node)]) {
            wake(node(member));
        }
    }
}

bool Scheduler::is_active(const RunId& id) const {
    return active_.contains(id);
}

std::shared_ptr<Signal> Scheduler::run_signal(const RunId& id) {
    std::weak_ptr<Signal>& kept = signals_[id];
    std::shared_ptr<Signal> signal = kept.lock();
    if (!signal) {
        signal = std::make_shared<Signal>();
        kept = signal;
    }
    return signal;
}

void Scheduler::touch(const RunId& id) {
    const auto found = signals_.find(id);
    if (found == signals_.end()) {
        return;
    }
    if (const auto signal = found->second.lock()) {
        signal->notify();
    } else {
        signals_.erase(found);
    }
}

void Scheduler::stop() {
    stopping_ = true;
    timer_.cancel();
    for (auto& [name, each] : nodes_) {
        each.changed.notify();
    }
    for (auto& [id, signal] : signals_) {
        if (const auto alive = signal.lock()) {
            alive->notify();
        }
    }
}

} // namespace linarite::service
