#include "agent/shim/processes.hpp"

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <set>
#include <signal.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr int stop_passes = 50; // a fork loop is caught in two or three
constexpr unsigned pause_us = 2'000;

bool read_process(pid_t pid, Process& process) {
    const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= text.size()) {
        return false;
    }
    const char* at = text.c_str() + name_end + 2;
    process.pid = pid;
    process.state = *at++;
    char* end = nullptr;
    process.parent = static_cast<pid_t>(std::strtol(at, &end, 10));
    std::strtol(end, &end, 10); // process group
    process.session = static_cast<pid_t>(std::strtol(end, nullptr, 10));
    return true;
}

bool has_tag(pid_t pid, const std::string& wanted) {
    const std::string text = '\0' + slurp("/proc/" + std::to_string(pid) + "/environ") + '\0';
    return text.find('\0' + wanted + '\0') != std::string::npos;
}

std::vector<pid_t> marked(const std::vector<Process>& all, const std::string& tag, pid_t session) {
    std::vector<pid_t> out;
    const pid_t self = ::getpid();
    for (const auto& process : all) {
        if (process.pid != self && process.state != 'Z' &&
            ((session > 0 && process.session == session) || has_tag(process.pid, tag))) {
            out.push_back(process.pid);
        }
    }
    return out;
}

void signal_all(const std::vector<pid_t>& pids, int signal) {
    for (const pid_t pid : pids) {
        ::kill(pid, signal);
    }
}

} // namespace

std::vector<Process> all_processes() {
    std::vector<Process> out;
    DIR* folder = ::opendir("/proc");
    if (folder == nullptr) {
        return out;
    }
    // readdir's static buffer is per DIR, and the shim has one thread
    while (const dirent* entry = ::readdir(folder)) { // NOLINT(concurrency-mt-unsafe)
        Process process;
        if (const auto pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
            pid > 0 && read_process(pid, process)) {
            out.push_back(process);
        }
    }
    ::closedir(folder);
    return out;
}

std::vector<pid_t> descendants(const std::vector<Process>& all, const std::vector<pid_t>& roots) {
    std::set<pid_t> tree(roots.begin(), roots.end());
    std::vector<pid_t> out;
    for (bool grown = true; grown;) {
        grown = false;
        for (const auto& process : all) {
            if (tree.contains(process.parent) && tree.insert(process.pid).second) {
                grown = true;
                if (process.state != 'Z') {
                    out.push_back(process.pid);
                }
            }
        }
    }
    return out;
}

std::vector<pid_t> shims(pid_t root, const std::string& word) {
    std::vector<pid_t> out;
    for (const pid_t pid : descendants(all_processes(), {root})) {
        const std::string line = slurp("/proc/" + std::to_string(pid) + "/cmdline"); // its words end with a NUL each
        const std::string program = line.substr(0, line.find('\0'));
        const std::string rest = line.substr(std::min(program.size() + 1, line.size()));
        if (program.ends_with("linarite-shim") && rest.substr(0, rest.find('\0')) == word) {
            out.push_back(pid);
        }
    }
    return out;
}

std::size_t kill_descendants(pid_t root) {
    std::set<pid_t> stopped;
    for (int pass = 0; pass < stop_passes; ++pass) {
        bool found = false;
        for (const pid_t pid : descendants(all_processes(), {root})) {
            if (stopped.insert(pid).second) {
                ::kill(pid, SIGSTOP);
                found = true;
            }
        }
        if (!found) {
            break;
        }
    }
    signal_all({stopped.begin(), stopped.end()}, SIGKILL);
    return stopped.size();
}

bool kill_marked(const std::string& tag, pid_t session, std::int64_t patience_ms) {
    const std::string wanted = std::string(tag_variable) + "=" + tag;
    const std::int64_t deadline = steady_ms() + patience_ms;
    for (int rounds = 0; steady_ms() < deadline; ++rounds) {
        const auto all = all_processes();
        const auto roots = marked(all, wanted, session);
        if (roots.empty()) {
            return true;
        }
        const auto others = descendants(all, roots);
        signal_all(roots, SIGSTOP);
        signal_all(others, SIGSTOP);
        signal_all(roots, SIGKILL);
        signal_all(others, SIGKILL);
        if (rounds > 0) {
            ::usleep(pause_us);
        }
    }
    return false;
}

} // namespace linarite::shim
