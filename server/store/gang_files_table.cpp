#include "server/store/statements.hpp"
#include "server/store/tables.hpp"

namespace linarite::store {

Result<void> Tables::put_gang_file(const GangFileRow& row) {
    return guarded("store a file of a gang", [&]() -> Result<void> {
        Use put(*statements_,
                "INSERT INTO gang_files (run, path, node, stored, sha256, size, executable, sequence) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(sequence), 0) + 1 FROM gang_files WHERE run = ?)) "
                "ON CONFLICT (run, path, node) DO UPDATE SET stored = excluded.stored, sha256 = excluded.sha256, "
                "size = excluded.size, executable = excluded.executable, sequence = excluded.sequence "
                "WHERE stored <> excluded.stored OR sha256 <> excluded.sha256 OR executable <> excluded.executable");
        put.bind(row.run, row.path, row.node, row.stored, row.sha256, row.size, row.executable, row.run).run();
        return {};
    });
}

Result<std::vector<GangFileRow>> Tables::list_gang_files(const RunId& run, std::uint64_t since, int limit) {
    return guarded("list the files of a gang", [&]() -> Result<std::vector<GangFileRow>> {
        Use query(*statements_, "SELECT path, node, stored, sha256, size, executable, sequence FROM gang_files "
                                "WHERE run = ? AND sequence > ? ORDER BY sequence LIMIT ?");
        query.bind(run, since, limit);
        std::vector<GangFileRow> rows;
        while (query.next()) {
            GangFileRow& row = rows.emplace_back();
            row.run = run;
            row.path = query.text();
            row.node = query.integer();
            row.stored = query.text();
            row.sha256 = query.text();
            row.size = query.bits();
            row.executable = query.flag();
            row.sequence = query.bits();
        }
        return rows;
    });
}

Result<std::map<RunId, std::uint64_t>> Tables::gang_file_versions() {
    return guarded("list the files of gangs", [&]() -> Result<std::map<RunId, std::uint64_t>> {
        Use query(*statements_, "SELECT run, max(sequence) FROM gang_files GROUP BY run");
        std::map<RunId, std::uint64_t> versions;
        while (query.next()) {
            const RunId run(query.text());
            versions[run] = query.bits();
        }
        return versions;
    });
}

Result<std::uint64_t> Tables::gang_file_version(const RunId& run) {
    return guarded("look at the files of a gang", [&]() -> Result<std::uint64_t> {
        Use query(*statements_, "SELECT coalesce(max(sequence), 0) FROM gang_files WHERE run = ?");
        query.bind(run).next();
        return query.bits();
    });
}

} // namespace linarite::store
