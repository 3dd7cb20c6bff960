// What files of datastores contain, as far as it is known.
#include "server/store/statements.hpp"
#include "server/store/tables.hpp"

namespace linarite::store {

Result<void> Tables::put_file_hashes(const std::string& folder, const std::vector<FileHashRow>& rows) {
    return guarded("store hashes of files", [&]() -> Result<void> {
        for (const FileHashRow& row : rows) {
            Use put(*statements_, "INSERT OR REPLACE INTO file_hashes "
                                  "(folder, name, size, modified_ns, changed_ns, inode, sha256) "
                                  "VALUES (?, ?, ?, ?, ?, ?, ?)");
            put.bind(folder, row.name, row.stamp.size, row.stamp.modified_ns, row.stamp.changed_ns, row.stamp.inode,
                     row.sha256)
                .run();
        }
        return {};
    });
}

Result<std::vector<FileHashRow>> Tables::list_file_hashes(const std::string& folder, const std::string& path) {
    return guarded("list hashes of files", [&]() -> Result<std::vector<FileHashRow>> {
        // '0' is what comes after '/'
        Use query(*statements_,
                  "SELECT name, size, modified_ns, changed_ns, inode, sha256 FROM file_hashes "
                  "WHERE folder = ?1 AND (?2 = '' OR name = ?2 OR (name > ?2 || '/' AND name < ?2 || '0'))");
        query.bind(folder, path);
        std::vector<FileHashRow> rows;
        while (query.next()) {
            FileHashRow& row = rows.emplace_back();
            row.name = query.text();
            row.stamp.size = query.bits();
            row.stamp.modified_ns = query.number();
            row.stamp.changed_ns = query.number();
            row.stamp.inode = query.bits();
            row.sha256 = query.text();
        }
        return rows;
    });
}

Result<void> Tables::remove_file_hashes(const std::string& folder, const std::vector<std::string>& names) {
    return guarded("remove hashes of files", [&]() -> Result<void> {
        for (const std::string& name : names) {
            Use(*statements_, "DELETE FROM file_hashes WHERE folder = ? AND name = ?").bind(folder, name).run();
        }
        return {};
    });
}

} // namespace linarite::store
