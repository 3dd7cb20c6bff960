// Workspaces and the experiments in them.
#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

namespace linarite::store {
namespace {

constexpr std::string_view select_experiments =
    "SELECT id, workspace, name, description, tags, archived, created FROM experiments ";

ExperimentRow read_experiment(Use& row) {
    ExperimentRow experiment;
    experiment.id = row.text();
    experiment.workspace = row.text();
    experiment.name = row.text();
    experiment.description = row.text();
    experiment.tags = from_json_object(row.text());
    experiment.archived = row.maybe_time();
    experiment.created = row.time();
    return experiment;
}

Result<ExperimentRow> find_one(StatementCache& cache, std::string_view where, const std::string& workspace,
                               const std::string& what) {
    Use query(cache, std::string(select_experiments).append(where));
    if (!query.bind(workspace, what).next()) {
        return Error(Errc::not_found, "experiment '" + what + "' not found");
    }
    return read_experiment(query);
}

} // namespace

Result<void> Tables::put_workspace(const WorkspaceRow& row) {
    return guarded("store a workspace", [&]() -> Result<void> {
        Use put(*statements_, "INSERT INTO workspaces (id, subscription, resource_group, name, created) "
                              "VALUES (?, ?, ?, ?, ?)");
        put.bind(row.id, row.subscription, row.resource_group, row.name, row.created).run();
        return {};
    });
}

Result<std::vector<WorkspaceRow>> Tables::list_workspaces() {
    return guarded("list workspaces", [&]() -> Result<std::vector<WorkspaceRow>> {
        Use query(*statements_,
                  "SELECT id, subscription, resource_group, name, created FROM workspaces ORDER BY rowid");
        std::vector<WorkspaceRow> rows;
        while (query.next()) {
            WorkspaceRow& row = rows.emplace_back();
            row.id = query.text();
            row.subscription = query.text();
            row.resource_group = query.text();
            row.name = query.text();
            row.created = query.time();
        }
        return rows;
    });
}

Result<ExperimentRow> Tables::ensure_experiment(const std::string& workspace, const std::string& name, Time now) {
    auto known = find_experiment(workspace, name);
    if (known || known.error().code() != Errc::not_found) {
        return known;
    }
    return guarded("store an experiment", [&]() -> Result<ExperimentRow> {
        ExperimentRow row;
        row.id = random_guid();
        row.workspace = workspace;
        row.name = name;
        row.created = now;
        Use put(*statements_, "INSERT INTO experiments (id, workspace, name, created) VALUES (?, ?, ?, ?)");
        put.bind(row.id, row.workspace, row.name, row.created).run();
        return row;
    });
}

Result<ExperimentRow> Tables::find_experiment(const std::string& workspace, const std::string& name) {
    return guarded("find the experiment",
                   [&] { return find_one(*statements_, "WHERE workspace = ? AND name = ?", workspace, name); });
}

Result<ExperimentRow> Tables::find_experiment_by_id(const std::string& workspace, const std::string& id) {
    return guarded("find the experiment",
                   [&] { return find_one(*statements_, "WHERE workspace = ? AND id = ?", workspace, id); });
}

Result<std::vector<ExperimentRow>> Tables::list_experiments(const std::string& workspace) {
    return guarded("list experiments", [&]() -> Result<std::vector<ExperimentRow>> {
        Use query(*statements_, std::string(select_experiments) + "WHERE workspace = ? ORDER BY created, name");
        query.bind(workspace);
        std::vector<ExperimentRow> rows;
        while (query.next()) {
            rows.push_back(read_experiment(query));
        }
        return rows;
    });
}

Result<void> Tables::update_experiment(const ExperimentRow& row) {
    return guarded("change the experiment", [&]() -> Result<void> {
        Use update(*statements_, "UPDATE experiments SET description = ?, tags = ?, archived = ? WHERE id = ?");
        if (update.bind(row.description, to_json_object(row.tags), row.archived, row.id).run() != 1) {
            return Error(Errc::not_found, "experiment '" + row.name + "' not found");
        }
        return {};
    });
}

} // namespace linarite::store
