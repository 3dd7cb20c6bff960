// server/store/tables.hpp: rows and the repositories that hold their SQL. All functions are called on a store thread.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"
#include "server/core/reactor.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace SQLite { // NOLINT(readability-identifier-naming): the library's name
class Database;
} // namespace SQLite

namespace linarite::store {

/// One run as the history has it.
struct RunRow {
    RunId id;
    std::string experiment;
    std::string target;
    core::RunStatus status{};
    core::RunStatus before_not_responding{};
    std::int64_t sequence = 0; // of its last event
    int attempt = 0;
    Fence fence = 0;
    int node_count = 1;
    int processes_per_node = 1;
    int priority = 0;
    int max_attempts = 1;
    std::optional<Millis> max_duration;
    SnapshotId snapshot;
    std::string definition; // JSON, normalised
    std::string body_hash;  // SHA-256 of the canonical submit body: makes the same id with another body a conflict
    std::string submitted_by;
    Time created{};
    std::optional<Time> started; // first Running
    std::optional<Time> ended;
    Time changed{};
    std::vector<NodeName> nodes; // of the current attempt, by node index
    std::optional<core::Outcome> outcome;
    std::string reason; // of the last event
};

struct EventRow {
    RunId run;
    std::int64_t sequence = 0;
    core::RunStatus status{};
    int attempt = 0;
    Fence fence = 0;
    Time at{};
    std::string reason;
};

/// One file of a run. Growing files have no hash yet.
struct ArtifactRow {
    RunId run;
    std::string path;
    std::uint64_t size = 0;
    std::string sha256; // "" while it grows
    Time changed{};
    bool operator==(const ArtifactRow&) const = default;
};

struct NodeRow {
    NodeName name;
    std::string secret_hash; // SHA-256 hex of the agent's bearer token
    std::uint64_t incarnation = 0;
    std::string boot_id;
    std::string host_id;
    std::string address;
    std::string version;
    int cores = 0;
    std::uint64_t memory_bytes = 0;
    int gpus = 0;
    int slots = 1;
    std::vector<std::string> labels;
    bool drained = false;
    Time joined{};
    Time last_seen{};
};

struct DatastoreRow {
    std::string name;
    std::string path;    // absolute directory on the coordinator's host
    bool shared = false; // every node sees the same directory at this path
    bool is_default = false;
    Time created{};
};

struct JoinTokenRow {
    std::string hash; // SHA-256 hex of the token
    Time expires{};
};

struct RunFilter {
    std::string experiment;                // "" is all
    std::vector<core::RunStatus> statuses; // empty is all
    std::string target;
    std::string text;           // substring of the run id
    std::optional<Time> before; // created strictly before (keyset paging, with before_id)
    RunId before_id;
    int limit = 100; // at most 500
};

/// Repositories over one connection. A reader's connection is opened read-only, so its writes fail.
class Tables {
public:
    explicit Tables(SQLite::Database& db);
    ~Tables();
    Tables(const Tables&) = delete;
    Tables& operator=(const Tables&) = delete;

    // runs ------------------------------------------------------------------------------------------------------------
    /// Inserts the run and its first event (NotStarted, sequence 1). conflict if the id exists.
    Result<void> insert_run(const RunRow& row);
    Result<RunRow> find_run(const RunId& id);
    /// Newest first.
    Result<std::vector<RunRow>> list_runs(const RunFilter& filter);
    /// All that are not terminal, oldest first: for start-up.
    Result<std::vector<RunRow>> active_runs();
    /// Compare-and-set on (status, sequence): updates the row and appends the event. conflict if the run is elsewhere.
    Result<void> move_run(const core::MoveRun& move);
    Result<void> assign_run(const core::AssignRun& assignment);
    Result<std::vector<EventRow>> events(const RunId& id);
    Result<Fence> highest_fence();

    // artifacts -------------------------------------------------------------------------------------------------------
    /// Inserts or replaces.
    Result<void> put_artifact(const ArtifactRow& row);
    Result<ArtifactRow> find_artifact(const RunId& run, const std::string& path);
    /// By path, those that start with `prefix`.
    Result<std::vector<ArtifactRow>> list_artifacts(const RunId& run, const std::string& prefix);

    // snapshots -------------------------------------------------------------------------------------------------------
    /// Idempotent.
    Result<void> put_snapshot(const SnapshotId& id, const std::string& manifest, std::uint64_t bytes, Time at);
    /// The manifest (JSON).
    Result<std::string> find_snapshot(const SnapshotId& id);

    // nodes -----------------------------------------------------------------------------------------------------------
    Result<void> put_node(const NodeRow& row); // insert or replace
    Result<NodeRow> find_node(const NodeName& name);
    Result<NodeRow> find_node_by_secret(const std::string& secret_hash);
    Result<std::vector<NodeRow>> list_nodes();
    Result<void> remove_node(const NodeName& name);
    Result<void> set_drained(const NodeName& name, bool drained);
    Result<void> put_join_token(const JoinTokenRow& row);
    /// Deletes it; not_found if it is unknown or expired at `now`.
    Result<void> use_join_token(const std::string& hash, Time now);

    // datastores ------------------------------------------------------------------------------------------------------
    Result<void> put_datastore(const DatastoreRow& row); // conflict if the name exists with another path
    Result<DatastoreRow> find_datastore(const std::string& name);
    Result<std::vector<DatastoreRow>> list_datastores();

private:
    struct Statements;
    SQLite::Database& db_;
    std::unique_ptr<Statements> statements_;
};

/// Brings the schema up to date, step by numbered step, each in its own transaction; user_version says where it is.
/// A database from a newer program is an error.
Result<void> migrate(SQLite::Database& db);
/// The newest step.
int schema_version();

} // namespace linarite::store
