#include "server/service/runs.hpp"

#include "common/hash.hpp"
#include "proto/json_reader.hpp"
#include "proto/registry.hpp"
#include "server/service/build_contexts.hpp"
#include "server/service/run_rows.hpp"

#include <algorithm>

namespace linarite::service {
namespace {

constexpr std::size_t manifests_kept = 256;
constexpr const char* default_target = "cpu-cluster";

bool names_a_file(const proto::Manifest& manifest, const std::string& path) {
    return std::any_of(manifest.files.begin(), manifest.files.end(),
                       [&](const proto::SnapshotFile& file) { return file.path == path; });
}

// A few scripts of the snapshot, so that a mistyped name is seen at once.
std::string scripts_in(const proto::Manifest& manifest) {
    std::string names;
    int count = 0;
    for (const proto::SnapshotFile& file : manifest.files) {
        if (file.path.ends_with(".py") && count < 8) {
            names += (count++ == 0 ? "" : ", ") + file.path;
        }
    }
    return names.empty() ? "; it has no Python scripts" : "; its Python scripts are: " + names;
}

void check_data(const proto::RunDefinition& definition, const std::map<std::string, store::DatastoreRow>& datastores,
                std::vector<Fault>& faults) {
    for (const proto::DataReference& reference : definition.data) {
        if (datastores.contains(reference.datastore)) {
            continue;
        }
        std::string names;
        for (const auto& [name, row] : datastores) {
            names += (names.empty() ? "" : ", ") + name;
        }
        faults.push_back({"/definition/dataReferences/" + reference.name + "/dataStoreName",
                          "datastore '" + reference.datastore + "' does not exist; there are: " + names});
    }
}

void find_context(proto::RunDefinition& definition, const std::map<std::string, store::DatastoreRow>& datastores,
                  std::vector<Fault>& faults) {
    auto& context = definition.container.build_context;
    if (!context) {
        return;
    }
    auto found = find_build_context(*context, datastores);
    if (found) {
        context = std::move(*found);
    } else {
        faults.push_back({"/definition/environment/docker/buildContext/location", found.error().detail()});
    }
}

void check_script(const proto::RunDefinition& definition, const proto::Manifest& manifest, std::vector<Fault>& faults) {
    if (!definition.script.empty() && !names_a_file(manifest, definition.script)) {
        faults.push_back({"/definition/script", "entry script '" + definition.script +
                                                    "' is not in the source directory" + scripts_in(manifest)});
    }
}

void add_faults(const Error& error, const std::string& pointer, std::vector<Fault>& faults) {
    if (error.faults().empty()) {
        faults.push_back({pointer, error.detail()});
    }
    for (const Fault& fault : error.faults()) {
        faults.push_back({pointer + fault.pointer, fault.message});
    }
}

void check_names(const SubmitRequest& request, std::vector<Fault>& faults) {
    if (const auto name = parse_name(request.experiment, "experiment"); !name) {
        add_faults(name.error(), "/experiment", faults);
    }
    if (request.id.empty()) {
        return;
    }
    if (const auto name = parse_name(request.id.str(), "run id"); !name) {
        add_faults(name.error(), "/run_id", faults);
    }
}

std::map<std::string, store::DatastoreRow> by_name(std::vector<store::DatastoreRow> rows) {
    std::map<std::string, store::DatastoreRow> out;
    for (store::DatastoreRow& row : rows) {
        out.emplace(row.name, row);
    }
    return out;
}

} // namespace

std::vector<std::string> warnings_of(const proto::RunDefinition& definition) {
    std::vector<std::string> warnings;
    if (!definition.container.base_image.empty() && definition.container.use_docker) {
        warnings.push_back(
            "image '" + definition.container.base_image +
            "': nodes need a container engine for it, unless it is one of Azure's own base images: the node itself "
            "stands in for those, or what deploy/images/build made there (an operator's --image-map may say "
            "otherwise)");
    }
    if (!definition.python.python_version.empty() && !definition.python.user_managed) {
        warnings.push_back("python " + definition.python.python_version +
                           ": a node that does not have it takes the nearest version that it has");
    }
    return warnings;
}

Runs::Runs(store::Store& store, Scheduler& scheduler, const Workspaces& workspaces, const Sealer& sealer,
           const Clock& clock)
    : store_(store), scheduler_(scheduler), workspaces_(workspaces), sealer_(sealer), clock_(clock) {}

asio::awaitable<Result<std::shared_ptr<const proto::Manifest>>> Runs::manifest_of(SnapshotId id) {
    if (const auto known = manifests_.find(id); known != manifests_.end()) {
        co_return known->second;
    }
    auto read = [id](store::Tables& tables) { return tables.find_snapshot(id); };
    const auto text = co_await store_.read(std::move(read));
    if (!text) {
        co_return text.error();
    }
    auto manifest = proto::parse_manifest(proto::Json::parse(*text, nullptr, false));
    if (!manifest) {
        co_return Error(Errc::internal, "the manifest of snapshot '" + id.str() + "' is damaged");
    }
    if (manifests_.size() >= manifests_kept) {
        manifests_.clear();
    }
    auto kept = std::make_shared<const proto::Manifest>(std::move(*manifest));
    manifests_[id] = kept;
    co_return kept;
}

store::RunRow Runs::make_row(const SubmitRequest& request, const proto::RunDefinition& definition) const {
    store::RunRow row;
    row.experiment = request.experiment;
    row.target = definition.target;
    row.node_count = definition.node_count;
    row.processes_per_node = definition.processes_per_node;
    row.priority = definition.priority;
    row.max_attempts = definition.max_attempts;
    row.max_duration = definition.max_duration;
    row.snapshot = request.snapshot;
    row.definition = proto::print_json(proto::print_run_definition(definition));
    row.body_hash = sha256_hex(row.experiment + "\n" + row.snapshot.str() + "\n" + row.definition);
    row.submitted_by = request.submitted_by;
    row.workspace = request.workspace;
    row.parent = request.parent;
    row.properties = request.properties;
    if (request.keeps_document) {
        row.document = proto::print_json(proto::without_registry_password(request.definition));
    }
    row.created = clock_.now();
    row.changed = row.created;
    row.sequence = 1;
    row.id = request.id.empty() ? make_run_id(row.experiment, to_ms(row.created) / 1000) : request.id;
    return row;
}

asio::awaitable<Result<Runs::Prepared>> Runs::prepare(SubmitRequest request, bool with_snapshot) {
    std::vector<Fault> faults;
    check_names(request, faults);
    const auto manifest = co_await manifest_of(request.snapshot);
    if (!manifest && with_snapshot) {
        faults.push_back({"/snapshot", "snapshot '" + request.snapshot.str() + "' is not here: send it first"});
    }
    auto list = co_await store_.read([](store::Tables& tables) { return tables.list_datastores(); });
    if (!list) {
        co_return list.error();
    }
    const std::map<std::string, store::DatastoreRow> datastores = by_name(std::move(*list));
    auto parsed = proto::parse_run_definition(request.definition);
    if (!parsed) {
        add_faults(parsed.error(), "/definition", faults);
        co_return Error(std::move(faults));
    }
    if (parsed->target.empty()) {
        parsed->target = default_target;
    }
    check_data(*parsed, datastores, faults);
    find_context(*parsed, datastores, faults);
    if (manifest) {
        check_script(*parsed, **manifest, faults);
    }
    Prepared prepared{make_row(request, *parsed), {}};
    if (const auto fits = scheduler_.check_submit(run_spec(prepared.row)); !fits) {
        if (fits.error().code() != Errc::invalid_argument) {
            co_return fits.error();
        }
        add_faults(fits.error(), "/definition", faults);
    }
    if (!faults.empty()) {
        co_return Error(std::move(faults));
    }
    prepared.data = desired_data(*parsed, datastores);
    co_return prepared;
}

asio::awaitable<Result<std::optional<store::RunRow>>> Runs::find_same(const store::RunRow& row) {
    const Result<store::RunRow> known = co_await find(row.id);
    if (!known) {
        if (known.error().code() == Errc::not_found) {
            co_return std::optional<store::RunRow>();
        }
        co_return known.error();
    }
    if (known->body_hash != row.body_hash) {
        co_return Error(Errc::conflict, "run '" + row.id.str() + "' exists with other content");
    }
    co_return std::optional<store::RunRow>(*known);
}

asio::awaitable<Result<Submitted>> Runs::submit(SubmitRequest request) {
    const bool chosen = !request.id.empty();
    const std::string password = proto::registry_password(request.definition);
    Result<Prepared> prepared = co_await prepare(std::move(request), true);
    if (!prepared) {
        co_return prepared.error();
    }
    const RunId id = prepared->row.id;
    if (!password.empty()) { // it is for the nodes alone; nothing that is read back holds it
        auto sealed = sealer_.seal(password, id.str());
        if (!sealed) {
            co_return sealed.error();
        }
        prepared->row.sealed_password = std::move(*sealed);
    }
    if (chosen) {
        if (arriving_.contains(id)) {
            co_return Error(Errc::unavailable, "run '" + id.str() + "' is being submitted by another request");
        }
        arriving_.insert(id);
        const auto same = co_await find_same(prepared->row);
        if (!same || same->has_value()) {
            arriving_.erase(id);
            co_return same ? Result<Submitted>(Submitted{**same, false}) : Result<Submitted>(same.error());
        }
    }
    if (auto experiment = co_await ensure_experiment(prepared->row); !experiment) {
        arriving_.erase(id);
        co_return experiment.error();
    }
    store::RunRow row = prepared->row;
    const Result<void> stored = co_await scheduler_.submit(std::move(prepared->row), std::move(prepared->data));
    arriving_.erase(id);
    if (!stored) {
        co_return stored.error();
    }
    if (const auto view = scheduler_.reactor().find_run(id, clock_.now())) {
        row.status = view->status;
        row.attempt = view->attempt;
        row.fence = view->fence;
        row.nodes = view->nodes;
        row.reason = view->reason;
    }
    co_return Submitted{std::move(row), true};
}

// The run must know its experiment's id before it starts, and its root.
asio::awaitable<Result<void>> Runs::ensure_experiment(store::RunRow& row) {
    if (row.workspace.empty()) {
        row.workspace = workspaces_.default_row().id;
    }
    const auto key = std::make_pair(row.workspace, row.experiment);
    if (const auto known = experiment_ids_.find(key); known != experiment_ids_.end()) {
        row.experiment_id = known->second;
    } else {
        auto ensure = [workspace = row.workspace, name = row.experiment, now = clock_.now()](store::Tables& tables) {
            return tables.ensure_experiment(workspace, name, now);
        };
        const auto experiment = co_await store_.write(std::move(ensure));
        if (!experiment) {
            co_return experiment.error();
        }
        row.experiment_id = experiment->id;
        experiment_ids_.emplace(key, experiment->id); // experiments are never deleted, and keep their ids
    }
    row.root = row.id;
    if (!row.parent.empty()) {
        const auto parent = co_await find(row.parent);
        if (!parent) {
            co_return parent.error().within("parent run");
        }
        row.root = parent->root;
    }
    co_return Result<void>{};
}

asio::awaitable<Result<Checked>> Runs::check(SubmitRequest request) {
    const bool has_password = !proto::registry_password(request.definition).empty();
    Result<Prepared> prepared = co_await prepare(std::move(request), false);
    if (!prepared) {
        co_return prepared.error();
    }
    Checked checked;
    checked.definition = proto::Json::parse(prepared->row.definition, nullptr, false);
    if (const auto definition = proto::parse_run_definition(checked.definition)) {
        checked.warnings = warnings_of(*definition);
        if (!definition->container.registry_user.empty() && !has_password) {
            checked.warnings.push_back("registry user '" + definition->container.registry_user +
                                       "' comes without a password: a node will know it only if its operator logged in "
                                       "there (registered environments keep no passwords; give it with each submit)");
        }
    }
    co_return checked;
}

asio::awaitable<Result<std::optional<store::RunRow>>> Runs::find_same_environment(store::RunRow row) {
    if (!row.environment || row.environment->key.empty()) {
        co_return std::optional<store::RunRow>();
    }
    auto read = [row = std::move(row)](store::Tables& tables) { return tables.find_earlier_with_environment(row); };
    co_return co_await store_.read(std::move(read));
}

asio::awaitable<Result<store::RunRow>> Runs::find(RunId id) {
    auto read = [id](store::Tables& tables) { return tables.find_run(id); };
    Result<store::RunRow> row = co_await store_.read(std::move(read));
    if (row && scheduler_.is_active(id)) {
        if (const auto view = scheduler_.reactor().find_run(id, clock_.now())) {
            row->reason = view->reason;
        }
    }
    co_return row;
}

asio::awaitable<Result<std::vector<store::RunRow>>> Runs::list(store::RunFilter filter) {
    auto read = [filter = std::move(filter)](store::Tables& tables) { return tables.list_runs(filter); };
    Result<std::vector<store::RunRow>> rows = co_await store_.read(std::move(read));
    if (rows) {
        for (store::RunRow& row : *rows) {
            if (core::is_terminal(row.status)) {
                continue;
            }
            if (const auto view = scheduler_.reactor().find_run(row.id, clock_.now())) {
                row.reason = view->reason;
            }
        }
    }
    co_return rows;
}

asio::awaitable<Result<std::vector<store::EventRow>>> Runs::events(RunId id) {
    auto read = [id](store::Tables& tables) -> Result<std::vector<store::EventRow>> {
        if (auto row = tables.find_run(id); !row) {
            return row.error();
        }
        return tables.events(id);
    };
    co_return co_await store_.read(std::move(read));
}

asio::awaitable<Result<store::RunRow>> Runs::cancel(RunId id, std::string who) {
    const Result<store::RunRow> row = co_await find(id);
    if (!row || core::is_terminal(row->status)) {
        co_return row;
    }
    if (row->interactive) {
        // no node has it, and its client may be gone: it ends here and now
        auto end = [id, reason = "canceled by " + who, now = clock_.now()](store::Tables& tables) {
            return tables.move_interactive_run(id, core::RunStatus::canceled, now, reason);
        };
        const auto ended = co_await store_.write(std::move(end));
        if (!ended) {
            co_return ended.error();
        }
        scheduler_.touch(id);
        co_return co_await find(id);
    }
    const Result<void> done = co_await scheduler_.cancel(id, std::move(who));
    if (!done) {
        co_return done.error();
    }
    co_return co_await find(id);
}

asio::awaitable<bool> Runs::may_speak(RunId id, int attempt) {
    constexpr Millis afterwards = std::chrono::hours(1);
    if (scheduler_.is_active(id)) {
        const auto view = scheduler_.reactor().find_run(id, clock_.now());
        co_return view && view->attempt == attempt;
    }
    const auto row = co_await find(id);
    co_return row && row->attempt == attempt && row->ended&& clock_.now() - *row->ended < afterwards;
}

asio::awaitable<Result<std::string>> Runs::explain(RunId id) {
    const Result<store::RunRow> row = co_await find(id);
    if (!row) {
        co_return row.error();
    }
    if (!core::is_terminal(row->status) || !row->outcome || row->outcome->message.empty()) {
        co_return row->reason;
    }
    co_return row->outcome->message;
}

} // namespace linarite::service
