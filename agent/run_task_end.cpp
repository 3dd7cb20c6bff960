// How one node's part of a run ends: what its processes left behind, what is told of it, and the last files.
#include "agent/run_task.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

namespace linarite::agent {

using proto::Phase;

namespace {

/// mpirun ends within 4 s after one of its ranks or daemons did.
constexpr Millis mpirun_patience{10'000};

} // namespace

// Which ranks have ended, as they do: the coordinator is told at once.
void RunTask::watch_ranks() {
    if (definition_.launch == proto::LaunchKind::single) {
        return;
    }
    auto watch = context_.watcher.watch(folders_.state, [this](const std::string& name, FileEvent event) {
        if (event == FileEvent::lost) {
            take_rank_facts();
        } else if (event == FileEvent::closed && name.starts_with("rank-")) {
            take_rank_fact(name);
        }
    });
    if (watch) {
        rank_watch_.emplace(std::move(*watch));
    } else {
        note("which ranks have ended is seen late: " + watch.error().detail());
    }
    take_rank_facts();
}

void RunTask::take_rank_fact(const std::string& name) {
    if (const auto fact = read_rank_fact(folders_.state / name)) {
        ranks_[fact->rank] = *fact;
        context_.report();
    }
}

void RunTask::take_rank_facts() {
    for (const RankFact& fact : read_rank_facts(folders_.state)) {
        ranks_[fact.rank] = fact;
    }
}

// The workers of this node have ended well, while its parameter servers go on.
bool RunTask::work_is_done() const {
    if (definition_.launch != proto::LaunchKind::parameter_server) {
        return false;
    }
    bool any = false;
    for (const auto& place : layout_) {
        if (place.node != desired_.node_index || place.role != proto::ProcessRole::worker) {
            continue;
        }
        const auto fact = ranks_.find(place.rank);
        if (fact == ranks_.end() || !fact->second.ok() || fact->second.told) {
            return false;
        }
        any = true;
    }
    return any;
}

asio::awaitable<void> RunTask::await_exit() {
    auto outcome = std::make_shared<std::optional<Result<ExitFact>>>();
    asio::co_spawn(context_.executor, supervisor_->wait(),
                   [outcome, self = shared_from_this()](const std::exception_ptr& failure, Result<ExitFact> fact) {
                       outcome->emplace(failure ? Result<ExitFact>(Error(Errc::internal, "the wait for it broke"))
                                                : std::move(fact));
                       self->changed_.notify();
                   });
    bool stopping = false;
    while (!*outcome) {
        if (stop_wanted() && !stopping) {
            stopping = true;
            stop_supervisor();
        }
        co_await changed_.wait();
    }
    co_await take_exit(std::move(**outcome));
}

void RunTask::stop_supervisor() {
    // whoever gave up has to be through before another attempt begins
    const Millis most = gave_up() ? desired_.give_up_after / 8 : desired_.grace;
    const Millis grace = forgotten_ ? Millis(0) : std::min(desired_.grace, most);
    set_phase(Phase::launched, "stopping");
    if (auto asked = supervisor_->stop(grace); !asked) {
        spdlog::warn("a run cannot be asked to stop: run={} cause=\"{}\"", desired_.run.str(), asked.error().detail());
    }
}

asio::awaitable<void> RunTask::take_exit(Result<ExitFact> fact) {
    if (fact || fact.error().code() != Errc::unavailable) {
        gpus_.reset(); // nothing lives of it
    }
    rank_watch_.reset();
    take_rank_facts();
    if (!fact) {
        end_with(lost_ending(context_.node.str(), fact.error()), EndingSource::agent);
        co_return;
    }
    std::vector<RankFact> ranks;
    ranks.reserve(ranks_.size());
    for (const auto& [rank, each] : ranks_) {
        ranks.push_back(each);
    }
    proto::Ending ending = make_ending(ending_context(), *fact, ranks);
    if (is_lead() && !ending.ok() && desired_.gang.size() > 1 && definition_.launch == proto::LaunchKind::mpi) {
        co_await await_daemon_ends();
        ending = merge_endings(ending, desired_.daemon_ends, unnamed_signal(ending_context(), *fact));
    }
    end_with(std::move(ending), EndingSource::exit_fact);
    if (!is_lead() && definition_.launch == proto::LaunchKind::mpi && !ending_->ok()) {
        co_await await_verdict();
    }
}

// What failed here may be the consequence of what failed elsewhere. mpirun knows, and is about to end; it gets this
// node's word at once, and the run goes on until it has spoken.
asio::awaitable<void> RunTask::await_verdict() {
    set_phase(Phase::launched, "waiting for mpirun to end");
    const auto deadline = std::chrono::steady_clock::now() + mpirun_patience;
    while (!stop_wanted() && std::chrono::steady_clock::now() < deadline) {
        co_await changed_.wait(std::chrono::ceil<Millis>(deadline - std::chrono::steady_clock::now()));
    }
}

EndingContext RunTask::ending_context() const {
    EndingContext context;
    context.node = context_.node.str();
    context.program = definition_.script.empty() ? definition_.command.front() : definition_.script;
    context.log_dir = folders_.logs;
    context.output = record_.output;
    context.processes = layout_;
    context.launch = definition_.launch;
    context.node_index = desired_.node_index;
    context.lead = is_lead();
    context.stop_reason = stop_reason();
    context.limit = definition_.max_duration;
    return context;
}

// Without mpirun our own processes may be the first to end, while those of other nodes go on to write into the
// directory that we keep for them. Once the run is over as a whole, they are waited for a little longer.
asio::awaitable<void> RunTask::await_other_nodes() {
    const bool led = definition_.launch == proto::LaunchKind::single || definition_.launch == proto::LaunchKind::mpi;
    if (led || !keeps_directory() || !ending_->started) {
        co_return;
    }
    constexpr auto last_wait = std::chrono::seconds(5);
    std::optional<std::chrono::steady_clock::time_point> deadline;
    while (!forgotten_ && others_use_directory()) {
        if (!desired_.stop_reason.empty() && !deadline) {
            deadline = std::chrono::steady_clock::now() + last_wait;
        }
        const auto left = deadline ? std::chrono::duration_cast<Millis>(*deadline - std::chrono::steady_clock::now())
                                   : Millis(3'600'000);
        if (left <= Millis(0)) {
            break;
        }
        co_await changed_.wait(left);
    }
}

// A node that works in our directory has not said yet that its part has ended.
bool RunTask::others_use_directory() const {
    for (int node = 0; node < static_cast<int>(desired_.gang.size()); ++node) {
        const bool here = node != desired_.node_index && proto::keeper_of(desired_.gang, node) == desired_.node_index;
        if (here && !desired_.daemon_ends.contains(node)) {
            return true;
        }
    }
    return false;
}

// The node whose rank failed first knows more than mpirun; it is waited for, but not for long.
asio::awaitable<void> RunTask::await_daemon_ends() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (!forgotten_ && desired_.daemon_ends.size() < daemons_.size()) {
        const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
        if (left <= Millis(0)) {
            break;
        }
        co_await changed_.wait(left);
    }
}

void RunTask::end_with(proto::Ending ending, EndingSource source) {
    ending_ = std::move(ending);
    if (source == EndingSource::exit_fact) {
        return; // a task that is made anew makes it again from that
    }
    if (auto written = write_ending(folders_.ending(), *ending_); !written) {
        spdlog::error("how a run ended cannot be written down: run={} cause=\"{}\"", desired_.run.str(),
                      written.error().detail());
    }
}

void RunTask::end_with_error(const Error& error) {
    proto::Ending ending;
    ending.stopped = stop_wanted();
    ending.code =
        error.code() == Errc::invalid_argument || error.code() == Errc::not_found ? "UserError" : "ServiceError";
    // some say it themselves
    ending.message =
        (error.detail().starts_with("node '") ? "" : "node '" + context_.node.str() + "': ") + error.detail();
    note(ending.message);
    end_with(std::move(ending), EndingSource::agent);
}

void RunTask::end_stopped() {
    proto::Ending ending;
    ending.stopped = true;
    ending.message = stop_reason();
    end_with(std::move(ending), EndingSource::agent);
}

asio::awaitable<void> RunTask::finish() {
    set_phase(Phase::exited, "sending the last logs and outputs");
    co_await await_other_nodes();
    if (ending_->started && !desired_.data.references.empty() && !forgotten_) {
        // each node has a folder of its own for it; before the last logs, in which what is said of it goes
        DataReferences references = data_references(desired_.data.references, folders_.root / "data");
        const auto uploaded = co_await references.finish(finish_cancel_);
        if (!uploaded) {
            note("warning: data could not be uploaded: " + uploaded.error().detail());
            spdlog::warn("data of a run could not be uploaded: run={} cause=\"{}\"", desired_.run.str(),
                         uploaded.error().detail());
        }
    }
    if (capture_) {
        const auto sent = co_await capture_->finish(finish_cancel_);
        if (!sent && !forgotten_) {
            spdlog::warn("the last files of a run could not be sent: run={} cause=\"{}\"", desired_.run.str(),
                         sent.error().detail());
        }
    }
    mirror_.reset();
    context_.daemons->forget(desired_.run);
    set_phase(Phase::done, "done");
}

} // namespace linarite::agent
