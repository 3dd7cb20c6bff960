#include "server/store/tables.hpp"

#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

namespace linarite::store {

Tables::Tables(SQLite::Database& db) : db_(db), statements_(std::make_unique<Statements>(db)) {}
Tables::~Tables() = default;

// ---- artifacts ------------------------------------------------------------------------------------------------------

namespace {

ArtifactRow read_artifact(const RunId& run, Use& row) {
    ArtifactRow artifact;
    artifact.run = run;
    artifact.path = row.text();
    artifact.size = row.bits();
    artifact.sha256 = row.text();
    artifact.changed = row.time();
    return artifact;
}

} // namespace

Result<void> Tables::put_artifact(const ArtifactRow& row) {
    return guarded("store an artifact", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO artifacts (run, path, size, sha256, changed) VALUES (?, ?, ?, ?, ?) "
                              "ON CONFLICT (run, path) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, "
                              "changed = excluded.changed");
        put.bind(row.run, row.path, row.size, row.sha256, row.changed).run();
        return {};
    });
}

Result<ArtifactRow> Tables::find_artifact(const RunId& run, const std::string& path) {
    return guarded("find an artifact", [&]() -> Result<ArtifactRow> {
        Use query(*statements_, "SELECT path, size, sha256, changed FROM artifacts WHERE run = ? AND path = ?");
        if (!query.bind(run, path).next()) {
            return Error(Errc::not_found, "run '" + run.str() + "' has no file '" + path + "'");
        }
        return read_artifact(run, query);
    });
}

Result<void> Tables::rename_artifact(const RunId& run, const std::string& from, const std::string& to) {
    return guarded("rename an artifact", [&]() -> Result<void> {
        Use rename(*statements_, "UPDATE OR REPLACE artifacts SET path = ? WHERE run = ? AND path = ?");
        rename.bind(to, run, from).run();
        return {};
    });
}

Result<std::vector<ArtifactRow>> Tables::list_artifacts(const RunId& run, const std::string& prefix) {
    return guarded("list artifacts", [&]() -> Result<std::vector<ArtifactRow>> {
        Use query(*statements_,
                  "SELECT path, size, sha256, changed FROM artifacts WHERE run = ? AND path >= ? AND path < ? "
                  "ORDER BY path");
        // no path has a byte 0xFF in it, it is UTF-8
        query.bind(run, prefix, prefix + '\xFF');
        std::vector<ArtifactRow> rows;
        while (query.next()) {
            rows.push_back(read_artifact(run, query));
        }
        return rows;
    });
}

// ---- snapshots ------------------------------------------------------------------------------------------------------

Result<void> Tables::put_snapshot(const SnapshotId& id, const std::string& manifest, std::uint64_t bytes, Time at) {
    return guarded("store a snapshot", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO snapshots (id, manifest, bytes, created) VALUES (?, ?, ?, ?) "
                              "ON CONFLICT (id) DO NOTHING");
        put.bind(id, manifest, bytes, at).run();
        return {};
    });
}

Result<std::string> Tables::find_snapshot(const SnapshotId& id) {
    return guarded("find a snapshot", [&]() -> Result<std::string> {
        Use query(*statements_, "SELECT manifest FROM snapshots WHERE id = ?");
        if (!query.bind(id).next()) {
            return Error(Errc::not_found, "snapshot '" + id.str() + "' not found");
        }
        return query.text();
    });
}

// ---- datastores -----------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view select_datastores =
    "SELECT name, path, shared, is_default, created, account, container FROM datastores ";

DatastoreRow read_datastore(Use& row) {
    DatastoreRow datastore;
    datastore.name = row.text();
    datastore.path = row.text();
    datastore.shared = row.flag();
    datastore.is_default = row.flag();
    datastore.created = row.time();
    datastore.account = row.text();
    datastore.container = row.text();
    return datastore;
}

} // namespace

Result<void> Tables::put_datastore(const DatastoreRow& row) {
    return guarded("store a datastore", [&]() -> Result<void> {
        Use put(*statements_,
                "INSERT INTO datastores (name, path, shared, is_default, created, account, container) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET shared = excluded.shared, is_default = excluded.is_default, "
                "account = excluded.account, container = excluded.container WHERE path = excluded.path");
        put.bind(row.name, row.path, row.shared, row.is_default, row.created, row.account, row.container);
        if (put.run() == 0) {
            return Error(Errc::conflict, "datastore '" + row.name + "' already exists with another path");
        }
        if (row.is_default) {
            Use(*statements_, "UPDATE datastores SET is_default = 0 WHERE is_default AND name <> ?")
                .bind(row.name)
                .run();
        }
        return {};
    });
}

Result<void> Tables::move_datastore(const std::string& name, const std::string& path) {
    return guarded("move a datastore", [&]() -> Result<void> {
        Use(*statements_, "UPDATE OR REPLACE file_hashes SET folder = ? "
                          "WHERE folder = (SELECT path FROM datastores WHERE name = ?)")
            .bind(path, name)
            .run();
        if (Use(*statements_, "UPDATE datastores SET path = ? WHERE name = ?").bind(path, name).run() == 0) {
            return Error(Errc::not_found, "datastore '" + name + "' not found");
        }
        return {};
    });
}

Result<DatastoreRow> Tables::find_datastore(const std::string& name) {
    return guarded("find a datastore", [&]() -> Result<DatastoreRow> {
        Use query(*statements_, std::string(select_datastores) + "WHERE name = ?");
        if (!query.bind(name).next()) {
            return Error(Errc::not_found, "datastore '" + name + "' not found");
        }
        return read_datastore(query);
    });
}

Result<std::vector<DatastoreRow>> Tables::list_datastores() {
    return guarded("list datastores", [&]() -> Result<std::vector<DatastoreRow>> {
        Use query(*statements_, std::string(select_datastores) + "ORDER BY name");
        std::vector<DatastoreRow> rows;
        while (query.next()) {
            rows.push_back(read_datastore(query));
        }
        return rows;
    });
}

} // namespace linarite::store
