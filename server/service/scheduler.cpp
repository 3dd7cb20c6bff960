#include "server/service/run_rows.hpp"
#include "server/service/scheduler_parts.hpp"

#include <spdlog/spdlog.h>

namespace linarite::service {

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

void Scheduler::remember(const store::RunRow& row, proto::DesiredRunData data) {
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

asio::awaitable<Result<void>> Scheduler::submit(store::RunRow row, proto::DesiredRunData data) {
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
