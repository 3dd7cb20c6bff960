#include "agent/run_task.hpp"

#include "agent/task_record.hpp"
#include "common/clock.hpp"
#include "common/file_tree.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

namespace linarite::agent {

using proto::Phase;
using proto::Want;

RunTask::RunTask(TaskContext& context, proto::DesiredRun desired)
    : context_(context), desired_(std::move(desired)), folders_(context.folder, desired_.run) {}

void RunTask::start(std::function<void()> on_end) {
    asio::co_spawn(context_.executor, live(),
                   [self = shared_from_this(), on_end = std::move(on_end)](const std::exception_ptr& failure) {
                       if (failure) {
                           spdlog::critical("a run's task ended by an exception: run={}", self->run().str());
                           std::abort(); // its state is on disk; the next start goes on with it
                       }
                       on_end();
                   });
    if (desired_.give_up_after > Millis(0)) {
        asio::co_spawn(context_.executor, watch_contact(weak_from_this(), context_.executor), asio::detached);
    }
}

void RunTask::update(proto::DesiredRun desired) {
    if (desired.brief) { // what it leaves out stays as it is
        desired.brief = false;
        desired.experiment = std::move(desired_.experiment);
        desired.snapshot = std::move(desired_.snapshot);
        desired.definition = std::move(desired_.definition);
        desired.data = std::move(desired_.data);
        desired.host_id = std::move(desired_.host_id);
        desired.variables = std::move(desired_.variables);
    }
    desired_ = std::move(desired);
    if (mirror_) {
        mirror_->update(desired_.files_version);
    }
    if (barrier_) {
        barrier_->see(desired_.gang);
    }
    answer_daemons();
    if (stop_wanted()) {
        cancel_.cancel();
    }
    changed_.notify();
}

void RunTask::forget() {
    forgotten_ = true;
    cancel_.cancel();
    finish_cancel_.cancel();
    changed_.notify();
}

bool RunTask::stop_wanted() const {
    return forgotten_ || gave_up() || desired_.want == Want::stop;
}

const std::string& RunTask::stop_reason() const {
    return gave_up() ? gave_up_because_ : desired_.stop_reason;
}

// At most one attempt of a run lives at a time, also where the coordinator is out of reach: it begins another one only
// after this one has ended itself.
asio::awaitable<void> RunTask::watch_contact(std::weak_ptr<RunTask> watched, asio::any_io_executor executor) {
    asio::steady_timer timer(executor);
    constexpr Millis longest_wait{1'000}; // the timer does not count while the machine is suspended
    for (;;) {
        {
            const auto self = watched.lock();
            if (!self || self->phase_ >= Phase::exited) {
                co_return;
            }
            const Millis silence = self->context_.silence();
            if (silence >= self->desired_.give_up_after) {
                self->gave_up_because_ = "node '" + self->context_.node.str() + "' ended its part: the coordinator " +
                                         "was not reached for " + format_duration(silence) +
                                         ", and may begin another attempt";
                self->note(self->gave_up_because_);
                spdlog::warn("{}: run={}", self->gave_up_because_, self->run().str());
                self->cancel_.cancel();
                self->changed_.notify();
                co_return;
            }
            timer.expires_after(std::min(self->desired_.give_up_after - silence, longest_wait));
        }
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

proto::RunReport RunTask::report() const {
    proto::RunReport report;
    report.run = desired_.run;
    report.fence = desired_.fence;
    report.phase = phase_;
    report.detail = capture_ && phase_ == Phase::exited && !capture_->trouble().empty() ? capture_->trouble() : detail_;
    report.ending = ending_;
    report.daemons = daemons_;
    if (phase_ >= Phase::ready) {
        report.work_dir = own_dir().string();
        report.port = ports_ ? ports_->first() : 0;
    }
    for (const auto& [rank, fact] : ranks_) {
        report.ended.push_back({rank, fact.exit_code, fact.signal, fact.told});
    }
    report.work_done = work_is_done();
    if (barrier_) {
        report.network = barrier_->report();
    }
    report.environment = told_environment_;
    return report;
}

void RunTask::set_phase(Phase phase, std::string detail) {
    phase_ = phase;
    detail_ = std::move(detail);
    context_.report();
}

// ---- the whole life -------------------------------------------------------------------------------------------------

asio::awaitable<void> RunTask::live() {
    const auto self = shared_from_this();
    const auto record = read_record(folders_.record());
    if (record) {
        gpus_ = context_.gpus.take(record->gpu_slot); // what it had started may live
    }
    const bool ours = record && record->fence == desired_.fence;
    if (!ours) {
        co_await clear(); // another placement's folder, or a half-made one
        gpus_.reset();
    } else {
        record_ = *record;
    }
    if (!forgotten_) {
        co_await work(ours && record->launched);
    }
    while (!forgotten_) {
        co_await changed_.wait();
    }
    mirror_.reset();
    capture_.reset();
    co_await clear();
}

// Ends what still runs in the folder and removes it.
asio::awaitable<void> RunTask::clear() {
    std::error_code ec;
    if (!fs::exists(folders_.root, ec)) {
        co_return;
    }
    const bool contained = Containers::holds(folders_.state);
    auto attached = attach_supervisor();
    if (attached && (!(*attached)->lives() || (*attached)->stop(Millis(0)))) {
        const auto ended = co_await (*attached)->wait();
        if (!ended) {
            spdlog::warn("a run had lost its supervisor: run={} cause=\"{}\"", desired_.run.str(),
                         ended.error().detail());
        }
    }
    if (contained) {
        co_await context_.containers.discard(folders_.state);
    }
    if (const auto record = read_record(folders_.record()); record && !record->shared.empty()) {
        co_await remove_folder(record->shared);
    }
    if (!context_.trash.put(folders_.root)) {
        co_await remove_folder(folders_.root);
    }
}

asio::awaitable<void> RunTask::remove_folder(fs::path folder) {
    auto remove = [folder] {
        const std::atomic<bool> never{false};
        return delete_tree(folder, never);
    };
    if (auto removed = co_await on_pool(context_.pool, std::move(remove)); !removed) {
        spdlog::warn("a run's folder cannot be removed: cause=\"{}\"", removed.error().detail());
    }
}

asio::awaitable<void> RunTask::work(bool was_launched) {
    auto definition = proto::parse_run_definition(desired_.definition);
    if (definition) {
        definition_ = std::move(*definition);
        layout_ = proto::process_layout(definition_);
    }
    if (record_.port != 0) {
        ports_ = PortLease::take_again(record_.port, ports_of(definition_, desired_.node_index));
    }
    if (auto ending = read_ending(folders_.ending())) {
        ending_ = std::move(*ending); // it had ended before this agent was started
        start_capture();
        co_return co_await finish();
    }
    Result<bool> running = false;
    if (!definition) {
        running = definition.error().within("read the run definition");
    } else if (was_launched) {
        start_capture();
        running = take_up();
        if (!running && running.error().code() == Errc::not_found) {
            // killed between the record and the start: nothing was launched, and nothing will be
            mirror_.reset();
            capture_.reset();
            co_await clear();
            gpus_.reset();
            running = co_await prepare_and_launch();
        }
    } else {
        running = co_await prepare_and_launch();
    }
    if (!running) {
        end_with_error(running.error());
    } else if (!*running) {
        end_stopped();
    } else {
        set_phase(Phase::launched, "running");
        co_await await_exit();
    }
    co_await finish();
}

// False if it was stopped before the launch.
asio::awaitable<Result<bool>> RunTask::prepare_and_launch() {
    if (auto ready = co_await prepare(); !ready) {
        if (stop_wanted()) {
            co_return false;
        }
        co_return ready.error();
    }
    const auto wanted = co_await await_launch();
    if (!wanted) {
        co_return wanted.error();
    }
    if (!*wanted) {
        co_return false;
    }
    if (!co_await lease_gpus()) {
        co_return false;
    }
    if (auto launched = co_await launch(); !launched) {
        co_return launched.error().within("launch");
    }
    co_return true;
}

} // namespace linarite::agent
