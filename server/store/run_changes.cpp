// What clients change of runs that are there.
#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

namespace linarite::store {
namespace {

constexpr int most_warnings = 200; // of one run: whoever reads the run gets them all

struct Known {
    Labels tags;
    Labels properties;
};

Result<Known> find_labels(StatementCache& cache, const RunId& run) {
    Use query(cache, "SELECT tags, properties FROM runs WHERE id = ?");
    if (!query.bind(run).next()) {
        return Error(Errc::not_found, "run '" + run.str() + "' not found");
    }
    Known known;
    known.tags = from_json_object(query.text());
    known.properties = from_json_object(query.text());
    return known;
}

// A property is a fact: once there, it stays as it is.
Result<void> add_properties(Labels& known, const Labels& added) {
    for (const auto& [name, value] : added) {
        const auto [at, is_new] = known.emplace(name, value);
        if (!is_new && at->second != value) {
            return Error(Errc::conflict,
                         "property '" + name + "' is '" + at->second.value_or("") + "'; properties cannot be changed");
        }
    }
    return {};
}

} // namespace

Result<void> Tables::patch_run(const RunPatch& patch) {
    return guarded("change the run", [&]() -> Result<void> {
        auto known = find_labels(*statements_, patch.run);
        if (!known) {
            return known.error();
        }
        for (const std::string& name : patch.removed_tags) {
            known->tags.erase(name);
        }
        for (const auto& [name, value] : patch.tags) {
            known->tags[name] = value;
        }
        if (auto added = add_properties(known->properties, patch.properties); !added) {
            return added;
        }
        Use update(
            *statements_,
            "UPDATE runs SET tags = ?, properties = ?, display_name = coalesce(?, display_name), description = "
            "coalesce(?, description), kind = coalesce(?, kind), target = coalesce(?, target), error = "
            "coalesce(?, error), warnings = CASE WHEN ? IS NULL OR json_array_length(warnings) >= ? THEN warnings "
            "ELSE json_insert(warnings, '$[#]', json(?)) END WHERE id = ?");
        update.bind(to_json_object(known->tags), to_json_object(known->properties), patch.display_name);
        update.bind(patch.description, patch.kind, patch.target, patch.error, patch.warning);
        update.bind(most_warnings, patch.warning, patch.run).run();
        return {};
    });
}

Result<void> Tables::move_interactive_run(const RunId& run, core::RunStatus to, Time at, const std::string& reason) {
    return guarded("move the run", [&]() -> Result<void> {
        core::RunStatus status{};
        std::int64_t sequence = 0;
        {
            Use query(*statements_, "SELECT status, sequence, interactive FROM runs WHERE id = ?");
            if (!query.bind(run).next()) {
                return Error(Errc::not_found, "run '" + run.str() + "' not found");
            }
            status = query.status();
            sequence = query.number() + 1;
            if (!query.flag()) {
                return Error(Errc::conflict, "the status of run '" + run.str() + "' is system managed");
            }
        }
        if (core::is_terminal(status) || status == to) {
            return {}; // a repeated word, or one that comes too late
        }
        const std::optional<Time> started = to == core::RunStatus::running ? std::optional(at) : std::nullopt;
        const std::optional<Time> ended = core::is_terminal(to) ? std::optional(at) : std::nullopt;
        {
            Use update(*statements_, "UPDATE runs SET status = ?, sequence = ?, changed = ?, reason = ?, "
                                     "started = coalesce(started, ?), ended = ? WHERE id = ?");
            update.bind(to, sequence, at, reason, started, ended, run).run();
        }
        Use insert(*statements_, "INSERT INTO run_events (run, sequence, status, attempt, fence, at, reason) "
                                 "VALUES (?, ?, ?, 0, 0, ?, ?)");
        insert.bind(run, sequence, to, at, reason).run();
        return {};
    });
}

} // namespace linarite::store
