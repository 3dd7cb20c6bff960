#include "agent/launch/supervisor.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
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

UniqueFd open_process(pid_t pid) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

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

/// Whether the lock of a supervisor is free. While `lock` lives, nobody else can take it.
Result<bool> lock_is_free(const fs::path& facts_dir, UniqueFd& lock) {
    const fs::path path = facts_dir / "lock";
    lock = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK) {
        return errno_error("lock '" + path.string() + "'", errno);
    }
    return false;
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

/// 0, or errno. A folder's path may be too long for a socket's address, hence the way over its descriptor.
int send_control(const fs::path& facts_dir, const std::string& word) {
    const UniqueFd folder(::open(facts_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!folder || !socket) {
        return errno;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/control";
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    const ssize_t n = ::sendto(socket.get(), word.data(), word.size(), MSG_NOSIGNAL, to, sizeof address);
    return n == static_cast<ssize_t>(word.size()) ? 0 : errno;
}

asio::awaitable<Result<int>> await_process(asio::any_io_executor executor, int process) {
    asio::posix::stream_descriptor watched(executor, ::fcntl(process, F_DUPFD_CLOEXEC, 0));
    const auto [ec] =
        co_await watched.async_wait(asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
    if (ec) {
        co_return Error(Errc::unavailable, "wait for the supervisor: " + ec.message());
    }
    siginfo_t info{};
    const bool ours = ::waitid(P_PIDFD, static_cast<id_t>(process), &info, WEXITED | WNOHANG) == 0;
    co_return ours&& info.si_code == CLD_EXITED ? info.si_status : -1;
}

} // namespace

Supervisor::Supervisor(asio::any_io_executor executor, fs::path shim, fs::path facts_dir)
    : executor_(std::move(executor)), shim_(std::move(shim)), facts_dir_(std::move(facts_dir)) {}

Supervisor::~Supervisor() = default;

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
    auto supervisor = std::unique_ptr<Supervisor>(new Supervisor(std::move(executor), shim, facts_dir));
    supervisor->process_ = std::move(*process);
    return supervisor;
}

Result<std::unique_ptr<Supervisor>> Supervisor::attach(asio::any_io_executor executor, const fs::path& shim,
                                                       const fs::path& facts_dir) {
    auto supervisor = std::unique_ptr<Supervisor>(new Supervisor(std::move(executor), shim, facts_dir));
    UniqueFd lock;
    const auto free = lock_is_free(facts_dir, lock);
    if (!free) {
        return free.error();
    }
    if (!*free) {
        auto holder = lock_holder(facts_dir);
        if (!holder) {
            return holder.error();
        }
        supervisor->process_ = std::move(*holder);
        return supervisor;
    }
    std::error_code ec;
    if (fs::exists(facts_dir / "exit.json", ec) || fs::exists(facts_dir / "supervisor.json", ec)) {
        return supervisor;
    }
    // while we hold the lock: one that is still on its way to its start finds this and goes home
    if (const auto written = write_file_durably(facts_dir / "void", ""); !written) {
        return written.error();
    }
    return Error(Errc::not_found, "no supervisor was started in '" + facts_dir.string() + "'");
}

asio::awaitable<Result<void>> Supervisor::await_end() {
    if (process_) {
        const auto ended = co_await await_process(executor_, process_.get());
        if (!ended) {
            co_return ended.error();
        }
        process_.reset();
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> Supervisor::sweep() {
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

asio::awaitable<Result<ExitFact>> Supervisor::wait() {
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

Result<void> Supervisor::stop(Millis grace) {
    const std::string word = "stop " + std::to_string(grace.count());
    if (send_control(facts_dir_, word) == 0) {
        return {};
    }
    // It has ended, or does not listen yet: then it reads this file once it does. Between the two it gets the word by
    // both ways.
    if (auto written = write_file_durably(facts_dir_ / "stop", word, 0600); !written) {
        return written;
    }
    send_control(facts_dir_, word);
    return {};
}

Result<void> clear_facts(const fs::path& facts_dir) {
    UniqueFd lock;
    const auto free = lock_is_free(facts_dir, lock);
    if (!free) {
        return free.error();
    }
    if (!*free) {
        return Error(Errc::conflict, "a supervisor lives in '" + facts_dir.string() + "'");
    }
    std::error_code ec;
    for (fs::directory_iterator at(facts_dir, ec), end; !ec && at != end; at.increment(ec)) {
        if (at->path().filename() != "lock") {
            fs::remove_all(at->path(), ec);
        }
    }
    return {};
}

} // namespace linarite::agent
