#include "server/store/connection.hpp"

#include "common/files.hpp"
#include "server/store/statements.hpp"

#include <SQLiteCpp/Backup.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <fcntl.h>
#include <sqlite3.h>

namespace linarite::store {
namespace {

constexpr int busy_timeout_ms = 5'000;
constexpr std::uintmax_t check_up_to = std::uintmax_t{200} << 20U;

void configure(SQLite::Database& db) {
    sqlite3_db_config(db.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    db.exec(
        "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY");
}

/// A database that was closed cleanly has no write-ahead log left.
bool closed_cleanly(const std::string& path) {
    std::error_code ec;
    const auto left = fs::file_size(path + "-wal", ec);
    return ec || left == 0;
}

Result<void> check(SQLite::Database& db, const std::string& path) {
    std::error_code ec;
    if (fs::file_size(path, ec) > check_up_to || ec) {
        spdlog::warn("database not closed cleanly, too large to check at start: path={}", path);
        return {};
    }
    const std::string verdict = db.execAndGet("PRAGMA quick_check(1)").getString();
    if (verdict != "ok") {
        return Error(Errc::internal, "the database is damaged: " + verdict);
    }
    spdlog::info("database recovered: path={}", path);
    return {};
}

Result<std::unique_ptr<SQLite::Database>> open_and_migrate(const std::string& path, const Schema& schema) {
    const bool on_disk = path != ":memory:";
    const bool clean = !on_disk || closed_cleanly(path);
    auto db = std::make_unique<SQLite::Database>(
        path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLite::OPEN_NOMUTEX, busy_timeout_ms);
    configure(*db);
    if (on_disk) {
        const std::string mode = db->execAndGet("PRAGMA journal_mode = WAL").getString();
        if (mode != "wal") {
            return Error(Errc::internal,
                         "the file system does not allow a write-ahead log (journal mode " + mode + ")");
        }
        db->exec(std::string("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = ") + schema.synchronous);
    }
    if (!clean) {
        if (auto sound = check(*db, path); !sound) {
            return sound.error();
        }
    }
    if (auto migrated = migrate(*db, schema); !migrated) {
        return migrated.error();
    }
    if (on_disk) {
        const fs::path folder = fs::path(path).parent_path();
        if (auto synced = sync_folder(folder.empty() ? fs::path(".") : folder); !synced) {
            return synced.error();
        }
    }
    return db;
}

} // namespace

Result<std::unique_ptr<SQLite::Database>> open_writer(const std::string& path, const Schema& schema) {
    auto db = guarded("open", [&] { return open_and_migrate(path, schema); });
    if (!db) {
        return db.error().within("database '" + path + "'");
    }
    spdlog::info("database open: path={} sqlite={} schema={}", path, sqlite3_libversion(), schema.steps.size());
    return db;
}

Result<std::unique_ptr<SQLite::Database>> open_reader(const std::string& path) {
    using Opened = Result<std::unique_ptr<SQLite::Database>>;
    auto db = guarded("open for reading", [&]() -> Opened {
        auto reader =
            std::make_unique<SQLite::Database>(path, SQLite::OPEN_READONLY | SQLite::OPEN_NOMUTEX, busy_timeout_ms);
        configure(*reader);
        reader->exec("PRAGMA wal_autocheckpoint = 0; PRAGMA query_only = ON");
        return reader;
    });
    if (!db) {
        return db.error().within("database '" + path + "'");
    }
    return db;
}

namespace {

Result<void> copy_into(SQLite::Database& from, const std::string& path) {
    SQLite::Database to(path, SQLite::OPEN_READWRITE, busy_timeout_ms);
    {
        SQLite::Backup backup(to, from);
        // all pages in one step: a copy in several starts again whenever the writer commits
        const int code = backup.executeStep(-1);
        if (code != SQLITE_DONE) {
            return Error(Errc::internal, sqlite3_errstr(code));
        }
    }
    to.execAndGet("PRAGMA journal_mode = DELETE");
    return {};
}

} // namespace

Result<void> copy_database(SQLite::Database& from, const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) {
        return Error(Errc::conflict, "'" + path + "' already exists");
    }
    if (!file) {
        return errno_error("create '" + path + "'", errno);
    }
    auto copied = guarded("copy the database", [&] { return copy_into(from, path); });
    if (copied) {
        copied = sync_fd(file.get(), path);
    }
    if (copied) {
        const fs::path folder = fs::path(path).parent_path();
        copied = sync_folder(folder.empty() ? fs::path(".") : folder);
    }
    if (!copied) {
        std::error_code ec;
        fs::remove(path, ec);
        fs::remove(path + "-wal", ec);
        fs::remove(path + "-shm", ec);
    }
    return copied;
}

bool is_disk_full(const SQLite::Database& db, int code) {
    if ((code & 0xFF) == SQLITE_FULL) {
        return true;
    }
    // a quota is an I/O error to SQLite; a failed fsync is never harmless, whatever its reason
    const int error = sqlite3_system_errno(db.getHandle());
    const bool sync_failed = code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
    return (code & 0xFF) == SQLITE_IOERR && !sync_failed && (error == ENOSPC || error == EDQUOT);
}

} // namespace linarite::store
