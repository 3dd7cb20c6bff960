#include "server/store/statements.hpp"
#include "server/store/tables.hpp"

namespace linarite::store {
namespace {

// The snapshot that names an upload follows within minutes; its row is of no use later.
constexpr Millis upload_life = std::chrono::hours(7 * 24);

} // namespace

Result<void> Tables::put_snapshot_alias(const std::string& alias, const SnapshotId& snapshot, Time at) {
    return guarded("store the name of a snapshot", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO snapshot_aliases (alias, snapshot, created) VALUES (?, ?, ?) "
                              "ON CONFLICT (alias) DO UPDATE SET alias = excluded.alias "
                              "WHERE snapshot = excluded.snapshot");
        if (put.bind(alias, snapshot, at).run() == 0) {
            return Error(Errc::conflict, "snapshot '" + alias + "' already exists with other files");
        }
        return {};
    });
}

Result<SnapshotId> Tables::find_snapshot_alias(const std::string& alias) {
    return guarded("find the name of a snapshot", [&]() -> Result<SnapshotId> {
        Use query(*statements_, "SELECT snapshot FROM snapshot_aliases WHERE alias = ?");
        if (!query.bind(alias).next()) {
            return Error(Errc::not_found, "snapshot '" + alias + "' not found");
        }
        return SnapshotId(query.text());
    });
}

Result<void> Tables::put_blob_upload(const BlobUploadRow& row) {
    return guarded("store an upload", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO blob_uploads (id, sha256, size, created) VALUES (?, ?, ?, ?) "
                              "ON CONFLICT (id) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, "
                              "created = excluded.created");
        put.bind(row.id, row.sha256, row.size, row.created).run();
        Use(*statements_, "DELETE FROM blob_uploads WHERE created < ?").bind(row.created - upload_life).run();
        return {};
    });
}

Result<BlobUploadRow> Tables::find_blob_upload(const std::string& id) {
    return guarded("find an upload", [&]() -> Result<BlobUploadRow> {
        Use query(*statements_, "SELECT id, sha256, size, created FROM blob_uploads WHERE id = ?");
        if (!query.bind(id).next()) {
            return Error(Errc::not_found, "no file was sent as '" + id + "'");
        }
        BlobUploadRow row;
        row.id = query.text();
        row.sha256 = query.text();
        row.size = query.bits();
        row.created = query.time();
        return row;
    });
}

} // namespace linarite::store
