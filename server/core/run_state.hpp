// server/core/run_state.hpp: the status of a run, and the one table of moves that are allowed.
#pragma once

#include "common/error.hpp"

#include <array>
#include <optional>
#include <string_view>

namespace linarite::core {

/// In the order in which a run usually passes them. The numbers are stored: append only.
enum class RunStatus {
    not_started = 0,
    queued = 1,
    provisioning = 2, // nodes are picked, the fence is issued
    preparing = 3,    // snapshot, data and environment on every node
    starting = 4,     // all nodes ready, the launch is ordered
    running = 5,
    not_responding = 6,
    cancel_requested = 7,
    finalizing = 8, // outcome latched; last bytes on their way
    completed = 9,
    failed = 10,
    canceled = 11,
};

constexpr bool is_terminal(RunStatus s) {
    return s == RunStatus::completed || s == RunStatus::failed || s == RunStatus::canceled;
}

/// Azure's words, which clients compare to the letter ("CancelRequested").
std::string_view to_wire(RunStatus s);
std::optional<RunStatus> status_from_wire(std::string_view text);

/// Whether a run may go from one status to another. The table is reliability-critical: whatever is not listed is a
/// conflict, and nothing leaves a terminal status.
bool may_move(RunStatus from, RunStatus to);

} // namespace linarite::core
