// How the endings of the parts of a gang make the outcome of the run.
#include "server/core/turn.hpp"

#include <algorithm>

namespace linarite::core {

namespace {

/// Whether the lead's word on a failure says more than another node's: it knows the rank, or that the script is at
/// fault.
bool names_culprit_better(const Outcome& lead, const Outcome& other) {
    if (succeeded(lead) || other.timed_out) {
        return false;
    }
    const bool rank = lead.rank >= 0 && other.rank < 0;
    const bool user = lead.code == "UserError" && !lead.stopped && other.code != "UserError";
    return rank || user;
}

/// The launcher on the lead knows which rank failed first; the others ended because of it. That rank's own node tells
/// more than the lead does.
const Outcome* named_by_lead(const Run& run) {
    const Part& lead = *run.parts.front();
    if (lead.outcome->rank < 0 || lead.outcome->stopped || succeeded(*lead.outcome)) {
        return nullptr;
    }
    for (std::size_t i = 1; i < run.parts.size(); ++i) {
        const std::optional<Outcome>& other = run.parts[i]->outcome;
        if (run.parts[i]->phase >= NodePhase::exited && other && other->rank == lead.outcome->rank) {
            return &*other;
        }
    }
    return &*lead.outcome;
}

} // namespace

bool succeeded(const Outcome& outcome) {
    return outcome.ok() && !outcome.stopped && !outcome.timed_out;
}

bool has_failed(const Part& part) {
    if (part.phase < NodePhase::exited || !part.outcome) {
        return false;
    }
    const Outcome& outcome = *part.outcome;
    return outcome.timed_out || (!outcome.ok() && !outcome.stopped);
}

std::optional<Outcome> verdict(const Run& run) {
    if (run.parts.empty()) {
        return std::nullopt;
    }
    const Part* first = nullptr;
    for (const auto& part : run.parts) {
        if (part->failed_at != 0 && (first == nullptr || part->failed_at < first->failed_at)) {
            first = part.get();
        }
    }
    const Part& lead = *run.parts.front();
    const bool lead_ended = lead.phase >= NodePhase::exited && lead.outcome;
    if (first == nullptr) {
        return lead_ended ? lead.outcome : std::nullopt;
    }
    Outcome outcome = *first->outcome;
    refine(outcome, run);
    return outcome;
}

void refine(Outcome& outcome, const Run& run) {
    if (run.parts.empty() || succeeded(outcome)) {
        return;
    }
    const Part& lead = *run.parts.front();
    if (lead.phase < NodePhase::exited || !lead.outcome) {
        return;
    }
    if (const Outcome* named = named_by_lead(run)) {
        outcome = *named;
    } else if (lead.outcome->node != outcome.node && names_culprit_better(*lead.outcome, outcome)) {
        outcome = *lead.outcome;
        outcome.stopped = false;
    }
}

std::string describe(const Outcome& outcome) {
    if (succeeded(outcome)) {
        return "exit code 0";
    }
    if (!outcome.message.empty()) {
        constexpr std::size_t longest = 300;
        return outcome.message.substr(0, std::min(outcome.message.find('\n'), longest));
    }
    if (outcome.out_of_memory) {
        return "out of memory";
    }
    if (!outcome.started) {
        return "it never started";
    }
    return outcome.signal != 0 ? "signal " + std::to_string(outcome.signal)
                               : "exit code " + std::to_string(outcome.exit_code);
}

} // namespace linarite::core
