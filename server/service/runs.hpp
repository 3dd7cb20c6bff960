// server/service/runs.hpp: use cases on runs, whichever dialect asks.
#pragma once

#include "proto/run_definition.hpp"
#include "proto/snapshot.hpp"
#include "server/service/scheduler.hpp"
#include "server/service/sealer.hpp"
#include "server/service/workspaces.hpp"
#include "server/store/store.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace linarite::service {

/// What a client asks to be run.
struct SubmitRequest {
    RunId id; // empty: one is made
    std::string experiment;
    SnapshotId snapshot;
    proto::Json definition; // Azure's RunConfiguration
    std::string submitted_by;
    std::string workspace; // id; "" is the default one
    RunId parent;
    store::Labels properties;
    bool keeps_document = false; // the definition is to be given back as it came, secrets apart
};

struct Submitted {
    store::RunRow row;
    bool created = false; // false: the same id with the same content was there before
};

/// What would be run, for `submit --dry-run`.
struct Checked {
    proto::Json definition; // normalised
    std::vector<std::string> warnings;
};

class Runs {
public:
    Runs(store::Store& store, Scheduler& scheduler, const Workspaces& workspaces, const Sealer& sealer,
         const Clock& clock);

    /// All faults in one error. The run is on disk when this returns.
    asio::awaitable<Result<Submitted>> submit(SubmitRequest request);
    /// The same checks; nothing is stored. The snapshot need not be there.
    asio::awaitable<Result<Checked>> check(SubmitRequest request);
    asio::awaitable<Result<store::RunRow>> find(RunId id);
    /// The newest run before this one that had the same environment, by its key; nothing if there is none.
    asio::awaitable<Result<std::optional<store::RunRow>>> find_same_environment(store::RunRow row);
    asio::awaitable<Result<std::vector<store::RunRow>>> list(store::RunFilter filter);
    asio::awaitable<Result<std::vector<store::EventRow>>> events(RunId id);
    asio::awaitable<Result<store::RunRow>> cancel(RunId id, std::string who);
    /// Whether this attempt of the run may still write: while it is under way, and for an hour after it ended.
    asio::awaitable<bool> may_speak(RunId id, int attempt);
    /// Why it is where it is, in words; for a run that ended, how it ended.
    asio::awaitable<Result<std::string>> explain(RunId id);

private:
    struct Prepared {
        store::RunRow row;
        proto::DesiredRunData data;
    };
    asio::awaitable<Result<Prepared>> prepare(SubmitRequest request, bool with_snapshot);
    asio::awaitable<Result<std::shared_ptr<const proto::Manifest>>> manifest_of(SnapshotId id);
    [[nodiscard]] store::RunRow make_row(const SubmitRequest& request, const proto::RunDefinition& definition) const;
    asio::awaitable<Result<void>> ensure_experiment(store::RunRow& row);
    asio::awaitable<Result<std::optional<store::RunRow>>> find_same(const store::RunRow& row);

    store::Store& store_;
    Scheduler& scheduler_;
    const Workspaces& workspaces_;
    const Sealer& sealer_;
    const Clock& clock_;
    std::map<std::pair<std::string, std::string>, std::string> experiment_ids_; // by workspace and name
    std::set<RunId> arriving_; // client-chosen ids between their check and their insert
    std::map<SnapshotId, std::shared_ptr<const proto::Manifest>>
        manifests_; // of recent snapshots, so that a resubmit reads nothing
};

/// Things about a definition that a user should know though they are no faults.
std::vector<std::string> warnings_of(const proto::RunDefinition& definition);

} // namespace linarite::service
