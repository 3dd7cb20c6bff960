// Why a run is where it is, in words for people.
#include "server/core/board.hpp"

#include <algorithm>
#include <map>

namespace linarite::core {

namespace {

constexpr std::size_t named = 3; // so many are named, the rest is counted

std::string quoted(const std::string& text) {
    return "'" + text + "'";
}

/// "a", "a and b", "a, b and 4 more".
std::string join(const std::vector<std::string>& items) {
    std::string text;
    const std::size_t shown = items.size() <= named + 1 ? items.size() : named;
    for (std::size_t i = 0; i < shown; ++i) {
        const bool last = i + 1 == items.size();
        text += (i == 0 ? "" : last ? " and " : ", ") + items[i];
    }
    return shown < items.size() ? text + " and " + std::to_string(items.size() - shown) + " more" : text;
}

/// "12:03 UTC", with the date if it was another day.
std::string clock_time(Time at, Time now) {
    const std::string text = format_time(at);
    const bool today = format_time(now).substr(0, 10) == text.substr(0, 10);
    return (today ? "" : text.substr(0, 10) + " ") + text.substr(11, 5) + " UTC";
}

std::string is_or_are(int n) {
    return std::to_string(n) + (n == 1 ? " is " : " are ");
}

/// The nodes of a pool by what keeps them from taking a run.
struct PoolCensus {
    std::map<std::pair<Time, RunId>, bool> busy_runs; // by since when; true: a leftover that is being stopped
    std::map<RunId, int> kept;                        // by the run they are kept for
    std::vector<std::pair<Time, NodeName>> down;
    int busy = 0;
    int drained = 0;
    int unheard = 0;
    int free = 0;
};

void count_busy(PoolCensus& census, const Node& node) {
    ++census.busy;
    for (const auto& part : node.parts) {
        if (part->phase != NodePhase::done) {
            const bool running = part->owner != nullptr && part->owner->running_since;
            census.busy_runs.try_emplace({running ? *part->owner->running_since : part->since, part->run},
                                         part->owner == nullptr);
        }
    }
}

PoolCensus take_census(const Board& board, const Pool& pool) {
    PoolCensus census;
    for (const auto& [name, node] : pool.members) {
        if (node->down_since) {
            census.down.emplace_back(*node->down_since, name);
        } else if (!node->up || node->awaiting_report) {
            ++census.unheard;
        } else if (node->drained) {
            ++census.drained;
        } else if (node->free_slots() <= 0) {
            count_busy(census, *node);
        } else if (const auto kept = board.kept_free.find(node); kept != board.kept_free.end()) {
            ++census.kept[kept->second];
        } else {
            ++census.free;
        }
    }
    return census;
}

std::string describe_busy(const PoolCensus& census, Time now) {
    std::vector<std::string> runs;
    runs.reserve(census.busy_runs.size());
    for (const auto& [key, leftover] : census.busy_runs) {
        runs.push_back(quoted(key.second.str()) + " (" + (leftover ? "being stopped, " : "") +
                       format_duration(now - key.first) + ")");
    }
    const std::string with = runs.empty() ? "busy" : "busy with " + std::string(runs.size() == 1 ? "run " : "runs ");
    return is_or_are(census.busy) + with + join(runs);
}

std::string describe_down(const PoolCensus& census, Time now) {
    const auto n = static_cast<int>(census.down.size());
    if (n == 1) {
        return "1 is down since " + clock_time(census.down.front().first, now);
    }
    std::vector<std::string> items;
    items.reserve(census.down.size());
    for (const auto& [since, name] : census.down) {
        items.push_back(quoted(name.str()) + " since " + clock_time(since, now));
    }
    return is_or_are(n) + "down (" + join(items) + ")";
}

std::string describe_pool(const Board& board, const Pool& pool, Time now) {
    const PoolCensus census = take_census(board, pool);
    std::vector<std::string> facts;
    if (census.busy > 0) {
        facts.push_back(describe_busy(census, now));
    }
    for (const auto& [id, n] : census.kept) {
        const Run* run = board.find_run(id);
        facts.push_back(is_or_are(n) + "kept free for run " + quoted(id.str()) +
                        (run == nullptr
                             ? ""
                             : ", which needs " + count_of(static_cast<std::size_t>(run->spec.node_count), "node")));
    }
    if (census.free > 0) {
        facts.push_back(is_or_are(census.free) + "free");
    }
    if (!census.down.empty()) {
        facts.push_back(describe_down(census, now));
    }
    if (census.drained > 0) {
        facts.push_back(is_or_are(census.drained) + "drained");
    }
    if (census.unheard > 0) {
        facts.push_back(std::to_string(census.unheard) + (census.unheard == 1 ? " has" : " have") +
                        " not reported since the coordinator started");
    }
    std::string text;
    for (const std::string& fact : facts) {
        text += (text.empty() ? "" : ", ") + fact;
    }
    return text.empty() ? "it has none" : text;
}

std::string describe_position(std::size_t ahead, const Run* first) {
    if (ahead == 0 || first == nullptr) {
        return "";
    }
    if (ahead == 1) {
        return "; behind 1 run with higher priority or age: " + quoted(first->spec.id.str());
    }
    const bool more = ahead >= QueueExplainer::count_limit;
    return "; behind " + std::string(more ? "at least " : "") + std::to_string(ahead) +
           " runs with higher priority or age; first of them is " + quoted(first->spec.id.str());
}

std::vector<const Part*> parts_below(const Run& run, NodePhase phase) {
    std::vector<const Part*> parts;
    for (const auto& part : run.parts) {
        if (part->phase < phase) {
            parts.push_back(part.get());
        }
    }
    return parts;
}

std::string names_below(const Run& run, NodePhase phase) {
    std::vector<NodeName> names;
    for (const Part* part : parts_below(run, phase)) {
        names.push_back(part->node->spec.name);
    }
    return name_nodes(names);
}

std::string explain_preparing(const Run& run) {
    const std::vector<const Part*> late = parts_below(run, NodePhase::ready);
    if (late.empty()) {
        return run.reason;
    }
    const Part& first = *late.front();
    std::string text = "node " + quoted(first.node->spec.name.str()) + " is not ready yet" +
                       (first.detail.empty() ? "" : ": " + first.detail);
    if (run.parts.size() > 1) {
        text += " (" + std::to_string(run.parts.size() - late.size()) + " of " + count_of(run.parts.size(), "node") +
                " ready)";
    }
    return text;
}

std::string explain_not_responding(const Board& board, const Run& run, Time now) {
    for (const auto& part : run.parts) {
        const Node& node = *part->node;
        if (part->phase < NodePhase::done && !node.up) {
            return "no word from node " + quoted(node.spec.name.str()) + " for " +
                   format_duration(now - node.last_seen) + "; given up after " +
                   format_duration(board.limits.lost_after);
        }
    }
    return run.reason;
}

std::string explain_finalizing(const Run& run) {
    const std::size_t n = parts_below(run, NodePhase::done).size();
    if (n == 0) {
        return run.reason;
    }
    const std::string running = names_below(run, NodePhase::exited);
    return running.empty()
               ? names_below(run, NodePhase::done) + (n == 1 ? " still sends" : " still send") + " the last files"
               : "waiting for " + running + " to stop and to send the last files";
}

std::string explain_stopping(const Run& run) {
    const std::string running = names_below(run, NodePhase::exited);
    if (!running.empty()) {
        return run.stop_reason + "; waiting for " + running + " to stop";
    }
    const std::string sending = names_below(run, NodePhase::done);
    return sending.empty() ? run.stop_reason : run.stop_reason + "; waiting for the last files from " + sending;
}

} // namespace

std::string count_of(std::size_t n, const std::string& noun) {
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string name_nodes(const std::vector<NodeName>& names) {
    if (names.empty()) {
        return "";
    }
    std::vector<std::string> items;
    items.reserve(names.size());
    for (const NodeName& name : names) {
        items.push_back(quoted(name.str()));
    }
    return (names.size() == 1 ? "node " : "nodes ") + join(items);
}

std::string over_time_limit(const RunSpec& spec) {
    if (!spec.max_duration) {
        return "over its time limit";
    }
    // in the unit in which it was given
    const auto ms = spec.max_duration->count();
    return "over its time limit of " + (ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms");
}

std::string QueueExplainer::text(const Run& run, std::size_t ahead, const Run* first) {
    const auto [at, is_new] = pools_.try_emplace(run.spec.target);
    if (is_new) {
        const Pool* pool = board_.find_pool(run.spec.target);
        at->second = pool == nullptr ? "it has none" : describe_pool(board_, *pool, now_);
    }
    return "waiting for " + count_of(static_cast<std::size_t>(run.spec.node_count), "node") + " of compute target " +
           quoted(run.spec.target) + ": " + at->second + describe_position(ahead, first);
}

std::string explain(const Board& board, const Run& run, Time now) {
    switch (run.status) {
    case RunStatus::queued: {
        const Pool* pool = board.find_pool(run.spec.target);
        std::size_t ahead = 0;
        const Run* first = nullptr;
        if (pool != nullptr && !pool->queue.empty()) {
            first = *pool->queue.begin();
            for (const Run* each : pool->queue) {
                if (each == &run || ahead == QueueExplainer::count_limit) {
                    break;
                }
                ++ahead;
            }
        }
        return QueueExplainer(board, now).text(run, ahead, first);
    }
    case RunStatus::provisioning: return "waiting for " + names_below(run, NodePhase::preparing) + " to take the run";
    case RunStatus::preparing: return explain_preparing(run);
    case RunStatus::starting:
        return run.parts.empty()
                   ? run.reason
                   : run.reason + "; node " + quoted(run.parts.front()->node->spec.name.str()) + " starts it";
    case RunStatus::not_responding: return explain_not_responding(board, run, now);
    case RunStatus::cancel_requested: return explain_stopping(run);
    case RunStatus::finalizing: return explain_finalizing(run);
    case RunStatus::not_started:
    case RunStatus::running:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: break;
    }
    return run.reason;
}

} // namespace linarite::core
