#include "agent/shim/cgroup.hpp"

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"

#include <linux/sched.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sstream>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::int64_t freeze_patience_ms = 1'000;
constexpr unsigned pause_us = 500;

bool write_text(const std::string& path, const char* text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const auto size = static_cast<ssize_t>(std::strlen(text));
    const bool ok = ::write(fd, text, static_cast<std::size_t>(size)) == size;
    ::close(fd);
    return ok;
}

/// Where a hierarchy is mounted: the unified one, or that with the controller "freezer".
std::string mount_point(bool freezer) {
    std::istringstream lines(slurp("/proc/self/mountinfo"));
    for (std::string line; std::getline(lines, line);) {
        const auto separator = line.find(" - ");
        if (separator == std::string::npos) {
            continue;
        }
        std::istringstream head(line.substr(0, separator));
        std::istringstream tail(line.substr(separator + 3));
        std::string skipped;
        std::string point;
        std::string type;
        std::string options;
        head >> skipped >> skipped >> skipped >> skipped >> point;
        tail >> type >> skipped >> options;
        if (freezer ? type == "cgroup" && ("," + options + ",").find(",freezer,") != std::string::npos
                    : type == "cgroup2") {
            return point;
        }
    }
    return "";
}

/// Our own group in it ("/" for the root), from lines such as "0::/user.slice" and "6:freezer:/".
std::string own_group(bool freezer) {
    std::istringstream lines(slurp("/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        if (freezer ? controllers.find(",freezer,") != std::string::npos : controllers == ",,") {
            return line.substr(second + 1);
        }
    }
    return "";
}

std::string make_group(const std::string& name, bool freezer) {
    const std::string mount = mount_point(freezer);
    const std::string own = own_group(freezer);
    if (mount.empty() || own.empty() || name.empty() || name.find('/') != std::string::npos) {
        return "";
    }
    std::string path = mount + (own == "/" ? "" : own) + "/" + name;
    const bool made = ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
    const char* needed = freezer ? "/freezer.state" : "/cgroup.kill"; // cgroup.kill: kernel 5.14
    if (!made || ::access((path + needed).c_str(), W_OK) != 0 ||
        ::access((path + "/cgroup.procs").c_str(), W_OK) != 0) {
        ::rmdir(path.c_str());
        return "";
    }
    return path;
}

void remove_tree(const std::string& path, int depth) {
    DIR* folder = depth > 0 ? ::opendir(path.c_str()) : nullptr;
    while (const dirent* entry = folder != nullptr ? ::readdir(folder) : nullptr) { // NOLINT(concurrency-mt-unsafe)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            remove_tree(path + "/" + static_cast<const char*>(entry->d_name), depth - 1);
        }
    }
    if (folder != nullptr) {
        ::closedir(folder);
    }
    for (int tries = 0; tries < 200 && ::rmdir(path.c_str()) != 0 && errno == EBUSY; ++tries) {
        ::usleep(pause_us);
    }
}

} // namespace

Cgroup Cgroup::make_unified(const std::string& name) {
    return at(make_group(name, false), false);
}

Cgroup Cgroup::make_freezer(const std::string& name) {
    return at(make_group(name, true), true);
}

Cgroup Cgroup::at(const std::string& path, bool freezer) {
    Cgroup group;
    group.path_ = path;
    group.freezer_ = freezer;
    return group;
}

pid_t Cgroup::fork_into() const {
    if (!freezer_) {
        const int folder = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        clone_args arguments{};
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.exit_signal = SIGCHLD;
        arguments.cgroup = static_cast<std::uint64_t>(folder);
        // without a stack of its own the child goes on as after fork(2)
        const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
        if (folder >= 0) {
            ::close(folder);
        }
        if (pid >= 0) {
            return pid;
        }
    }
    const pid_t pid = ::fork();
    if (pid == 0 && !write_text(path_ + "/cgroup.procs", "0")) {
        ::_exit(127);
    }
    return pid;
}

void Cgroup::kill() const {
    if (!freezer_) {
        write_text(path_ + "/cgroup.kill", "1");
        return;
    }
    write_text(path_ + "/freezer.state", "FROZEN");
    const std::int64_t deadline = steady_ms() + freeze_patience_ms;
    while (slurp(path_ + "/freezer.state") != "FROZEN\n" && steady_ms() < deadline) {
        ::usleep(pause_us);
    }
    std::istringstream pids(slurp(path_ + "/cgroup.procs"));
    for (pid_t pid = 0; pids >> pid;) {
        if (pid > 0) {
            ::kill(pid, SIGKILL);
        }
    }
    write_text(path_ + "/freezer.state", "THAWED");
}

bool Cgroup::empty() const {
    return freezer_ ? slurp(path_ + "/cgroup.procs").empty()
                    : slurp(path_ + "/cgroup.events").find("populated 1") == std::string::npos;
}

void Cgroup::remove() const {
    remove_tree(path_, 8);
}

} // namespace linarite::shim
