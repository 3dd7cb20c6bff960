// Numbered steps, forward only. A step that was released is never changed: write the next one.
#include "server/store/schema.hpp"

#include <array>

namespace linarite::store {
namespace {

// Times are milliseconds since 1970 in UTC. A point's numbers stand in points.value, so that people can use them; what
// SQLite has no number for (NaN, text, rows of several columns, integers beyond 2^53) stands in points.data.
constexpr const char* step_1 = R"sql(
CREATE TABLE totals (
    run    TEXT PRIMARY KEY NOT NULL,
    points INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
    id           INTEGER PRIMARY KEY,
    run          TEXT NOT NULL,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL,    -- scalar, list, table, image, ...
    columns      TEXT NOT NULL,    -- JSON: type by name
    value_column TEXT NOT NULL,    -- what points.value stands for
    points       INTEGER NOT NULL  -- how many; the sequence of the last
) STRICT;
CREATE UNIQUE INDEX series_by_name ON series (run, name);
CREATE INDEX series_in_order ON series (run, id);

CREATE TABLE points (
    series   INTEGER NOT NULL REFERENCES series (id),
    sequence INTEGER NOT NULL,
    id       TEXT NOT NULL,    -- the client's: a repeated call stores nothing twice
    time     INTEGER NOT NULL,
    step     INTEGER,
    value    REAL,
    data     TEXT,             -- JSON, with bare NaN and Infinity; NULL where value says it all
    PRIMARY KEY (series, sequence)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX points_once ON points (series, id);

CREATE VIEW metric_history AS
SELECT series.run,
       series.name AS metric,
       points.step,
       strftime('%Y-%m-%d %H:%M:%f', points.time / 1000.0, 'unixepoch') AS time_utc,
       coalesce(points.value, points.data) AS value
FROM series JOIN points ON points.series = series.id
ORDER BY series.run, series.id, points.sequence;
)sql";

// points.time is in microseconds from here on: clients send batches side by side, and only the time tells their order.
constexpr const char* step_2 = R"sql(
UPDATE points SET time = time * 1000;
CREATE INDEX points_by_time ON points (series, time, sequence);

DROP VIEW metric_history;
CREATE VIEW metric_history AS
SELECT series.run,
       series.name AS metric,
       points.step,
       strftime('%Y-%m-%d %H:%M:%f', points.time / 1000000.0, 'unixepoch') AS time_utc,
       coalesce(points.value, points.data) AS value
FROM series JOIN points ON points.series = series.id
ORDER BY series.run, series.id, points.time, points.sequence;
)sql";

constexpr std::array steps{step_1, step_2};

} // namespace

const Schema& metric_schema() {
    static constexpr Schema schema{steps, "NORMAL"};
    return schema;
}

} // namespace linarite::store
