#include "agent/shim/supervision.hpp"

#include "agent/shim/processes.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::int64_t kill_again_ms = 20; // between two attempts to end a tree that is still there
constexpr std::int64_t longest_nap_ms = 3'600'000;

/// As the facts say that the ranks of this node have left.
bool a_rank_failed() {
    const auto is_bad = [](const Json& fact, const char* name) {
        const auto at = fact.find(name);
        return at != fact.end() && at->is_number() && *at != 0;
    };
    std::error_code ec;
    for (std::filesystem::directory_iterator at(".", ec), end; !ec && at != end; at.increment(ec)) {
        if (at->path().filename().string().starts_with("rank-")) {
            const Json fact = Json::parse(slurp(at->path().string()), nullptr, false);
            if (fact.is_object() && (is_bad(fact, "exit_code") || is_bad(fact, "signal"))) {
                return true;
            }
        }
    }
    return false;
}

} // namespace

void Supervision::launch() {
    write_before(out_, job_.log);
    tree_ = prepare_tree(job_);
    write_supervisor();
    start_main(job_, out_, err_, tree_);
    if (tree_.no_proc) { // some containers allow the namespace, but no /proc for it
        leave_namespace(tree_);
        tree_ = prepare_tree(job_, false);
        write_supervisor();
        start_main(job_, out_, err_, tree_);
    }
    began_ = steady_ms();
    started_ = tree_.main > 0;
    if (!started_) {
        write_line(err_, tree_.error);
        main_ended(0, rusage{});
        return;
    }
    write_fact(".", "started.json", Json{{"pid", tree_.main}, {"at_ms", wall_us() / 1'000}}, false);
    if (job_.limit_ms > 0) {
        limit_ = began_ + job_.limit_ms;
    }
}

/// Nothing of the run lives any more.
bool Supervision::over() const {
    return main_gone_ && tree_gone_;
}

void Supervision::loop() {
    obey(slurp("stop").c_str()); // told before we listened
    reap();
    while (!over()) {
        std::int64_t wake = -1;
        for (const auto& at : {limit_, deadline_}) {
            if (at) {
                const std::int64_t left = std::max<std::int64_t>(0, *at - steady_ms());
                wake = wake < 0 ? left : std::min(wake, left);
            }
        }
        std::vector<pollfd> watched{{signals_, POLLIN, 0}, {control_, POLLIN, 0}};
        for (const int handle : awaited_) {
            watched.push_back({handle, POLLIN, 0});
        }
        ::poll(watched.data(), watched.size(), static_cast<int>(std::min(wake, longest_nap_ms)));
        take_ended(watched);
        drain_signals();
        read_control();
        reap();
        if (!over()) {
            on_deadline();
        }
    }
}

void Supervision::drain_signals() {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM) { // the machine goes down, or an operator wants us gone
            stopped_ = true;
            ask_to_end(job_.grace_ms);
        }
    }
}

void Supervision::read_control() {
    std::array<char, 64> word{};
    while (::recv(control_, word.data(), word.size() - 1, 0) > 0) {
        obey(word.data());
        word.fill(0);
    }
}

void Supervision::obey(const char* word) {
    if (std::strncmp(word, "stop ", 5) == 0) {
        stopped_ = true;
        ask_to_end(std::max(0LL, std::strtoll(word + 5, nullptr, 10)));
    }
}

/// TERM now, and the end of all patience in `grace_ms`; an earlier end that was announced before stays.
void Supervision::ask_to_end(std::int64_t grace_ms) {
    limit_.reset();
    const std::int64_t at = steady_ms() + grace_ms;
    deadline_ = deadline_ ? std::min(*deadline_, at) : at;
    if (!main_gone_ && grace_ms > 0) {
        tell_to_end();
    }
}

/// Ranks of MPI get their TERM from us and at once. mpirun and its daemons would let a second pass before theirs, and
/// kill the ranks one second after it, whatever their grace.
void Supervision::tell_to_end() {
    if (!awaited_.empty()) {
        return; // told before
    }
    const auto ranks = shims(tree_.main, "rank");
    for (const pid_t rank : ranks) {
        await(rank);
        ::kill(-rank, SIGTERM);
        ::kill(-rank, SIGCONT); // a stopped process would not see it
    }
    if (ranks.empty()) {
        ::kill(job_.signal_group ? -tree_.main : tree_.main, SIGTERM);
        ::kill(job_.signal_group ? -tree_.main : tree_.main, SIGCONT);
        return;
    }
    for (const pid_t link : shims(tree_.main, "rsh")) {
        await(link);
        linked_ = true;
    }
}

void Supervision::await(pid_t pid) {
    const auto handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (handle >= 0) {
        awaited_.push_back(handle);
    }
}

/// Once its ranks have ended, and not all of them well, a daemon is of no use any more, and mpirun is not when the
/// other nodes have ended, too. Both would take seconds to see that.
void Supervision::take_ended(const std::vector<pollfd>& watched) {
    for (const pollfd& each : watched) {
        if (each.revents != 0 && std::erase(awaited_, each.fd) > 0) {
            ::close(each.fd);
            if (awaited_.empty() && (linked_ || a_rank_failed())) {
                deadline_ = steady_ms();
            }
        }
    }
}

void Supervision::on_deadline() {
    const std::int64_t now = steady_ms();
    if (limit_ && now >= *limit_) {
        timed_out_ = true;
        ask_to_end(job_.grace_ms);
    }
    if (deadline_ && now >= *deadline_) {
        stragglers_killed_ = stragglers_killed_ || main_gone_;
        killing_ = true;
        kill_tree(tree_);
        deadline_ = now + kill_again_ms;
    }
}

void Supervision::main_ended(int status, const rusage& used) {
    main_gone_ = true;
    status_ = status;
    used_ = used;
    limit_.reset();
    const std::int64_t at = steady_ms() + (killing_ ? 0 : job_.straggler_ms);
    deadline_ = deadline_ ? std::min(*deadline_, at) : at;
    if (tree_.init_pipe >= 0) {
        static_cast<void>(::write(tree_.init_pipe, "d", 1));
    }
}

/// Takes the dead. Everything that descends from us becomes our child when its parent dies (or the child of the
/// namespace's first process, which is ours): no children left means that nothing of the run is left.
void Supervision::reap() {
    for (;;) {
        int status = 0;
        rusage used{};
        const pid_t pid = ::wait4(-1, &status, WNOHANG, &used);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid <= 0) {
            tree_gone_ = pid < 0;
            return;
        }
        if (pid == tree_.main) {
            main_ended(status, used);
        }
    }
}

int Supervision::run() {
    ::setsid();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (::chdir(job_.facts_dir.c_str()) != 0) {
        std::perror(("linarite-shim: enter '" + job_.facts_dir + "'").c_str());
        return 2;
    }
    if (!take_lock() || !open_control() || !open_logs()) {
        return 2;
    }
    block_signals();
    job_.env.push_back(std::string(tag_variable) + "=" + job_.run + "." + job_.fence);
    make_folders();
    launch();
    loop();
    finish();
    return 0;
}

} // namespace linarite::shim
