// server/store/schema.hpp: what a database file is made of, and how it gets there.
#pragma once

#include "common/error.hpp"

#include <span>

namespace SQLite { // NOLINT(readability-identifier-naming): the library's name
class Database;
} // namespace SQLite

namespace linarite::store {

/// One kind of database file.
struct Schema {
    std::span<const char* const> steps; // numbered from 1, forward only; a step that was released is never changed
    const char* synchronous;            // FULL: a COMMIT outlives a power cut; NORMAL: it outlives this process
};

/// Runs, events, nodes, files: history.db.
const Schema& history_schema();
/// What runs logged: metrics.db. A power cut may take its last second, as it takes the tail of any log.
const Schema& metric_schema();

/// Brings a database up to date, step by numbered step, each in its own transaction; user_version says where it is.
/// A database from a newer program is an error.
Result<void> migrate(SQLite::Database& db, const Schema& schema);
/// The steps up to this one alone: for tests of the next one.
Result<void> migrate_up_to(SQLite::Database& db, const Schema& schema, int last);

} // namespace linarite::store
