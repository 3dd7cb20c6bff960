// server/store/connection.hpp: connections to a database, set up the one way that keeps its promises.
#pragma once

#include "common/error.hpp"
#include "server/store/schema.hpp"

#include <SQLiteCpp/Database.h>

#include <memory>
#include <string>

namespace linarite::store {

/// The one connection that writes: WAL, synchronous as the schema wants it, no checkpoints of its own accord. Makes the
/// file, recovers it, checks it if it was not closed cleanly, and migrates it. Errors name the file.
Result<std::unique_ptr<SQLite::Database>> open_writer(const std::string& path, const Schema& schema = history_schema());
/// A connection that can't write, to a file that a writer has open.
Result<std::unique_ptr<SQLite::Database>> open_reader(const std::string& path);

/// A consistent copy of what `from` sees, at `path`, which must not exist yet (conflict); on disk when it returns. The
/// copy is one plain file without a write-ahead log.
Result<void> copy_database(SQLite::Database& from, const std::string& path);

/// Whether SQLite's last error on this connection means that the disk or a quota is full.
bool is_disk_full(const SQLite::Database& db, int code);

/// The steps of the history up to this one alone: for tests of the next one.
Result<void> migrate_up_to(SQLite::Database& db, int last);

} // namespace linarite::store
