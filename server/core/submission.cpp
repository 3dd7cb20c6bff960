// What clients may do to a run: bring it and cancel it.
#include "server/core/turn.hpp"

namespace linarite::core {

namespace {

std::string known_targets(const Board& board) {
    std::string list;
    for (const auto& [name, pool] : board.pools) {
        if (!pool.members.empty()) {
            list += (list.empty() ? "" : ", ") + name;
        }
    }
    return list.empty() ? "there are none yet" : "there are: " + list;
}

} // namespace

Result<void> check_submit(const Board& board, const RunSpec& spec) {
    std::vector<Fault> faults;
    if (spec.node_count < 1) {
        faults.push_back({"/nodeCount", "nodeCount " + std::to_string(spec.node_count) + " is less than 1"});
    }
    const Pool* pool = board.find_pool(spec.target);
    if (pool == nullptr || pool->members.empty()) {
        faults.push_back({"/target", "compute target '" + spec.target + "' does not exist; " + known_targets(board)});
    } else if (spec.node_count > static_cast<int>(pool->members.size())) {
        faults.push_back({"/nodeCount", "nodeCount " + std::to_string(spec.node_count) + " is more than the " +
                                            count_of(pool->members.size(), "node") + " of compute target '" +
                                            spec.target + "'"});
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    if (board.queued >= board.limits.queue_length) {
        return Error(Errc::resource_exhausted, "the queue is full: " + count_of(board.queued, "run") + " wait in it");
    }
    return {};
}

void Turn::submit(RunSpec spec) {
    const auto [at, is_new] = board_.runs.try_emplace(spec.id);
    if (!is_new) {
        return;
    }
    Run& run = at->second;
    run.spec = std::move(spec);
    if (const auto fits = check_submit(board_, run.spec); !fits) {
        // it changed since the caller asked
        run.outcome = Outcome{};
        run.outcome->code = fits.error().code() == Errc::invalid_argument ? "UserError" : "ServiceError";
        const Error error = fits.error();
        run.outcome->message = error.faults().empty() ? error.detail() : error.faults().front().message;
        end(run, RunStatus::failed, run.outcome->message);
        return;
    }
    move(run, RunStatus::queued, "submitted");
    board_.enqueue(run);
    pass_ = true;
}

void Turn::cancel(const RunId& id, const std::string& who) {
    Run* run = board_.find_run(id);
    if (run == nullptr) {
        return;
    }
    switch (run->status) {
    case RunStatus::not_started:
    case RunStatus::queued:
        run->stop_reason = "canceled by '" + who + "'";
        dirty_pools_.insert(run->spec.target);
        pass_ = true;
        move(*run, RunStatus::cancel_requested, run->stop_reason);
        end(*run, RunStatus::canceled, run->stop_reason);
        return;
    case RunStatus::provisioning:
    case RunStatus::preparing:
    case RunStatus::starting:
    case RunStatus::running:
    case RunStatus::not_responding:
        run->stop_reason = "canceled by '" + who + "'";
        move(*run, RunStatus::cancel_requested, run->stop_reason);
        touch_gang(*run);
        advance(*run);
        return;
    case RunStatus::cancel_requested:
    case RunStatus::finalizing:
    case RunStatus::completed:
    case RunStatus::failed:
    case RunStatus::canceled: return;
    }
}

} // namespace linarite::core
