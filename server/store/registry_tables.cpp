// What clients register: environments, compute targets, and which datastores are there.
#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

namespace linarite::store {
namespace {

constexpr std::string_view select_environments =
    "SELECT workspace, name, version, document, created FROM environments ";

EnvironmentRow read_environment(Use& row) {
    EnvironmentRow environment;
    environment.workspace = row.text();
    environment.name = row.text();
    environment.version = row.text();
    environment.document = row.text();
    environment.created = row.time();
    return environment;
}

Error unknown_environment(const std::string& name, const std::string& version) {
    return {Errc::not_found,
            "environment '" + name + "'" + (version.empty() ? "" : " version '" + version + "'") + " not found"};
}

Error unknown_datastore(const std::string& name) {
    return {Errc::not_found, "datastore '" + name + "' not found"};
}

} // namespace

// ---- environments ---------------------------------------------------------------------------------------------------

Result<void> Tables::put_environment(const EnvironmentRow& row) {
    return guarded("store an environment", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO environments (workspace, name, version, document, created) "
                              "VALUES (?, ?, ?, ?, ?) ON CONFLICT (workspace, name, version) "
                              "DO UPDATE SET document = document WHERE document = excluded.document");
        if (put.bind(row.workspace, row.name, row.version, row.document, row.created).run() == 0) {
            return Error(Errc::conflict, "environment '" + row.name + "' has a version '" + row.version +
                                             "' already, with another definition");
        }
        return {};
    });
}

Result<EnvironmentRow> Tables::find_environment(const std::string& workspace, const std::string& name,
                                                const std::string& version) {
    return guarded("find an environment", [&]() -> Result<EnvironmentRow> {
        // the row that was made last is the newest, also within one millisecond
        Use query(*statements_, std::string(select_environments) +
                                    "WHERE workspace = ?1 AND name = ?2 AND (?3 = '' OR version = ?3) "
                                    "ORDER BY rowid DESC LIMIT 1");
        if (!query.bind(workspace, name, version).next()) {
            return unknown_environment(name, version);
        }
        return read_environment(query);
    });
}

Result<std::vector<EnvironmentRow>> Tables::list_environments(const std::string& workspace) {
    return guarded("list environments", [&]() -> Result<std::vector<EnvironmentRow>> {
        Use query(*statements_, std::string(select_environments) +
                                    "WHERE rowid IN (SELECT max(rowid) FROM environments WHERE workspace = ? "
                                    "GROUP BY name) ORDER BY name");
        query.bind(workspace);
        std::vector<EnvironmentRow> rows;
        while (query.next()) {
            rows.push_back(read_environment(query));
        }
        return rows;
    });
}

// ---- compute targets ------------------------------------------------------------------------------------------------

Result<void> Tables::put_compute_target(const ComputeTargetRow& row) {
    return guarded("store a compute target", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO compute_targets (name, vm_size, min_nodes, max_nodes, document, created) "
                              "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET vm_size = excluded.vm_size, "
                              "min_nodes = excluded.min_nodes, max_nodes = excluded.max_nodes, "
                              "document = excluded.document");
        put.bind(row.name, row.vm_size, row.min_nodes, row.max_nodes, row.document, row.created).run();
        return {};
    });
}

Result<std::vector<ComputeTargetRow>> Tables::list_compute_targets() {
    return guarded("list compute targets", [&]() -> Result<std::vector<ComputeTargetRow>> {
        Use query(*statements_,
                  "SELECT name, vm_size, min_nodes, max_nodes, document, created FROM compute_targets ORDER BY name");
        std::vector<ComputeTargetRow> rows;
        while (query.next()) {
            ComputeTargetRow& row = rows.emplace_back();
            row.name = query.text();
            row.vm_size = query.text();
            row.min_nodes = query.integer();
            row.max_nodes = query.integer();
            row.document = query.text();
            row.created = query.time();
        }
        return rows;
    });
}

Result<void> Tables::remove_compute_target(const std::string& name) {
    return guarded("remove a compute target", [&]() -> Result<void> {
        Use remove(*statements_, "DELETE FROM compute_targets WHERE name = ?");
        if (remove.bind(name).run() == 0) {
            return Error(Errc::not_found, "compute target '" + name + "' not found");
        }
        return {};
    });
}

// ---- datastores -----------------------------------------------------------------------------------------------------

Result<void> Tables::remove_datastore(const std::string& name) {
    return guarded("remove a datastore", [&]() -> Result<void> {
        Use remove(*statements_, "DELETE FROM datastores WHERE name = ?");
        if (remove.bind(name).run() == 0) {
            return unknown_datastore(name);
        }
        Use(*statements_, "DELETE FROM file_hashes WHERE folder NOT IN (SELECT path FROM datastores)").run();
        return {};
    });
}

Result<void> Tables::set_default_datastore(const std::string& name) {
    return guarded("set the default datastore", [&]() -> Result<void> {
        if (auto known = find_datastore(name); !known) {
            return known.error();
        }
        Use(*statements_, "UPDATE datastores SET is_default = (name = ?)").bind(name).run();
        return {};
    });
}

} // namespace linarite::store
