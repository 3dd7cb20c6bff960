// What a supervisor does before its first process is started and after its last one is gone.
#include "agent/shim/processes.hpp"
#include "agent/shim/supervision.hpp"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr unsigned disk_again_us = 1'000'000; // between two attempts to write the exit fact
constexpr std::int64_t lock_patience_ms = 1'000;

} // namespace

bool Supervision::take_lock() {
    lock_ = ::open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::int64_t give_up = steady_ms() + lock_patience_ms;
    while (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0) { // an agent may be probing it just now
        if (steady_ms() > give_up) {
            std::fprintf(stderr, "linarite-shim: '%s' has a supervisor already\n", job_.facts_dir.c_str());
            return false;
        }
        ::usleep(1'000);
    }
    if (lock_ < 0 || ::access("void", F_OK) == 0) {
        std::fprintf(stderr, "linarite-shim: the start in '%s' was called off\n", job_.facts_dir.c_str());
        return false;
    }
    static_cast<void>(::ftruncate(lock_, 0)); // who holds it, for an agent that comes back
    return ::dprintf(lock_, "%d", ::getpid()) > 0;
}

bool Supervision::open_control() {
    // bound by a relative name, since a whole path may be longer than a socket's address can be
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(static_cast<char*>(address.sun_path), "control", sizeof "control");
    ::unlink("control");
    control_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    if (control_ < 0 || ::bind(control_, name, sizeof address) != 0) {
        std::perror("linarite-shim: control socket");
        return false;
    }
    ::chmod("control", 0600);
    return true;
}

bool Supervision::open_logs() {
    out_ = open_log(job_.out);
    err_ = job_.err.empty() || job_.err == job_.out ? out_ : open_log(job_.err);
    if (out_ < 0 || err_ < 0) {
        std::perror(("linarite-shim: open '" + (out_ < 0 ? job_.out : job_.err) + "'").c_str());
        return false;
    }
    return true;
}

void Supervision::block_signals() {
    for (const int ignored : {SIGHUP, SIGINT, SIGPIPE}) {
        ::signal(ignored, SIG_IGN);
    }
    sigset_t wanted{};
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGCHLD);
    ::sigaddset(&wanted, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &wanted, nullptr); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    signals_ = ::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
}

void Supervision::make_folders() const {
    std::error_code ignored;
    for (const auto& folder : job_.folders) {
        std::filesystem::create_directories(folder, ignored);
        ::chmod(folder.c_str(), 0700);
    }
}

void Supervision::write_supervisor() const {
    // Not fsynced: it matters to an agent of this boot alone, and the boot id tells it so.
    const Json fact{
        {"pid", ::getpid()},   {"start_time", start_time(::getpid())}, {"boot_id", boot_id()},        {"run", job_.run},
        {"fence", job_.fence}, {"containment", to_text(tree_.kind)},   {"cgroup", tree_.group.path()}};
    write_fact(".", "supervisor.json", fact, false);
}

Json Supervision::exit_fact() const {
    const int signal = started_ && WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
    const int exit_code = started_ ? (signal == 0 ? WEXITSTATUS(status_) : 0) : tree_.exit_code;
    const bool by_kill = (signal == SIGKILL && !killing_) || exit_code == 128 + SIGKILL;
    const auto milliseconds = [](const timeval& t) { return std::int64_t{t.tv_sec} * 1'000 + t.tv_usec / 1'000; };
    return Json{{"started", started_},
                {"error", tree_.error},
                {"exit_code", exit_code},
                {"signal", signal},
                {"out_of_memory", by_kill && oom_kills() > oom_before_},
                {"timed_out", timed_out_},
                {"stopped", stopped_},
                {"stragglers_killed", stragglers_killed_},
                {"duration_ms", steady_ms() - began_},
                {"ended_ms", wall_us() / 1'000},
                {"max_rss_bytes", std::int64_t{used_.ru_maxrss} * 1'024},
                {"user_ms", milliseconds(used_.ru_utime)},
                {"system_ms", milliseconds(used_.ru_stime)},
                {"fence", job_.fence}};
}

void Supervision::write_epilogue() const {
    const int signal = started_ && WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
    const int exit_code = started_ ? WEXITSTATUS(status_) : tree_.exit_code;
    if (timed_out_) {
        write_line(out_,
                   "The run reached its time limit of " + std::to_string(job_.limit_ms / 1'000) + " s and was ended.");
    } else if (stopped_) {
        write_line(out_, "The run was ended on request.");
        return;
    }
    write_after(out_, job_.log, exit_code, signal);
}

void Supervision::finish() {
    std::error_code ignored;
    if (tree_.group.usable()) {
        tree_.group.remove();
    }
    write_epilogue();
    for (const auto& folder : job_.folders) {
        std::filesystem::remove_all(folder, ignored);
    }
    ::unlink("control");
    const Json fact = exit_fact();
    while (!write_fact(".", "exit.json", fact, true) && ::access(job_.facts_dir.c_str(), W_OK) == 0) {
        ::usleep(disk_again_us); // the disk is full: the fact is too dear to be lost
    }
}

} // namespace linarite::shim
