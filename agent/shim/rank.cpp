#include "agent/shim/rank.hpp"

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

// What Open MPI's daemon sends, it sends to the process group, so the program gets it by itself: here it must only not
// end us.
constexpr std::array outlived{SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGPIPE, SIGALRM};

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    return value == nullptr ? "" : value;
}

void outlive() {
    for (const int signal : outlived) {
        ::signal(signal, [](int) {}); // a handler, not SIG_IGN: the program must not inherit it
    }
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
}

[[noreturn]] void become(const RankJob& job, int log, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(127);
    }
    ::dup2(log, 1);
    ::dup2(log, 2);
    std::vector<char*> argv;
    argv.reserve(job.argv.size() + 1);
    for (const auto& word : job.argv) {
        argv.push_back(const_cast<char*>(word.c_str())); // execvp leaves them alone
    }
    argv.push_back(nullptr);
    std::string wrong = "cannot enter the working directory '" + job.cwd + "'";
    if (::chdir(job.cwd.c_str()) == 0) {
        ::execvp(argv[0], argv.data());
        wrong = "cannot start '" + job.argv[0] + "'";
    }
    const int error = errno;
    write_line(log, wrong + ": " + std::strerror(error)); // NOLINT(concurrency-mt-unsafe)
    ::_exit(error == ENOENT ? 127 : 126);
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
    const std::string log_name =
        job.log_dir + "/70_driver_log" + (job.plain_name ? "" : "_" + std::to_string(self)) + ".txt";
    const int log = open_log(log_name);
    if (log < 0) {
        std::perror(("linarite-shim rank: open '" + log_name + "'").c_str());
        return 127;
    }
    outlive();
    set_environment(job);
    const std::int64_t oom_before = oom_kills();
    write_before(log, job.log);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
        become(job, log, parent);
    }
    int status = 127 << 8;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const int exit_code = signal == 0 ? WEXITSTATUS(status) : 0;
    const Json fact{{"rank", self},
                    {"pid", child},
                    {"exit_code", exit_code},
                    {"signal", signal},
                    {"out_of_memory", signal == SIGKILL && oom_kills() > oom_before},
                    {"ended_us", wall_us()}};
    write_fact(job.facts_dir, "rank-" + std::to_string(self) + ".json", fact, false);
    write_after(log, job.log, exit_code, signal);
    return end_likewise(status);
}

} // namespace linarite::shim
