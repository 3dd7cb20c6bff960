// tests/unit/server_store/rows.hpp: rows to play with.
#pragma once

#include "server/store/tables.hpp"

#include <string>

namespace linarite::store {

inline constexpr Time t0{Millis(1'790'000'000'000)};

inline RunRow run_row(const std::string& id, Millis after = Millis(0)) {
    RunRow row;
    row.id = RunId(id);
    row.experiment = "digits";
    row.target = "cpu-cluster";
    row.sequence = 1;
    row.node_count = 2;
    row.processes_per_node = 4;
    row.priority = 3;
    row.max_attempts = 2;
    row.max_duration = Millis(60'000);
    row.snapshot = SnapshotId(std::string(64, 'a'));
    row.definition = R"({"script":"train.py"})";
    row.body_hash = std::string(64, 'b');
    row.submitted_by = "ada";
    row.created = t0 + after;
    row.changed = row.created;
    row.reason = "submitted";
    return row;
}

inline core::MoveRun move(const std::string& id, core::RunStatus from, core::RunStatus to, std::int64_t sequence) {
    core::MoveRun m;
    m.run = RunId(id);
    m.from = from;
    m.to = to;
    m.sequence = sequence;
    m.attempt = 1;
    m.fence = 7;
    m.at = t0 + Millis(1000 * sequence);
    m.reason = "because " + std::to_string(sequence);
    return m;
}

} // namespace linarite::store
