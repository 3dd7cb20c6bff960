// How the endings of the parts of a gang make the outcome of the run.
#include "server/core/turn.hpp"

#include <algorithm>

namespace linarite::core {

namespace {

/// One launcher, on the lead node, starts all processes.
bool has_launcher(const Run& run) {
    return run.spec.deciders == std::set<int>{0};
}

/// Without a launcher for all, each node knows its own ranks alone: which of them failed first, their clocks say. Those
/// of one run are near enough to each other, since what fails because of another does so a round trip later.
const Part* first_to_fail(const Run& run) {
    const auto known = [](const Part& part) { return part.outcome->rank_ended_us > 0; };
    const Part* first = nullptr;
    for (const auto& part : run.parts) {
        if (part->failed_at == 0) {
            continue;
        }
        const bool clocks = first != nullptr && !has_launcher(run) && known(*first) && known(*part);
        if (first == nullptr || (clocks ? part->outcome->rank_ended_us < first->outcome->rank_ended_us
                                        : part->failed_at < first->failed_at)) {
            first = part.get();
        }
    }
    return first;
}

/// The end of the work, if nothing failed: nothing while some of it goes on.
std::optional<Outcome> end_of_work(const Run& run) {
    std::optional<Outcome> end;
    for (const int index : run.spec.deciders) {
        const Part& part = *run.parts.at(static_cast<std::size_t>(index));
        const bool ended = part.phase >= NodePhase::exited && part.outcome;
        if (!ended && !part.work_done) {
            return std::nullopt;
        }
        if (!ended && !end) {
            end = Outcome{};
            end->started = true;
            end->node = part.node->spec.name;
        } else if (ended && (!end || (succeeded(*end) && !succeeded(*part.outcome) && !part.work_done))) {
            end = part.outcome;
        }
    }
    return end;
}

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
    const Part* first = first_to_fail(run);
    if (first == nullptr) {
        return end_of_work(run);
    }
    Outcome outcome = *first->outcome;
    refine(outcome, run);
    return outcome;
}

void refine(Outcome& outcome, const Run& run) {
    if (run.parts.empty() || succeeded(outcome)) {
        return;
    }
    if (!has_launcher(run)) {
        const Part* first = first_to_fail(run);
        outcome = first == nullptr ? outcome : *first->outcome;
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
