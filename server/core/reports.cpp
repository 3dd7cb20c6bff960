// What a node says about its parts of runs.
#include "server/core/turn.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace linarite::core {

namespace {

/// An agent that does not mention a part twice in a row does not have it: of two reports at most the first can have
/// been under way when the answer with the order reached the agent.
constexpr int absences_that_prove_it = 2;

Outcome without_ending(const Part& part) {
    Outcome outcome;
    outcome.started = true;
    if (part.owner->spec.deciders.contains(part.index)) {
        outcome.code = "ServiceError";
        outcome.message = "node '" + part.node->spec.name.str() + "' did not say how the run ended";
    }
    return outcome;
}

/// Ordered to stop before the node had said anything about it.
bool stopped_unheard(const Part& part) {
    return part.phase == NodePhase::assigned && !part.acted && wanted(part) == Want::stop;
}

} // namespace

void Turn::report(Node& node, const std::vector<NodeReport>& reports) {
    word(node);
    for (const NodeReport& each : reports) {
        take(node, each);
    }
    notice_absences(node, reports);
    if (node.awaiting_report) {
        node.awaiting_report = false;
        refresh(node);
    }
}

void Turn::take(Node& node, const NodeReport& report) {
    const std::shared_ptr<Part> part = node.find_part(report.run, report.fence);
    if (part == nullptr) {
        if (report.phase < NodePhase::exited) {
            auto leftover = std::make_shared<Part>();
            leftover->run = report.run;
            leftover->fence = report.fence;
            leftover->node = &node;
            leftover->foreign = true;
            leftover->phase = report.phase;
            leftover->since = now_;
            node.parts.push_back(std::move(leftover));
            refresh(node);
        }
        return;
    }
    part->absences = 0;
    if (part->owner == nullptr) {
        take_leftover(part, report.phase);
    } else {
        take_active(*part, report);
    }
}

void Turn::take_leftover(const std::shared_ptr<Part>& part, NodePhase phase) {
    part->phase = std::max(part->phase, phase);
    if (part->phase == NodePhase::done || (part->foreign && part->phase == NodePhase::exited)) {
        touch(*part->node);
        drop_part(part);
    }
}

void Turn::take_active(Part& part, const NodeReport& report) {
    if (report.phase < part.phase) {
        return; // an older picture that came late
    }
    Run& run = *part.owner;
    const bool further = report.phase > part.phase;
    if (part.detail != report.detail) {
        part.detail = report.detail;
        changed_waits_.insert(run.spec.id);
    }
    const bool did_its_share = report.work_done && !part.work_done;
    part.work_done = part.work_done || report.work_done;
    part.phase = report.phase;
    part.lost = false; // it is back
    part.acted = part.acted || report.phase > NodePhase::assigned;
    if (part.phase >= NodePhase::exited && !part.outcome) {
        part.outcome = report.outcome ? *report.outcome : without_ending(part);
        if (part.outcome->node.empty()) {
            part.outcome->node = part.node->spec.name;
        }
        if (has_failed(part)) {
            part.failed_at = board_.next_failure++;
        }
    }
    if (!further && !did_its_share) {
        return;
    }
    changed_waits_.insert(run.spec.id);
    if (part.phase == NodePhase::done) {
        refresh(*part.node);
    }
    advance(run);
}

void Turn::notice_absences(Node& node, const std::vector<NodeReport>& reports) {
    std::set<std::pair<RunId, Fence>> mentioned;
    for (const NodeReport& each : reports) {
        mentioned.emplace(each.run, each.fence);
    }
    std::vector<std::shared_ptr<Part>> gone;
    for (const auto& part : node.parts) {
        const bool expected_to_go = part->owner == nullptr || stopped_unheard(*part);
        if (expected_to_go && !mentioned.contains({part->run, part->fence}) &&
            ++part->absences >= absences_that_prove_it) {
            gone.push_back(part);
        }
    }
    for (const auto& part : gone) {
        if (part->owner == nullptr) {
            touch(node);
            drop_part(part);
        } else {
            part->phase = NodePhase::done;
            refresh(node);
            advance(*part->owner);
        }
    }
}

} // namespace linarite::core
