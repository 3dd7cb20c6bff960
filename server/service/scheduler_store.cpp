// The scheduler's order: decisions are stored first, and seen by others then.
#include "server/service/scheduler_parts.hpp"

#include <spdlog/spdlog.h>

#include <cstdlib>

namespace linarite::service {

using namespace std::chrono_literals;

std::uint64_t Scheduler::enqueue(std::optional<store::RunRow> insert, core::Actions actions,
                                 Environments environments) {
    for (const core::Action& action : actions) {
        if (const auto* assign = std::get_if<core::AssignRun>(&action)) {
            ActiveRun& run = active_[assign->run];
            run.fence = assign->fence;
            run.reports.clear();
            latch_gang(run, assign->nodes);
            run.attempt = assign->attempt;
            give_token(assign->run, run, assign->attempt);
        }
        if (const auto* move = std::get_if<core::MoveRun>(&action);
            move != nullptr && move->to == core::RunStatus::queued) {
            active_[move->run].fence = 0; // a lost attempt may not write any more
        }
    }
    if (insert || !actions.empty() || !environments.empty()) {
        pending_.push_back(Batch{std::move(insert), std::move(actions), std::move(environments)});
        ++next_ticket_;
        if (!writing_) {
            writing_ = true;
            asio::co_spawn(io_, write_batches(), [](const std::exception_ptr& failure) {
                if (failure) {
                    spdlog::critical("the writer of run states ended by an exception");
                    std::abort();
                }
            });
        }
    }
    arm_timer();
    return next_ticket_;
}

asio::awaitable<void> Scheduler::committed(std::uint64_t ticket) {
    while (committed_ticket_ < ticket) {
        co_await committed_signal_.wait(1h);
    }
}

asio::awaitable<void> Scheduler::write_batches() {
    while (!pending_.empty()) {
        auto batches = std::make_shared<std::vector<Batch>>(std::move(pending_));
        pending_.clear();
        co_await write_batch(batches);
        for (const Batch& batch : *batches) {
            for (const core::Action& action : batch.actions) {
                publish(action);
            }
        }
        committed_ticket_ += batches->size();
        committed_signal_.notify();
    }
    writing_ = false;
}

namespace {

Result<void> store_action(store::Tables& tables, const core::Action& action) {
    if (const auto* move = std::get_if<core::MoveRun>(&action)) {
        return tables.move_run(*move);
    }
    if (const auto* assign = std::get_if<core::AssignRun>(&action)) {
        return tables.assign_run(*assign);
    }
    return {};
}

Result<void> store_all(store::Tables& tables, const std::optional<store::RunRow>& insert,
                       const core::Actions& actions) {
    if (insert) {
        if (auto inserted = tables.insert_run(*insert); !inserted) {
            return inserted;
        }
    }
    for (const core::Action& action : actions) {
        if (auto stored = store_action(tables, action); !stored) {
            return stored;
        }
    }
    return {};
}

} // namespace

asio::awaitable<void> Scheduler::write_batch(std::shared_ptr<std::vector<Batch>> batches) {
    auto work = [batches](store::Tables& tables) -> Result<void> {
        for (const Batch& batch : *batches) {
            if (auto stored = store_all(tables, batch.insert, batch.actions); !stored) {
                return stored;
            }
            for (const auto& [run, environment] : batch.environments) {
                if (auto stored = tables.put_run_environment(run, environment);
                    !stored && stored.error().code() != Errc::not_found) {
                    return stored;
                }
            }
        }
        return {};
    };
    for (;;) {
        const Result<void> stored = co_await store_.write(work);
        if (stored) {
            co_return;
        }
        if (stored.error().code() != Errc::no_space) {
            // memory and disk disagree: going on would make it worse, a restart reads the truth
            spdlog::critical("run states cannot be stored: {}", stored.error().detail());
            std::abort();
        }
        spdlog::error("the disk of the run history is full; trying again every second");
        asio::steady_timer pause(io_, 1s);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

void Scheduler::publish(const core::Action& action) {
    if (const auto* changed = std::get_if<core::NodeChanged>(&action)) {
        wake(node(changed->node));
    } else if (const auto* waits = std::get_if<core::WaitChanged>(&action)) {
        touch(waits->run);
    } else if (const auto* move = std::get_if<core::MoveRun>(&action)) {
        spdlog::info("run moved: run={} status={} attempt={} reason=\"{}\"", move->run.str(), core::to_wire(move->to),
                     move->attempt, move->reason);
        touch(move->run);
        if (core::is_terminal(move->to)) {
            tell_processes(move->run, true);
            active_.erase(move->run);
        }
    }
}

void Scheduler::arm_timer() {
    const std::optional<Time> next = reactor_->next_deadline();
    if (!next || stopping_ || (timer_at_ && *timer_at_ <= *next)) {
        return;
    }
    timer_at_ = next;
    timer_.expires_after(std::max(*next - clock_.now(), Millis(1)));
    timer_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) {
            timer_at_.reset();
            enqueue(std::nullopt, reactor_->tick(clock_.now()));
        }
    });
}
} // namespace linarite::service
