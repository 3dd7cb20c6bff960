// Numbered steps, forward only. A step that was released is never changed: write the next one.
#include "server/store/connection.hpp"
#include "server/store/tables.hpp"

#include <array>

namespace linarite::store {
namespace {

// Times are milliseconds since 1970 in UTC. Statuses are the words that clients see, for people with the sqlite3 shell.
constexpr const char* step_1 = R"sql(
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id                    TEXT PRIMARY KEY NOT NULL,
    experiment            TEXT NOT NULL,
    target                TEXT NOT NULL,
    status                TEXT NOT NULL CHECK (status IN ('NotStarted', 'Queued', 'Provisioning', 'Preparing',
        'Starting', 'Running', 'NotResponding', 'CancelRequested', 'Finalizing', 'Completed', 'Failed', 'Canceled')),
    before_not_responding TEXT,
    sequence              INTEGER NOT NULL, -- of its last event
    attempt               INTEGER NOT NULL,
    fence                 INTEGER NOT NULL,
    node_count            INTEGER NOT NULL,
    processes_per_node    INTEGER NOT NULL,
    priority              INTEGER NOT NULL,
    max_attempts          INTEGER NOT NULL,
    max_duration          INTEGER,          -- ms
    snapshot              TEXT NOT NULL,
    definition            TEXT NOT NULL,    -- JSON
    body_hash             TEXT NOT NULL,    -- SHA-256 of what was submitted
    submitted_by          TEXT NOT NULL,
    created               INTEGER NOT NULL,
    started               INTEGER,          -- first Running
    ended                 INTEGER,
    changed               INTEGER NOT NULL,
    reason                TEXT NOT NULL,    -- of its last event
    launched              INTEGER,          -- the outcome: all NULL until it is known
    exit_code             INTEGER,
    signal                INTEGER,
    out_of_memory         INTEGER,
    timed_out             INTEGER,
    stopped               INTEGER,
    failed_rank           INTEGER,
    failed_node           TEXT,
    error_code            TEXT,
    error_message         TEXT
) STRICT;
CREATE INDEX runs_by_created ON runs (created DESC, id DESC);
CREATE INDEX runs_by_experiment ON runs (experiment, created DESC, id DESC);
CREATE INDEX runs_active ON runs (created, id) WHERE status NOT IN ('Completed', 'Failed', 'Canceled');
CREATE TRIGGER terminal_runs_stay BEFORE UPDATE OF status ON runs WHEN old.status IN ('Completed', 'Failed', 'Canceled')
BEGIN
    SELECT raise(ABORT, 'the run has ended');
END;

CREATE TABLE run_events (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    status   TEXT NOT NULL,
    attempt  INTEGER NOT NULL,
    fence    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (run, sequence)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER run_events_are_append_only BEFORE UPDATE ON run_events
BEGIN
    SELECT raise(ABORT, 'events are never rewritten');
END;

CREATE TABLE assignments ( -- of all attempts
    fence      INTEGER NOT NULL,
    node_index INTEGER NOT NULL,
    run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt    INTEGER NOT NULL,
    node       TEXT NOT NULL,
    PRIMARY KEY (fence, node_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignments_by_run ON assignments (run, attempt, fence);

CREATE TABLE artifacts (
    run     TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    path    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT NOT NULL, -- empty while the file grows
    changed INTEGER NOT NULL,
    PRIMARY KEY (run, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    id       TEXT PRIMARY KEY NOT NULL,
    manifest TEXT NOT NULL, -- JSON
    bytes    INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE nodes (
    name         TEXT PRIMARY KEY NOT NULL,
    secret_hash  TEXT NOT NULL, -- SHA-256
    incarnation  INTEGER NOT NULL,
    boot_id      TEXT NOT NULL,
    host_id      TEXT NOT NULL,
    address      TEXT NOT NULL,
    version      TEXT NOT NULL,
    cores        INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    gpus         INTEGER NOT NULL,
    slots        INTEGER NOT NULL,
    labels       TEXT NOT NULL, -- JSON array
    drained      INTEGER NOT NULL,
    joined       INTEGER NOT NULL,
    last_seen    INTEGER NOT NULL
) STRICT;
CREATE INDEX nodes_by_secret ON nodes (secret_hash);

CREATE TABLE join_tokens (
    hash    TEXT PRIMARY KEY NOT NULL, -- SHA-256
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE datastores (
    name       TEXT PRIMARY KEY NOT NULL,
    path       TEXT NOT NULL,
    shared     INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    created    INTEGER NOT NULL
) STRICT;

-- For people: SELECT * FROM run_history LIMIT 20;
CREATE VIEW run_history AS
SELECT id AS run,
       experiment,
       status,
       CASE WHEN launched AND signal = 0 THEN exit_code END AS exit_code,
       nullif(signal, 0) AS signal,
       strftime('%Y-%m-%d %H:%M:%S', created / 1000, 'unixepoch') AS submitted_utc,
       strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch') AS started_utc,
       strftime('%Y-%m-%d %H:%M:%S', ended / 1000, 'unixepoch') AS ended_utc,
       CASE WHEN started IS NOT NULL THEN
           (SELECT printf('%d:%02d:%02d', s / 3600, s / 60 % 60, s % 60)
            FROM (SELECT (coalesce(ended, strftime('%s', 'now') * 1000) - started) / 1000 AS s))
       END AS duration,
       target,
       (SELECT group_concat(node, ' ') FROM (SELECT node FROM assignments AS a WHERE a.run = runs.id AND a.fence =
           (SELECT max(b.fence) FROM assignments AS b WHERE b.run = runs.id) ORDER BY a.node_index)) AS nodes,
       attempt,
       submitted_by,
       coalesce(nullif(error_message, ''), reason) AS reason
FROM runs
ORDER BY created DESC, id DESC;
)sql";

// Workspaces, what clients of Azure's dialect tell of experiments and runs, runs whose status a client decides
// ("interactive"), and what that dialect registers.
constexpr const char* step_2 = R"sql(
CREATE TABLE workspaces (
    id             TEXT PRIMARY KEY NOT NULL, -- a GUID: clients key their caches with it
    subscription   TEXT NOT NULL,
    resource_group TEXT NOT NULL,
    name           TEXT NOT NULL,
    created        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX workspaces_by_name ON workspaces (lower(subscription), lower(resource_group), lower(name));
INSERT INTO workspaces (id, subscription, resource_group, name, created)
SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' ||
             substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
       '00000000-0000-0000-0000-000000000000', 'local', 'linarite', CAST(strftime('%s', 'now') AS INTEGER) * 1000;

ALTER TABLE runs ADD COLUMN workspace    TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN number       INTEGER NOT NULL DEFAULT 0;   -- within its experiment, from 1
ALTER TABLE runs ADD COLUMN interactive  INTEGER NOT NULL DEFAULT 0;   -- its status is what its client says
ALTER TABLE runs ADD COLUMN kind         TEXT NOT NULL DEFAULT '';     -- a client's own word for it
ALTER TABLE runs ADD COLUMN parent       TEXT;
ALTER TABLE runs ADD COLUMN root         TEXT NOT NULL DEFAULT '';     -- itself, if it has no parent
ALTER TABLE runs ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN description  TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN tags         TEXT NOT NULL DEFAULT '{}';   -- JSON: name to text
ALTER TABLE runs ADD COLUMN properties   TEXT NOT NULL DEFAULT '{}';   -- JSON: name to text; each is set once
ALTER TABLE runs ADD COLUMN document     TEXT NOT NULL DEFAULT '';     -- JSON as submitted, without secrets
ALTER TABLE runs ADD COLUMN error        TEXT NOT NULL DEFAULT '';     -- JSON that an interactive run's client gave
ALTER TABLE runs ADD COLUMN warnings     TEXT NOT NULL DEFAULT '[]';   -- JSON: [{"source", "message"}]
UPDATE runs SET workspace = (SELECT id FROM workspaces), root = runs.id, number = numbered.n
FROM (SELECT id, row_number() OVER (PARTITION BY experiment ORDER BY created, id) AS n FROM runs) AS numbered
WHERE numbered.id = runs.id;
CREATE INDEX runs_by_number ON runs (workspace, experiment, number);
CREATE INDEX runs_by_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE INDEX runs_by_root ON runs (root);
DROP INDEX runs_active;
CREATE INDEX runs_active ON runs (created, id)
    WHERE status NOT IN ('Completed', 'Failed', 'Canceled') AND NOT interactive;

CREATE TABLE experiments (
    id          TEXT PRIMARY KEY NOT NULL, -- a GUID
    workspace   TEXT NOT NULL REFERENCES workspaces (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    tags        TEXT NOT NULL DEFAULT '{}', -- JSON: name to text
    archived    INTEGER,                    -- when
    created     INTEGER NOT NULL,
    UNIQUE (workspace, name)
) STRICT;
INSERT INTO experiments (id, workspace, name, created)
SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' ||
             substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))), workspace, experiment, min(created)
FROM runs GROUP BY workspace, experiment;

CREATE TABLE environments (
    workspace TEXT NOT NULL REFERENCES workspaces (id),
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,
    document  TEXT NOT NULL, -- JSON
    created   INTEGER NOT NULL,
    PRIMARY KEY (workspace, name, version)
) STRICT;

CREATE TABLE compute_targets ( -- pools that clients made; cpu-cluster and local are there without a row
    name      TEXT PRIMARY KEY NOT NULL,
    vm_size   TEXT NOT NULL,
    min_nodes INTEGER NOT NULL,
    max_nodes INTEGER NOT NULL,
    document  TEXT NOT NULL, -- JSON as the client gave it
    created   INTEGER NOT NULL
) STRICT;

ALTER TABLE datastores ADD COLUMN account   TEXT NOT NULL DEFAULT ''; -- the names by which a client registered it
ALTER TABLE datastores ADD COLUMN container TEXT NOT NULL DEFAULT '';

CREATE TABLE snapshot_aliases ( -- ids that clients chose
    alias    TEXT PRIMARY KEY NOT NULL,
    snapshot TEXT NOT NULL REFERENCES snapshots (id),
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE blob_uploads ( -- files that came ahead of the snapshot that names them
    id      TEXT PRIMARY KEY NOT NULL,
    sha256  TEXT NOT NULL,
    size    INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

DROP VIEW run_history;
CREATE VIEW run_history AS
SELECT id AS run,
       experiment,
       status,
       CASE WHEN launched AND signal = 0 THEN exit_code END AS exit_code,
       nullif(signal, 0) AS signal,
       strftime('%Y-%m-%d %H:%M:%S', created / 1000, 'unixepoch') AS submitted_utc,
       strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch') AS started_utc,
       strftime('%Y-%m-%d %H:%M:%S', ended / 1000, 'unixepoch') AS ended_utc,
       CASE WHEN started IS NOT NULL THEN
           (SELECT printf('%d:%02d:%02d', s / 3600, s / 60 % 60, s % 60)
            FROM (SELECT (coalesce(ended, strftime('%s', 'now') * 1000) - started) / 1000 AS s))
       END AS duration,
       target,
       (SELECT group_concat(node, ' ') FROM (SELECT node FROM assignments AS a WHERE a.run = runs.id AND a.fence =
           (SELECT max(b.fence) FROM assignments AS b WHERE b.run = runs.id) ORDER BY a.node_index)) AS nodes,
       attempt,
       submitted_by,
       coalesce(nullif(error_message, ''), reason) AS reason,
       (SELECT name FROM workspaces AS w WHERE w.id = runs.workspace) AS workspace,
       number,
       parent,
       tags
FROM runs
ORDER BY created DESC, id DESC;
)sql";

// Runs over hosts that share no directory: which node wrote which file, so that the others get it.
constexpr const char* step_3 = R"sql(
ALTER TABLE nodes ADD COLUMN shared_dir TEXT NOT NULL DEFAULT ''; -- equal for nodes with the same one

CREATE TABLE gang_files (
    run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    path       TEXT NOT NULL,    -- as the node calls it
    node       INTEGER NOT NULL, -- index in the gang
    stored     TEXT NOT NULL,    -- the artifact's path
    sha256     TEXT NOT NULL,    -- of the bytes as they were closed last; empty while they never were
    size       INTEGER NOT NULL,
    executable INTEGER NOT NULL,
    sequence   INTEGER NOT NULL, -- of its last change among those of the run
    PRIMARY KEY (run, path, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX gang_files_by_sequence ON gang_files (run, sequence);

CREATE INDEX blob_uploads_by_age ON blob_uploads (created);
)sql";

// Which runs had the same environment. All columns are NULL until a node has prepared it.
constexpr const char* step_4 = R"sql(
ALTER TABLE runs ADD COLUMN environment_key TEXT; -- SHA-256 of its content; empty for an interpreter as it was found
ALTER TABLE runs ADD COLUMN environment_provider TEXT;
ALTER TABLE runs ADD COLUMN environment_python TEXT; -- version
ALTER TABLE runs ADD COLUMN environment_interpreter TEXT;
ALTER TABLE runs ADD COLUMN environment_image TEXT;
ALTER TABLE runs ADD COLUMN environment_image_digest TEXT;
CREATE INDEX runs_by_environment ON runs (environment_key, created DESC, id DESC) WHERE environment_key <> '';

DROP VIEW run_history;
CREATE VIEW run_history AS
SELECT id AS run,
       experiment,
       status,
       CASE WHEN launched AND signal = 0 THEN exit_code END AS exit_code,
       nullif(signal, 0) AS signal,
       strftime('%Y-%m-%d %H:%M:%S', created / 1000, 'unixepoch') AS submitted_utc,
       strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch') AS started_utc,
       strftime('%Y-%m-%d %H:%M:%S', ended / 1000, 'unixepoch') AS ended_utc,
       CASE WHEN started IS NOT NULL THEN
           (SELECT printf('%d:%02d:%02d', s / 3600, s / 60 % 60, s % 60)
            FROM (SELECT (coalesce(ended, strftime('%s', 'now') * 1000) - started) / 1000 AS s))
       END AS duration,
       target,
       (SELECT group_concat(node, ' ') FROM (SELECT node FROM assignments AS a WHERE a.run = runs.id AND a.fence =
           (SELECT max(b.fence) FROM assignments AS b WHERE b.run = runs.id) ORDER BY a.node_index)) AS nodes,
       attempt,
       submitted_by,
       coalesce(nullif(error_message, ''), reason) AS reason,
       (SELECT name FROM workspaces AS w WHERE w.id = runs.workspace) AS workspace,
       number,
       parent,
       tags,
       nullif(environment_key, '') AS environment,
       environment_python AS python,
       nullif(environment_image_digest, '') AS image_digest
FROM runs
ORDER BY created DESC, id DESC;
)sql";

// What files of datastores contain, so that nodes which do not see them know what they have already.
constexpr const char* step_5 = R"sql(
CREATE TABLE file_hashes (
    folder      TEXT NOT NULL,    -- the datastore's
    name        TEXT NOT NULL,    -- relative to it
    size        INTEGER NOT NULL, -- this and the next three as they were when it was read: it holds while they are so
    modified_ns INTEGER NOT NULL,
    changed_ns  INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    PRIMARY KEY (folder, name)
) STRICT, WITHOUT ROWID;
)sql";

// Passwords of the registries that runs' images come from, apart from the definitions, which people read.
constexpr const char* step_6 = R"sql(
CREATE TABLE run_secrets ( -- until the run ends
    run               TEXT PRIMARY KEY NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    registry_password TEXT NOT NULL -- opened by the data directory's sealing_key alone
) STRICT, WITHOUT ROWID;
)sql";

constexpr std::array steps{step_1, step_2, step_3, step_4, step_5, step_6};

} // namespace

const Schema& history_schema() {
    static constexpr Schema schema{steps, "FULL"};
    return schema;
}

int schema_version() {
    return static_cast<int>(steps.size());
}

Result<void> migrate(SQLite::Database& db) {
    return migrate(db, history_schema());
}

Result<void> migrate_up_to(SQLite::Database& db, int last) {
    return migrate_up_to(db, history_schema(), last);
}

} // namespace linarite::store
