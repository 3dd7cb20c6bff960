#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

#include <algorithm>

namespace linarite::store {
namespace {

constexpr std::string_view select_runs =
    "SELECT id, experiment, target, status, before_not_responding, sequence, attempt, fence, node_count, "
    "processes_per_node, priority, max_attempts, max_duration, snapshot, definition, body_hash, submitted_by, created, "
    "started, ended, changed, reason, launched, exit_code, signal, out_of_memory, timed_out, stopped, failed_rank, "
    "failed_node, error_code, error_message, workspace, number, interactive, kind, parent, root, display_name, "
    "description, tags, properties, document, error, warnings, "
    "environment_key, environment_provider, environment_python, environment_interpreter, environment_image, "
    "environment_image_digest, (SELECT e.id FROM experiments AS e WHERE e.workspace = "
    "runs.workspace AND e.name = runs.experiment) FROM runs ";
// spelled as in the partial index, so that SQLite sees that it applies
constexpr std::string_view is_active = "status NOT IN ('Completed', 'Failed', 'Canceled') AND NOT interactive";
constexpr int outcome_columns = 10;
constexpr int environment_columns = 6;

std::optional<core::Outcome> read_outcome(Use& row) {
    if (row.skip_null()) {
        row.skip(outcome_columns - 1);
        return std::nullopt;
    }
    core::Outcome outcome;
    outcome.started = row.flag();
    outcome.exit_code = row.integer();
    outcome.signal = row.integer();
    outcome.out_of_memory = row.flag();
    outcome.timed_out = row.flag();
    outcome.stopped = row.flag();
    outcome.rank = row.integer();
    outcome.node = NodeName(row.text());
    outcome.code = row.text();
    outcome.message = row.text();
    return outcome;
}

std::optional<RunEnvironmentRow> read_environment(Use& row) {
    if (row.skip_null()) {
        row.skip(environment_columns - 1);
        return std::nullopt;
    }
    RunEnvironmentRow environment;
    environment.key = row.text();
    environment.provider = row.text();
    environment.python = row.text();
    environment.interpreter = row.text();
    environment.image = row.text();
    environment.image_digest = row.text();
    return environment;
}

RunRow read_run(Use& row) {
    RunRow run;
    run.id = RunId(row.text());
    run.experiment = row.text();
    run.target = row.text();
    run.status = row.status();
    run.before_not_responding = row.maybe_status().value_or(core::RunStatus{});
    run.sequence = row.number();
    run.attempt = row.integer();
    run.fence = row.bits();
    run.node_count = row.integer();
    run.processes_per_node = row.integer();
    run.priority = row.integer();
    run.max_attempts = row.integer();
    run.max_duration = row.maybe_span();
    run.snapshot = SnapshotId(row.text());
    run.definition = row.text();
    run.body_hash = row.text();
    run.submitted_by = row.text();
    run.created = row.time();
    run.started = row.maybe_time();
    run.ended = row.maybe_time();
    run.changed = row.time();
    run.reason = row.text();
    run.outcome = read_outcome(row);
    run.workspace = row.text();
    run.number = row.number();
    run.interactive = row.flag();
    run.kind = row.text();
    run.parent = row.skip_null() ? RunId() : RunId(row.text());
    run.root = RunId(row.text());
    run.display_name = row.text();
    run.description = row.text();
    run.tags = from_json_object(row.text());
    run.properties = from_json_object(row.text());
    run.document = row.text();
    run.error = row.text();
    run.warnings = row.text();
    run.environment = read_environment(row);
    run.experiment_id = row.text();
    return run;
}

/// The nodes of the last placement of the current attempt. A run that waits (again) has none.
void read_nodes(StatementCache& cache, RunRow& run) {
    if (run.status == core::RunStatus::not_started || run.status == core::RunStatus::queued) {
        return;
    }
    Use query(cache, "SELECT node FROM assignments WHERE fence = (SELECT max(fence) FROM assignments WHERE run = ? AND "
                     "attempt = ?) ORDER BY node_index");
    query.bind(run.id, run.attempt);
    while (query.next()) {
        run.nodes.emplace_back(query.text());
    }
}

std::vector<RunRow> read_runs(StatementCache& cache, Use& query) {
    std::vector<RunRow> runs;
    while (query.next()) {
        runs.push_back(read_run(query));
        read_nodes(cache, runs.back());
    }
    return runs;
}

void append_event(StatementCache& cache, const EventRow& event) {
    Use insert(cache, "INSERT INTO run_events (run, sequence, status, attempt, fence, at, reason) "
                      "VALUES (?, ?, ?, ?, ?, ?, ?)");
    insert.bind(event.run, event.sequence, event.status, event.attempt, event.fence, event.at, event.reason).run();
}

void latch_outcome(StatementCache& cache, const RunId& run, const core::Outcome& outcome) {
    Use update(cache, "UPDATE runs SET launched = ?, exit_code = ?, signal = ?, out_of_memory = ?, timed_out = ?, "
                      "stopped = ?, failed_rank = ?, failed_node = ?, error_code = ?, error_message = ? WHERE id = ?");
    update.bind(outcome.started, outcome.exit_code, outcome.signal, outcome.out_of_memory, outcome.timed_out);
    update.bind(outcome.stopped, outcome.rank, outcome.node, outcome.code, outcome.message, run).run();
}

bool run_exists(StatementCache& cache, const RunId& id) {
    Use query(cache, "SELECT 1 FROM runs WHERE id = ?");
    return query.bind(id).next();
}

std::string oldest_workspace(StatementCache& cache) {
    Use query(cache, "SELECT id FROM workspaces ORDER BY rowid LIMIT 1");
    return query.next() ? query.text() : "";
}

std::optional<RunId> none_if_empty(const RunId& id) {
    return id.empty() ? std::nullopt : std::optional(id);
}

/// The text of list_runs for this filter. Few texts are possible, so each stays prepared.
std::string list_text(const RunFilter& filter) {
    std::string sql(select_runs);
    sql += "WHERE true";
    sql += filter.workspace.empty() ? "" : " AND workspace = ?";
    sql += filter.experiment.empty() ? "" : " AND experiment = ?";
    sql += filter.target.empty() ? "" : " AND target = ?";
    sql += filter.text.empty() ? "" : " AND instr(id, ?) > 0";
    // a key is hex: "g" is behind all that it can go on with
    sql += filter.environment.empty() ? "" : " AND environment_key >= ? AND environment_key < ? || 'g'";
    sql += filter.before ? " AND (created, id) < (?, ?)" : "";
    if (!filter.statuses.empty()) {
        sql += " AND status IN (SELECT value FROM json_each(?))";
        if (std::none_of(filter.statuses.begin(), filter.statuses.end(), core::is_terminal)) {
            sql += " AND ";
            sql += is_active;
        }
    }
    sql += " ORDER BY created DESC, id DESC LIMIT ?";
    return sql;
}

} // namespace

Result<void> Tables::insert_run(const RunRow& row) {
    return guarded("insert the run", [&]() -> Result<void> {
        if (run_exists(*statements_, row.id)) {
            return Error(Errc::conflict, "run '" + row.id.str() + "' already exists");
        }
        const std::string workspace = row.workspace.empty() ? oldest_workspace(*statements_) : row.workspace;
        if (auto experiment = ensure_experiment(workspace, row.experiment, row.created); !experiment) {
            return experiment.error();
        }
        const EventRow first{row.id, 1, row.status, row.attempt, row.fence, row.created, row.reason};
        Use insert(*statements_,
                   "INSERT INTO runs (id, experiment, target, status, sequence, attempt, fence, node_count, "
                   "processes_per_node, priority, max_attempts, max_duration, snapshot, definition, body_hash, "
                   "submitted_by, created, changed, reason, workspace, interactive, kind, parent, root, display_name, "
                   "description, tags, properties, document, error, number) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                   "(SELECT coalesce(max(number), 0) + 1 FROM runs WHERE workspace = ? AND experiment = ?))");
        insert.bind(row.id, row.experiment, row.target, first.status, first.sequence, row.attempt, row.fence);
        insert.bind(row.node_count, row.processes_per_node, row.priority, row.max_attempts, row.max_duration);
        insert.bind(row.snapshot, row.definition, row.body_hash, row.submitted_by, row.created, row.created);
        insert.bind(row.reason, workspace, row.interactive, row.kind, none_if_empty(row.parent));
        insert.bind(row.root.empty() ? row.id : row.root, row.display_name, row.description);
        insert.bind(to_json_object(row.tags), to_json_object(row.properties), row.document, row.error);
        insert.bind(workspace, row.experiment).run();
        append_event(*statements_, first);
        if (!row.sealed_password.empty()) {
            Use secret(*statements_, "INSERT INTO run_secrets (run, registry_password) VALUES (?, ?)");
            secret.bind(row.id, row.sealed_password).run();
        }
        return {};
    });
}

Result<RunRow> Tables::find_run(const RunId& id) {
    return guarded("find the run", [&]() -> Result<RunRow> {
        Use query(*statements_, std::string(select_runs) + "WHERE id = ?");
        if (!query.bind(id).next()) {
            return Error(Errc::not_found, "run '" + id.str() + "' not found");
        }
        RunRow run = read_run(query);
        read_nodes(*statements_, run);
        return run;
    });
}

Result<std::vector<RunRow>> Tables::list_runs(const RunFilter& filter) {
    return guarded("list runs", [&]() -> Result<std::vector<RunRow>> {
        Use query(*statements_, list_text(filter));
        for (const std::string* part : {&filter.workspace, &filter.experiment, &filter.target, &filter.text}) {
            if (!part->empty()) {
                query.bind(*part);
            }
        }
        if (!filter.environment.empty()) {
            query.bind(filter.environment, filter.environment);
        }
        if (filter.before) {
            query.bind(*filter.before, filter.before_id);
        }
        if (!filter.statuses.empty()) {
            std::vector<std::string> words;
            words.reserve(filter.statuses.size());
            for (const core::RunStatus status : filter.statuses) {
                words.emplace_back(core::to_wire(status));
            }
            query.bind(to_json_array(words));
        }
        query.bind(std::clamp(filter.limit, 0, 500));
        return read_runs(*statements_, query);
    });
}

Result<std::vector<RunRow>> Tables::active_runs() {
    return guarded("list active runs", [&]() -> Result<std::vector<RunRow>> {
        std::string sql(select_runs);
        sql.append("WHERE ").append(is_active).append(" ORDER BY created, id");
        Use query(*statements_, sql);
        return read_runs(*statements_, query);
    });
}

Result<void> Tables::put_run_environment(const RunId& run, const RunEnvironmentRow& environment) {
    return guarded("note the run's environment", [&]() -> Result<void> {
        Use update(*statements_,
                   "UPDATE runs SET environment_key = ?, environment_provider = ?, environment_python = ?, "
                   "environment_interpreter = ?, environment_image = ?, environment_image_digest = ? WHERE id = ?");
        update.bind(environment.key, environment.provider, environment.python, environment.interpreter);
        if (update.bind(environment.image, environment.image_digest, run).run() != 1) {
            return Error(Errc::not_found, "run '" + run.str() + "' not found");
        }
        return {};
    });
}

Result<std::optional<RunRow>> Tables::find_earlier_with_environment(const RunRow& run) {
    if (!run.environment || run.environment->key.empty()) {
        return std::optional<RunRow>();
    }
    return guarded("find a run with the same environment", [&]() -> Result<std::optional<RunRow>> {
        Use query(*statements_, std::string(select_runs) +
                                    "WHERE environment_key = ? AND environment_key <> '' AND (created, id) < (?, ?) "
                                    "ORDER BY created DESC, id DESC LIMIT 1");
        query.bind(run.environment->key, run.created, run.id);
        std::vector<RunRow> found = read_runs(*statements_, query);
        return found.empty() ? std::optional<RunRow>() : std::optional(std::move(found.front()));
    });
}

namespace {

void forget_secrets(StatementCache& cache, const RunId& run) {
    Use remove(cache, "DELETE FROM run_secrets WHERE run = ?");
    remove.bind(run).run();
}

// Nobody needs to know any more which node wrote what.
void forget_gang_files(StatementCache& cache, const RunId& run) {
    Use remove(cache, "DELETE FROM gang_files WHERE run = ?");
    remove.bind(run).run();
}

} // namespace

Result<std::map<RunId, std::string>> Tables::run_secrets() {
    return guarded("read the runs' secrets", [&]() -> Result<std::map<RunId, std::string>> {
        Use query(*statements_, "SELECT run, registry_password FROM run_secrets");
        std::map<RunId, std::string> secrets;
        while (query.next()) {
            RunId run(query.text());
            secrets[std::move(run)] = query.text();
        }
        return secrets;
    });
}

Result<void> Tables::move_run(const core::MoveRun& move) {
    return guarded("move the run", [&]() -> Result<void> {
        const bool silent = move.to == core::RunStatus::not_responding;
        const std::optional<core::RunStatus> before = silent ? std::optional(move.from) : std::nullopt;
        const std::optional<Time> running = move.to == core::RunStatus::running ? std::optional(move.at) : std::nullopt;
        const std::optional<Time> ended = core::is_terminal(move.to) ? std::optional(move.at) : std::nullopt;
        {
            Use update(*statements_,
                       "UPDATE runs SET status = ?, before_not_responding = ?, sequence = ?, attempt = ?, fence = ?, "
                       "changed = ?, reason = ?, started = coalesce(started, ?), ended = ? "
                       "WHERE id = ? AND status = ? AND sequence = ?");
            update.bind(move.to, before, move.sequence, move.attempt, move.fence, move.at, move.reason, running, ended);
            if (update.bind(move.run, move.from, move.sequence - 1).run() != 1) {
                return Error(Errc::conflict, "run '" + move.run.str() + "' is not " +
                                                 std::string(core::to_wire(move.from)) + " at event " +
                                                 std::to_string(move.sequence - 1));
            }
        }
        if (move.outcome) {
            latch_outcome(*statements_, move.run, *move.outcome);
        }
        append_event(*statements_, {move.run, move.sequence, move.to, move.attempt, move.fence, move.at, move.reason});
        if (core::is_terminal(move.to)) {
            forget_gang_files(*statements_, move.run);
            forget_secrets(*statements_, move.run);
        }
        return {};
    });
}

Result<void> Tables::assign_run(const core::AssignRun& assignment) {
    return guarded("assign the run", [&]() -> Result<void> {
        {
            Use update(*statements_, "UPDATE runs SET attempt = ?, fence = ? WHERE id = ?");
            if (update.bind(assignment.attempt, assignment.fence, assignment.run).run() != 1) {
                return Error(Errc::not_found, "run '" + assignment.run.str() + "' not found");
            }
        }
        forget_gang_files(*statements_, assignment.run);
        int index = 0;
        for (const NodeName& node : assignment.nodes) {
            Use insert(*statements_,
                       "INSERT INTO assignments (fence, node_index, run, attempt, node) VALUES (?, ?, ?, ?, ?)");
            insert.bind(assignment.fence, index++, assignment.run, assignment.attempt, node).run();
        }
        // outlives the runs: a fence never comes back, even when its run is deleted
        Use highest(*statements_, "INSERT INTO meta (name, value) VALUES ('highest_fence', ?) "
                                  "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)");
        highest.bind(assignment.fence).run();
        return {};
    });
}

Result<std::vector<EventRow>> Tables::events(const RunId& id) {
    return guarded("list events", [&]() -> Result<std::vector<EventRow>> {
        Use query(*statements_, "SELECT sequence, status, attempt, fence, at, reason FROM run_events WHERE run = ? "
                                "ORDER BY sequence");
        query.bind(id);
        std::vector<EventRow> events;
        while (query.next()) {
            EventRow& event = events.emplace_back();
            event.run = id;
            event.sequence = query.number();
            event.status = query.status();
            event.attempt = query.integer();
            event.fence = query.bits();
            event.at = query.time();
            event.reason = query.text();
        }
        return events;
    });
}

Result<Fence> Tables::highest_fence() {
    return guarded("find the highest fence", [&]() -> Result<Fence> {
        Use query(*statements_, "SELECT value FROM meta WHERE name = 'highest_fence'");
        return query.next() ? query.bits() : Fence{0};
    });
}

} // namespace linarite::store
