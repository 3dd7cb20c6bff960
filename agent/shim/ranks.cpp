#include "agent/shim/ranks.hpp"

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"
#include "agent/shim/rank_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::int64_t grace_ms = 5'000;         // of the others, when one failed
constexpr std::int64_t service_grace_ms = 1'000; // a parameter server whose workers have ended has nothing to save
constexpr int cannot_fork = 126;

struct Child {
    const RankProcess* process = nullptr;
    int log = -1;
    pid_t pid = -1;
    bool killed = false; // by us
    [[nodiscard]] bool lives() const { return pid > 0; }
};

class Ranks {
public:
    explicit Ranks(RankJob job) : job_(std::move(job)) {}
    int run();

private:
    bool open_logs();
    void start(Child& child);
    void reap();
    void ended(Child& child, int status);
    void write_end(const Child& child, int exit_code, int signal) const;
    void drain_signals();
    void ask_all();
    void settle();
    void end_services();
    void kill_overdue();
    [[nodiscard]] bool all_ended() const;
    [[nodiscard]] bool work_is_over() const;
    [[nodiscard]] int wait_ms() const;

    RankJob job_;
    std::vector<Child> children_;
    sigset_t outer_mask_{};
    int signals_ = -1;
    std::int64_t oom_before_ = oom_kills();
    bool told_ = false;                    // to end, from outside
    std::optional<int> failed_;            // what the one that failed first gave
    bool services_asked_ = false;          // because nobody needs them any more
    std::optional<std::int64_t> deadline_; // then everything that lives is killed
};

bool Ranks::open_logs() {
    for (const auto& process : job_.processes) {
        Child child;
        child.process = &process;
        const std::string name = rank_log(job_, process.word);
        child.log = open_log(name);
        if (child.log < 0) {
            std::perror(("linarite-shim ranks: open '" + name + "'").c_str());
            return false;
        }
        children_.push_back(child);
    }
    return true;
}

void Ranks::start(Child& child) {
    write_before(child.log, job_.log);
    const pid_t parent = ::getpid();
    child.pid = ::fork();
    if (child.pid == 0) {
        ::setpgid(0, 0);
        ::sigprocmask(SIG_SETMASK, &outer_mask_, nullptr); // NOLINT(concurrency-mt-unsafe): the shim has one thread
        ::unsetenv("LINARITE_RANK_FILE");                  // NOLINT(concurrency-mt-unsafe)
        for (const auto& [name, value] : child.process->env) {
            ::setenv(name.c_str(), value.c_str(), 1); // NOLINT(concurrency-mt-unsafe)
        }
        become_rank(job_, child.log, parent);
    }
    if (child.pid < 0) {
        write_line(child.log, std::string("cannot start a process: ") + std::strerror(errno)); // NOLINT
        ended(child, cannot_fork << 8);
        return;
    }
    ::setpgid(child.pid, child.pid); // by whoever comes first, so that a signal to the group reaches it
}

bool Ranks::all_ended() const {
    return std::none_of(children_.begin(), children_.end(), [](const Child& child) { return child.lives(); });
}

bool Ranks::work_is_over() const {
    return std::none_of(children_.begin(), children_.end(),
                        [](const Child& child) { return child.lives() && !child.process->service; });
}

void Ranks::ask_all() {
    for (const Child& child : children_) {
        if (child.lives()) {
            ::kill(-child.pid, SIGTERM);
            ::kill(-child.pid, SIGCONT); // a stopped process would not see it
        }
    }
}

void Ranks::write_end(const Child& child, int exit_code, int signal) const {
    const bool well = exit_code == 0 && signal == 0;
    if (!well && services_asked_ && !failed_ && child.process->service) {
        write_line(child.log, "The parameter server was ended: its workers have ended.");
    } else if (told_ && !failed_) {
        write_line(child.log, "The process was told to end.");
    } else {
        write_after(child.log, job_.log, exit_code, signal);
    }
}

void Ranks::ended(Child& child, int status) {
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const int exit_code = signal == 0 ? WEXITSTATUS(status) : 0;
    const bool asked = told_ || failed_ || (services_asked_ && child.process->service);
    child.pid = -1;
    write_end(child, exit_code, signal);
    ::close(child.log);
    write_rank_fact(job_, child.process->rank,
                    Json{{"exit_code", exit_code},
                         {"signal", signal},
                         {"told", asked},
                         {"service", child.process->service},
                         {"out_of_memory", signal == SIGKILL && !child.killed && oom_kills() > oom_before_}});
    if (!asked && (exit_code != 0 || signal != 0)) {
        failed_ = signal != 0 ? 128 + signal : exit_code;
        deadline_ = steady_ms() + grace_ms;
        ask_all();
    }
}

void Ranks::reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        const auto found =
            std::find_if(children_.begin(), children_.end(), [&](const Child& child) { return child.pid == pid; });
        if (found != children_.end()) {
            ended(*found, status);
        }
    }
}

/// Services that nobody needs any more are ended.
void Ranks::settle() {
    if (!services_asked_ && work_is_over() && !all_ended() && (!job_.linger || told_ || failed_)) {
        end_services();
    }
}

void Ranks::end_services() {
    services_asked_ = true;
    ask_all();
    const std::int64_t at = steady_ms() + service_grace_ms;
    deadline_ = deadline_ ? std::min(*deadline_, at) : at;
}

void Ranks::kill_overdue() {
    if (!deadline_ || steady_ms() < *deadline_) {
        return;
    }
    deadline_.reset();
    for (Child& child : children_) {
        if (child.lives()) {
            child.killed = true;
            ::kill(-child.pid, SIGKILL);
        }
    }
}

void Ranks::drain_signals() {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM && !told_) {
            const bool idle = work_is_over(); // the services did but wait for this
            told_ = true;
            if (idle) {
                end_services();
            } else {
                ask_all(); // who does not heed it is killed by our supervisor
            }
        }
    }
}

int Ranks::wait_ms() const {
    return deadline_ ? static_cast<int>(std::max<std::int64_t>(0, *deadline_ - steady_ms())) : -1;
}

int Ranks::run() {
    if (!open_logs()) {
        return cannot_fork;
    }
    sigset_t wanted{};
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGCHLD);
    ::sigaddset(&wanted, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &wanted, &outer_mask_); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    signals_ = ::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    for (Child& child : children_) {
        if (!failed_) {
            start(child);
        }
    }
    while (!all_ended()) {
        pollfd watched{signals_, POLLIN, 0};
        ::poll(&watched, 1, wait_ms());
        reap(); // first: who ended before the order to end did so by itself
        drain_signals();
        reap(); // whose signals were drained meanwhile
        settle();
        kill_overdue();
    }
    const bool worked = services_asked_ || children_.empty() || !told_;
    return failed_ ? *failed_ : worked ? 0 : 128 + SIGTERM;
}

} // namespace

int ranks() {
    const char* file = std::getenv("LINARITE_RANK_FILE"); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    RankJob job;
    const std::string wrong = file == nullptr ? "LINARITE_RANK_FILE is not set" : read_rank_job(file, job);
    if (!wrong.empty()) {
        std::fprintf(stderr, "linarite-shim ranks: %s\n", wrong.c_str());
        return 127;
    }
    return Ranks(std::move(job)).run();
}

} // namespace linarite::shim
