#include "agent/launch/supervisor.hpp"

#include "agent/launch/process_handle.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <thread>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr int probe_attempts = 200; // a supervisor writes its pid some microseconds after it took the lock
constexpr auto probe_pause = std::chrono::milliseconds(1);

struct SpawnPlumbing {
    SpawnPlumbing() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
    }
    SpawnPlumbing(const SpawnPlumbing&) = delete;
    SpawnPlumbing& operator=(const SpawnPlumbing&) = delete;
    ~SpawnPlumbing() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

/// Starts the shim in a session of its own, with nothing of ours but a file for what it may have to complain about.
Result<UniqueFd> spawn_shim(const fs::path& shim, const std::string& mode, const fs::path& argument,
                            const fs::path& facts_dir) {
    SpawnPlumbing plumbing;
    const std::string complaints = (facts_dir / "supervisor.err").string();
    ::posix_spawn_file_actions_addopen(&plumbing.actions, 0, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&plumbing.actions, 0, 1);
    ::posix_spawn_file_actions_addopen(&plumbing.actions, 2, complaints.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    sigset_t none{};
    sigset_t all{};
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&plumbing.attributes, &none);
    ::posix_spawnattr_setsigdefault(&plumbing.attributes, &all);
    ::posix_spawnattr_setflags(&plumbing.attributes,
                               POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string program = shim.string();
    std::string word = mode;
    std::string what = argument.string();
    std::array<char*, 4> argv{program.data(), word.data(), what.data(), nullptr};
    std::array<char*, 1> env{nullptr};
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, program.c_str(), &plumbing.actions, &plumbing.attributes, argv.data(), env.data());
    if (error != 0) {
        return errno_error("start '" + program + "'", error);
    }
    UniqueFd process = open_process(pid); // our own child: its pid is not given to another before we have reaped it
    if (!process) {
        return errno_error("watch process " + std::to_string(pid), errno);
    }
    return process;
}

/// The process that holds the lock. Its pid stands in the lock file; that the lock is still held after the process was
/// opened proves that the pid has not gone to another.
Result<UniqueFd> lock_holder(const fs::path& facts_dir) {
    for (int attempt = 0; attempt < probe_attempts; ++attempt) {
        const auto text = read_file(facts_dir / "lock");
        pid_t pid = 0;
        if (text) {
            std::from_chars(text->data(), text->data() + text->size(), pid);
        }
        UniqueFd process = pid > 0 ? open_process(pid) : UniqueFd();
        UniqueFd lock;
        const auto free = lock_is_free(facts_dir, lock);
        if (!free) {
            return free.error();
        }
        if (*free) {
            return UniqueFd(); // it has just ended
        }
        if (process) {
            return process;
        }
        std::this_thread::sleep_for(probe_pause);
    }
    return Error(Errc::internal, "the supervisor in '" + facts_dir.string() + "' does not say who it is");
}

/// One whose process is on this node, in our own PID namespace.
class ProcessSupervisor final : public Supervisor {
public:
    ProcessSupervisor(asio::any_io_executor executor, fs::path shim, fs::path facts_dir, UniqueFd process);
    asio::awaitable<Result<ExitFact>> wait() override;
    [[nodiscard]] bool lives() const override { return static_cast<bool>(process_); }
    Result<void> stop(Millis grace) override { return tell_to_stop(facts_dir_, grace); }

private:
    asio::awaitable<Result<void>> await_end();
    asio::awaitable<Result<void>> sweep();
    asio::any_io_executor executor_;
    fs::path shim_;
    fs::path facts_dir_;
    UniqueFd process_; // pidfd; none if it had ended before we came
};

ProcessSupervisor::ProcessSupervisor(asio::any_io_executor executor, fs::path shim, fs::path facts_dir,
                                     UniqueFd process)
    : executor_(std::move(executor)),
      shim_(std::move(shim)),
      facts_dir_(std::move(facts_dir)),
      process_(std::move(process)) {}

asio::awaitable<Result<void>> ProcessSupervisor::await_end() {
    if (process_) {
        const auto ended = co_await await_process(executor_, process_.get());
        if (!ended) {
            co_return ended.error();
        }
        process_.reset();
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> ProcessSupervisor::sweep() {
    const auto process = spawn_shim(shim_, "sweep", facts_dir_, facts_dir_);
    if (!process) {
        co_return process.error();
    }
    const auto status = co_await await_process(executor_, process->get());
    if (!status) {
        co_return status.error();
    }
    if (*status != 0) {
        co_return Error(Errc::unavailable, "processes of a lost supervisor could not be ended");
    }
    co_return Result<void>();
}

asio::awaitable<Result<ExitFact>> ProcessSupervisor::wait() {
    const auto ended = co_await await_end();
    if (!ended) {
        co_return ended.error();
    }
    const auto fact = read_exit_fact(facts_dir_);
    if (fact && *fact) {
        co_return **fact;
    }
    const auto swept = co_await sweep();
    if (!swept) {
        co_return swept.error();
    }
    const auto complaint = read_file(facts_dir_ / "supervisor.err");
    std::string words = "the supervisor was lost";
    if (complaint && !complaint->empty()) {
        words += ": " + complaint->substr(0, complaint->find_last_not_of('\n') + 1);
    }
    co_return fact ? Error(Errc::internal, words) : fact.error().within(words);
}

} // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::start(asio::any_io_executor executor, const fs::path& shim,
                                                      const fs::path& job_file, const fs::path& facts_dir,
                                                      Spawner* spawner) {
    Result<UniqueFd> process = Error(Errc::unavailable, "no spawner");
    if (spawner != nullptr) {
        process = spawner->start(job_file, facts_dir);
    }
    if (!process && process.error().code() == Errc::internal) {
        // it runs, or it is called off here for good
        auto late = attach(std::move(executor), shim, facts_dir);
        return late ? std::move(late) : Error(Errc::unavailable, process.error().detail());
    }
    if (!process) {
        process = spawn_shim(shim, "supervise", job_file, facts_dir);
    }
    if (!process) {
        return process.error();
    }
    return std::make_unique<ProcessSupervisor>(std::move(executor), shim, facts_dir, std::move(*process));
}

Result<std::unique_ptr<Supervisor>> Supervisor::attach(asio::any_io_executor executor, const fs::path& shim,
                                                       const fs::path& facts_dir) {
    const auto state = examine_supervisor(facts_dir);
    if (!state) {
        return state.error();
    }
    if (*state == SupervisorState::called_off) {
        return Error(Errc::not_found, "no supervisor was started in '" + facts_dir.string() + "'");
    }
    UniqueFd process;
    if (*state == SupervisorState::lives) {
        auto holder = lock_holder(facts_dir);
        if (!holder) {
            return holder.error();
        }
        process = std::move(*holder);
    }
    return std::make_unique<ProcessSupervisor>(std::move(executor), shim, facts_dir, std::move(process));
}

} // namespace linarite::agent
