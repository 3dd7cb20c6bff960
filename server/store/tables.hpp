// server/store/tables.hpp: rows and the repositories that hold their SQL. All functions are called on a store thread.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"
#include "common/tree_walk.hpp"
#include "server/core/reactor.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace SQLite { // NOLINT(readability-identifier-naming): the library's name
class Database;
} // namespace SQLite

namespace linarite::store {

/// What a run's Python is or was. The same key is the same content.
struct RunEnvironmentRow {
    std::string key; // SHA-256 in hex; "" if an interpreter is used as it was found
    std::string provider;
    std::string python;      // version
    std::string interpreter; // path
    std::string image;
    std::string image_digest;
    bool operator==(const RunEnvironmentRow&) const = default;
};

/// Names and texts (or null): tags and properties.
using Labels = std::map<std::string, std::optional<std::string>>;

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
    std::string reason;        // of the last event
    std::string workspace;     // id; insert_run takes the oldest one for ""
    std::string experiment_id; // what find_run and the lists give
    std::int64_t number = 0;   // within its experiment; set by insert_run
    bool interactive = false;  // no nodes: its client says what its status is
    std::string kind;          // a client's own word for it
    RunId parent;              // empty: none
    RunId root;                // itself, if it has no parent
    std::string display_name;
    std::string description;
    Labels tags;
    Labels properties;
    std::string document;        // JSON as submitted, without secrets; "" if nobody needs more than the definition
    std::string error;           // JSON that an interactive run's client gave; "" for none
    std::string warnings = "[]"; // JSON: [{"source", "message"}]
    /// Of the last attempt that got so far, on its first node.
    std::optional<RunEnvironmentRow> environment = {};
    std::string sealed_password; // of its image's registry; taken by insert_run, given back by run_secrets() alone
};

/// What a client may change of a run that is there, whatever its status. Nothing: stays as it is.
struct RunPatch {
    RunId run;
    std::optional<std::string> display_name;
    std::optional<std::string> description;
    std::optional<std::string> kind;
    std::optional<std::string> target;
    Labels tags;                           // set, beside those that are there
    std::vector<std::string> removed_tags; // taken away
    Labels properties;                     // added; conflict if one is there with another value
    std::optional<std::string> error;
    std::optional<std::string> warning; // JSON object, appended
};

struct WorkspaceRow {
    std::string id; // GUID
    std::string subscription;
    std::string resource_group;
    std::string name;
    Time created{};
};

struct ExperimentRow {
    std::string id; // GUID
    std::string workspace;
    std::string name;
    std::string description;
    Labels tags;
    std::optional<Time> archived;
    Time created{};
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

/// A file that a node of a run wrote below its working directory, where the run's nodes have several of those.
struct GangFileRow {
    RunId run;
    std::string path;   // as the node calls it
    int node = 0;       // its index in the gang
    std::string stored; // the artifact: the path, unless another node has that
    /// Of the bytes as they were closed last; "" while they never were. `size` and `executable` go with it.
    std::string sha256;
    std::uint64_t size = 0;
    bool executable = false;
    std::uint64_t sequence = 0; // of its last change among those of the run
};

struct NodeRow {
    NodeName name;
    std::string secret_hash; // SHA-256 hex of the agent's bearer token
    std::uint64_t incarnation = 0;
    std::string boot_id;
    std::string host_id;
    std::string shared_dir; // equal for nodes with the same one; "" is none
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
    std::string account;   // the storage account and the container as which a client of the blob dialect knows it;
    std::string container; // "" if nobody registered it so
};

/// What a file of a datastore contained when it had that stamp.
struct FileHashRow {
    std::string name; // relative to the datastore's folder
    FileStamp stamp;
    std::string sha256;
    bool operator==(const FileHashRow&) const = default;
};

/// One version of a named environment, as a client registered it.
struct EnvironmentRow {
    std::string workspace;
    std::string name;
    std::string version;
    std::string document; // JSON
    Time created{};
};

/// A pool of nodes that a client made.
struct ComputeTargetRow {
    std::string name;
    std::string vm_size;
    int min_nodes = 0;
    int max_nodes = 1;
    std::string document; // JSON as the client gave it
    Time created{};
};

/// A file that came ahead of the snapshot that will name it; its bytes are in the store of snapshots.
struct BlobUploadRow {
    std::string id;
    std::string sha256;
    std::uint64_t size = 0;
    Time created{};
};

/// What a query asks of runs: a comparison, or a combination of conditions.
struct RunCondition {
    enum class Kind { compare, all, any };
    enum class Field { id, parent, root, status, kind, target, created, tag, property, never };
    enum class Operator { eq, ne, lt, le, gt, ge };
    Kind kind = Kind::compare;
    std::vector<RunCondition> parts; // of all and any
    Field field = Field::id;
    std::string key; // of a tag or a property
    Operator op = Operator::eq;
    std::optional<std::string> value; // nothing: null. Of `created`, milliseconds as text
};

/// Runs of one experiment (or of a whole workspace), a page at a time.
struct RunQuery {
    std::string workspace;
    std::string experiment; // "" is all
    std::optional<RunCondition> condition;
    bool oldest_first = false; // by when they were created
    std::int64_t skip = 0;
    int limit = 500;
};

struct JoinTokenRow {
    std::string hash; // SHA-256 hex of the token
    Time expires{};
};

struct RunFilter {
    std::string workspace;                 // id; "" is all
    std::string experiment;                // "" is all
    std::vector<core::RunStatus> statuses; // empty is all
    std::string target;
    std::string text;           // substring of the run id
    std::string environment;    // what the key of its environment begins with
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
    /// Inserts the run and its first event (of row.status, sequence 1), and its experiment if that is new. The run gets
    /// the next number of its experiment. conflict if the id exists.
    Result<void> insert_run(const RunRow& row);
    Result<RunRow> find_run(const RunId& id);
    /// Newest first.
    Result<std::vector<RunRow>> list_runs(const RunFilter& filter);
    /// All that are not terminal and not interactive, oldest first: for start-up.
    Result<std::vector<RunRow>> active_runs();
    /// The sealed passwords of runs that have not ended. A run's is erased by the move that ends it.
    Result<std::map<RunId, std::string>> run_secrets();
    /// Compare-and-set on (status, sequence): updates the row and appends the event. conflict if the run is elsewhere.
    Result<void> move_run(const core::MoveRun& move);
    Result<void> assign_run(const core::AssignRun& assignment);
    Result<void> patch_run(const RunPatch& patch);
    /// Replaces what was known of it; not_found.
    Result<void> put_run_environment(const RunId& run, const RunEnvironmentRow& environment);
    /// The newest run of any experiment that was submitted before this one and had the same environment key; nothing if
    /// there is none, or if the run has no key.
    Result<std::optional<RunRow>> find_earlier_with_environment(const RunRow& run);
    /// What the client of an interactive run says of it: to that status, unless it has ended. conflict if the run is
    /// not interactive.
    Result<void> move_interactive_run(const RunId& run, core::RunStatus to, Time at, const std::string& reason);
    /// A tag or property that a run lacks makes every comparison with it false.
    Result<std::vector<RunRow>> query_runs(const RunQuery& query);
    Result<std::vector<EventRow>> events(const RunId& id);
    Result<Fence> highest_fence();

