#include "agent/shim/rank_process.hpp"

#include "agent/shim/facts.hpp"

#include <cerrno>
#include <cstring>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <utility>

namespace linarite::shim {

std::string rank_log(const RankJob& job, const std::string& word) {
    return job.log_dir + "/70_driver_log" + (word.empty() ? "" : "_" + word) + ".txt";
}

[[noreturn]] void become_rank(const RankJob& job, int log, pid_t parent) {
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

void write_rank_fact(const RankJob& job, int rank, Json fact) {
    fact["rank"] = rank;
    fact["ended_us"] = wall_us();
    write_fact(job.facts_dir, "rank-" + std::to_string(rank) + ".json", fact, false);
}

} // namespace linarite::shim
