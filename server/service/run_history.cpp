#include "server/service/run_history.hpp"

#include "proto/json_reader.hpp"

namespace linarite::service {
namespace {

// A client that retries, or a loop that tags, must not make a row that nobody can read any more.
constexpr std::size_t most_labels = 256;
constexpr std::size_t longest_name = 1024;
constexpr std::size_t longest_value = 8192;

void check_labels(const store::Labels& labels, const std::string& what, std::vector<Fault>& faults) {
    if (labels.size() > most_labels) {
        faults.push_back({"/" + what, "a run may have " + std::to_string(most_labels) + " " + what + " at most"});
    }
    for (const auto& [name, value] : labels) {
        if (name.empty() || name.size() > longest_name) {
            faults.push_back({"/" + what, "names of " + what + " must have 1 to " + std::to_string(longest_name) +
                                              " bytes: '" + name.substr(0, 40) + "'"});
        }
        if (value && value->size() > longest_value) {
            faults.push_back({"/" + what + "/" + name.substr(0, 40),
                              "values of " + what + " may have " + std::to_string(longest_value) + " bytes at most"});
        }
    }
}

Result<void> check(const store::Labels& tags, const store::Labels& properties) {
    std::vector<Fault> faults;
    check_labels(tags, "tags", faults);
    check_labels(properties, "properties", faults);
    return faults.empty() ? Result<void>() : Result<void>(Error(std::move(faults)));
}

store::RunRow row_of(InteractiveRun run, Time now) {
    store::RunRow row;
    row.id = std::move(run.id);
    row.workspace = std::move(run.workspace);
    row.experiment = std::move(run.experiment);
    row.parent = std::move(run.parent);
    row.root = row.id;
    row.target = std::move(run.target);
    row.kind = std::move(run.kind);
    row.display_name = std::move(run.display_name);
    row.description = std::move(run.description);
    row.status = core::RunStatus::not_started;
    row.tags = std::move(run.tags);
    row.properties = std::move(run.properties);
    row.document = std::move(run.document);
    row.submitted_by = std::move(run.submitted_by);
    row.interactive = true;
    row.definition = "{}";
    row.created = now;
    row.changed = now;
    row.sequence = 1;
    row.reason = "created by its client";
    return row;
}

} // namespace

RunHistory::RunHistory(store::Store& store, Runs& runs, Scheduler& scheduler, const Clock& clock)
    : store_(store), runs_(runs), scheduler_(scheduler), clock_(clock) {}

asio::awaitable<Result<store::RunRow>> RunHistory::create(InteractiveRun run) {
    for (const auto& [text, what] : {std::pair{run.id.str(), "run id"}, std::pair{run.experiment, "experiment"}}) {
        if (const auto fits = parse_name(text, what); !fits) {
            co_return fits.error();
        }
    }
    if (auto fits = check(run.tags, run.properties); !fits) {
        co_return fits.error();
    }
    const core::RunStatus status = run.status;
    store::RunRow row = row_of(std::move(run), clock_.now());
    if (!row.parent.empty()) {
        const auto parent = co_await runs_.find(row.parent);
        if (!parent) {
            co_return parent.error().within("parent run");
        }
        row.root = parent->root;
    }
    auto write = [row, status](store::Tables& tables) -> Result<store::RunRow> {
        if (auto inserted = tables.insert_run(row); !inserted) {
            return inserted.error();
        }
        if (auto moved = tables.move_interactive_run(row.id, status, row.created, row.reason); !moved) {
            return moved.error();
        }
        return tables.find_run(row.id);
    };
    co_return co_await store_.write(std::move(write));
}

asio::awaitable<Result<store::RunRow>> RunHistory::patch(store::RunPatch patch) {
    if (auto fits = check(patch.tags, patch.properties); !fits) {
        co_return fits.error();
    }
    const RunId run = patch.run;
    auto write = [patch = std::move(patch)](store::Tables& tables) -> Result<store::RunRow> {
        if (auto done = tables.patch_run(patch); !done) {
            return done.error();
        }
        auto row = tables.find_run(patch.run);
        if (row && row->tags.size() + row->properties.size() > 2 * most_labels) {
            return Error(Errc::invalid_argument, "run '" + patch.run.str() + "' has too many tags and properties");
        }
        return row;
    };
    auto row = co_await store_.write(std::move(write));
    if (row) {
        scheduler_.touch(run);
    }
    co_return row;
}

asio::awaitable<Result<void>> RunHistory::move(RunId run, core::RunStatus to, std::string reason) {
    auto write = [run, to, reason, now = clock_.now()](store::Tables& tables) {
        return tables.move_interactive_run(run, to, now, reason);
    };
    const auto done = co_await store_.write(std::move(write));
    if (done) {
        scheduler_.touch(run);
    }
    co_return done;
}

asio::awaitable<Result<std::vector<store::RunRow>>> RunHistory::query(store::RunQuery query) {
    auto read = [query = std::move(query)](store::Tables& tables) { return tables.query_runs(query); };
    co_return co_await store_.read(std::move(read));
}

} // namespace linarite::service
