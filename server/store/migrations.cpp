// Numbered steps, forward only. A step that was released is never changed: write the next one.
#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Transaction.h>

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

constexpr std::array steps{step_1};

} // namespace

int schema_version() {
    return static_cast<int>(steps.size());
}

Result<void> migrate(SQLite::Database& db) {
    return guarded("migrate the database", [&db]() -> Result<void> {
        const int found = db.execAndGet("PRAGMA user_version").getInt();
        if (found > schema_version()) {
            return Error(Errc::conflict, "the database has schema " + std::to_string(found) +
                                             ", this program knows up to " + std::to_string(schema_version()) +
                                             ": it is from a newer version");
        }
        for (std::size_t step = static_cast<std::size_t>(std::max(found, 0)); step < steps.size(); ++step) {
            SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
            db.exec(steps.at(step));
            db.exec("PRAGMA user_version = " + std::to_string(step + 1));
            transaction.commit();
        }
        return {};
    });
}

} // namespace linarite::store