    // workspaces and experiments -------------------------------------------------------------------------------------
    /// conflict if the three names are taken, whatever their case.
    Result<void> put_workspace(const WorkspaceRow& row);
    /// Oldest first.
    Result<std::vector<WorkspaceRow>> list_workspaces();
    /// Makes it if it is not there.
    Result<ExperimentRow> ensure_experiment(const std::string& workspace, const std::string& name, Time now);
    Result<ExperimentRow> find_experiment(const std::string& workspace, const std::string& name);
    Result<ExperimentRow> find_experiment_by_id(const std::string& workspace, const std::string& id);
    Result<std::vector<ExperimentRow>> list_experiments(const std::string& workspace);
    /// Replaces description, tags and archived of the row with this id.
    Result<void> update_experiment(const ExperimentRow& row);

    // artifacts -------------------------------------------------------------------------------------------------------
    /// Inserts or replaces.
    Result<void> put_artifact(const ArtifactRow& row);
    Result<ArtifactRow> find_artifact(const RunId& run, const std::string& path);
    /// By path, those that start with `prefix`.
    Result<std::vector<ArtifactRow>> list_artifacts(const RunId& run, const std::string& prefix);

    /// Under another name, if it is there; whatever had that name is gone.
    Result<void> rename_artifact(const RunId& run, const std::string& from, const std::string& to);

    // files of gangs with several working directories, until the run ends or is placed anew -----------------------
    /// Inserts or replaces; gets the next sequence number of the run if that changes anything.
    Result<void> put_gang_file(const GangFileRow& row);
    /// Those with a higher sequence number, in its order, at most `limit`.
    Result<std::vector<GangFileRow>> list_gang_files(const RunId& run, std::uint64_t since, int limit);
    /// The highest sequence number of each run.
    Result<std::map<RunId, std::uint64_t>> gang_file_versions();
    Result<std::uint64_t> gang_file_version(const RunId& run);

    // snapshots -------------------------------------------------------------------------------------------------------
    /// Idempotent.
    Result<void> put_snapshot(const SnapshotId& id, const std::string& manifest, std::uint64_t bytes, Time at);
    /// The manifest (JSON).
    Result<std::string> find_snapshot(const SnapshotId& id);

    Result<void> put_snapshot_alias(const std::string& alias, const SnapshotId& snapshot, Time at); // idempotent
    Result<SnapshotId> find_snapshot_alias(const std::string& alias);
    Result<void> put_blob_upload(const BlobUploadRow& row); // insert or replace; forgets those of last week
    Result<BlobUploadRow> find_blob_upload(const std::string& id);

    // environments and compute targets --------------------------------------------------------------------------------
    Result<void> put_environment(const EnvironmentRow& row); // conflict if the version exists with another document
    /// `version` "" is the newest.
    Result<EnvironmentRow> find_environment(const std::string& workspace, const std::string& name,
                                            const std::string& version);
    /// The newest version of each, by name.
    Result<std::vector<EnvironmentRow>> list_environments(const std::string& workspace);
    Result<void> put_compute_target(const ComputeTargetRow& row); // insert or replace
    Result<std::vector<ComputeTargetRow>> list_compute_targets();
    Result<void> remove_compute_target(const std::string& name);

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
    Result<void> move_datastore(const std::string& name, const std::string& path); // not_found
    Result<DatastoreRow> find_datastore(const std::string& name);
    Result<std::vector<DatastoreRow>> list_datastores();
    Result<void> remove_datastore(const std::string& name); // its files stay
    Result<void> set_default_datastore(const std::string& name);
    /// Inserts or replaces. Folders are those of datastores.
    Result<void> put_file_hashes(const std::string& folder, const std::vector<FileHashRow>& rows);
    /// Of the file `path` and of those below a folder of that name; "" is all.
    Result<std::vector<FileHashRow>> list_file_hashes(const std::string& folder, const std::string& path);
    Result<void> remove_file_hashes(const std::string& folder, const std::vector<std::string>& names);

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
