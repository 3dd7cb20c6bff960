#include "server/core/run_state.hpp"

#include <cstddef>
#include <cstdint>

namespace linarite::core {

namespace {

constexpr std::size_t status_count = 12;

constexpr std::size_t index_of(RunStatus s) {
    return static_cast<std::size_t>(s);
}

template <class... Status>
constexpr std::uint16_t any_of(Status... to) {
    return static_cast<std::uint16_t>((0U | ... | (1U << index_of(to))));
}

using enum RunStatus;

/// Row: from, in the order of the enumerators; the set: where it may go.
constexpr std::array<std::uint16_t, status_count> moves = {
    any_of(queued, cancel_requested, failed),                               // not_started
    any_of(provisioning, cancel_requested, failed),                         // queued
    any_of(preparing, queued, cancel_requested, failed),                    // provisioning
    any_of(starting, finalizing, not_responding, cancel_requested),         // preparing
    any_of(running, finalizing, not_responding, cancel_requested),          // starting
    any_of(finalizing, not_responding, cancel_requested),                   // running
    any_of(preparing, starting, running, queued, failed, cancel_requested), // not_responding
    any_of(canceled),                                                       // cancel_requested
    any_of(completed, failed),                                              // finalizing
    any_of(),                                                               // completed
    any_of(),                                                               // failed
    any_of(),                                                               // canceled
};

/// Azure's words, in the order of the enumerators.
constexpr std::array<std::string_view, status_count> words = {
    "NotStarted",    "Queued",          "Provisioning", "Preparing", "Starting", "Running",
    "NotResponding", "CancelRequested", "Finalizing",   "Completed", "Failed",   "Canceled",
};

} // namespace

std::string_view to_wire(RunStatus s) {
    return words.at(index_of(s));
}

std::optional<RunStatus> status_from_wire(std::string_view text) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words.at(i) == text) {
            return static_cast<RunStatus>(i);
        }
    }
    return std::nullopt;
}

bool may_move(RunStatus from, RunStatus to) {
    return index_of(from) < status_count && index_of(to) < status_count &&
           (moves.at(index_of(from)) & (1U << index_of(to))) != 0;
}

} // namespace linarite::core
