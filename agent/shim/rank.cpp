#include "agent/shim/rank.hpp"

#include "agent/shim/cores.hpp"
#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"
#include "agent/shim/rank_process.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace linarite::shim {

namespace {

// What our supervisor and Open MPI's daemon send, they send to the process group, so the program gets it by itself:
// here it must only not end us.
constexpr std::array outlived{SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGPIPE, SIGALRM};

/// What scripts written for torch's own launcher read, and where Open MPI has it.
constexpr std::array<std::pair<const char*, const char*>, 4> torch_names{
    {{"RANK", "OMPI_COMM_WORLD_RANK"},
     {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"},
     {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"},
     {"LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"}}};

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    return value == nullptr ? "" : value;
}

int number_in(const char* name) {
    return static_cast<int>(std::strtol(variable(name).c_str(), nullptr, 10));
}

volatile sig_atomic_t told_to_end = 0;

void outlive() {
    for (const int signal : outlived) {
        // a handler, not SIG_IGN: the program must not inherit it
        ::signal(signal, [](int which) { told_to_end = told_to_end != 0 || which == SIGTERM ? 1 : 0; });
    }
}

/// Starts the program; no TERM is lost between us and it. 0 if one came before there was anything that it could end.
pid_t start_program(const RankJob& job, int log) {
    sigset_t term{};
    sigset_t before{};
    ::sigemptyset(&term);
    ::sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, &before); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    const pid_t parent = ::getpid();
    pid_t child = 0;
    if (told_to_end == 0) {
        child = ::fork();
        if (child == 0) {
            ::signal(SIGTERM, SIG_DFL);
            ::sigprocmask(SIG_SETMASK, &before, nullptr); // NOLINT(concurrency-mt-unsafe)
            become_rank(job, log, parent);
        }
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr); // NOLINT(concurrency-mt-unsafe)
    if (child > 0 && told_to_end != 0) {          // perhaps just before it was there
        ::kill(child, SIGTERM);
    }
    return child;
}

void set_environment(const RankJob& job) {
    std::vector<std::string> secrets;
    for (char** at = environ; *at != nullptr; ++at) {
        const std::string_view entry(*at);
        if (entry.starts_with("LINARITE_LAUNCH_")) {
            secrets.emplace_back(entry.substr(0, entry.find('=')));
        }
    }
    for (const auto& name : secrets) {
        ::unsetenv(name.c_str()); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    }
    for (const auto& [name, value] : job.env) {
        ::setenv(name.c_str(), value.c_str(), 1); // NOLINT(concurrency-mt-unsafe)
    }
    for (const auto& [name, source] : torch_names) { // what the user has set stays
        if (const std::string value = variable(source); !value.empty()) {
            ::setenv(name, value.c_str(), 0); // NOLINT(concurrency-mt-unsafe)
        }
    }
}

int end_likewise(int status) {
    if (!WIFSIGNALED(status)) {
        return WEXITSTATUS(status);
    }
    const rlimit no_core{0, 0}; // the program has left one if it was to
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(WTERMSIG(status), SIG_DFL);
    ::raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

} // namespace

int rank() {
    const std::string file = variable("LINARITE_RANK_FILE");
    const std::string number = variable("OMPI_COMM_WORLD_RANK");
    RankJob job;
    const std::string wrong = file.empty() || number.empty() ? "LINARITE_RANK_FILE or OMPI_COMM_WORLD_RANK is not set"
                                                             : read_rank_job(file, job);
    if (!wrong.empty()) {
        std::fprintf(stderr, "linarite-shim rank: %s\n", wrong.c_str());
        return 127;
    }
    const auto self = static_cast<int>(std::strtol(number.c_str(), nullptr, 10));
    const std::string log_name = rank_log(job, job.plain_name ? "" : std::to_string(self));
    const int log = open_log(log_name);
    if (log < 0) {
        std::perror(("linarite-shim rank: open '" + log_name + "'").c_str());
        return 127;
    }
    outlive();
    set_environment(job);
    const std::int64_t oom_before = oom_kills();
    write_before(log, job.log);
    if (job.bind) {
        bind_to_share(number_in("OMPI_COMM_WORLD_LOCAL_RANK"), number_in("OMPI_COMM_WORLD_LOCAL_SIZE"));
    }
    const pid_t child = start_program(job, log);
    int status = child == 0 ? SIGTERM : 127 << 8;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const int exit_code = signal == 0 ? WEXITSTATUS(status) : 0;
    write_rank_fact(job, self,
                    Json{{"pid", child},
                         {"exit_code", exit_code},
                         {"signal", signal},
                         {"out_of_memory", signal == SIGKILL && oom_kills() > oom_before}});
    write_after(log, job.log, exit_code, signal);
    return end_likewise(status);
}

} // namespace linarite::shim
