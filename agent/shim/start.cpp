#include "agent/shim/start.hpp"

#include "agent/shim/mounts.hpp"
#include "agent/shim/processes.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string_view>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

/// What a child tells its parent through a pipe when it cannot become the program.
enum class Stage : int { proc_mount = 1, folder = 2, program = 3 };
struct Refusal {
    Stage stage = Stage::program;
    int error = 0;
};

/// The first process of the PID namespace: orphans come to it, and when it ends the kernel kills all others. It holds
/// nothing open but the pipe, whose other end its parent alone has.
[[noreturn]] void be_init(int pipe) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::signal(SIGCHLD, SIG_IGN); // orphans are reaped by the kernel
    if (pipe != 3) {
        ::dup2(pipe, 3);
    }
    ::close_range(4, ~0U, 0);
    ::close(0);
    ::close(1);
    ::close(2);
    char word = 0;
    ssize_t n = 0;
    do {
        n = ::read(3, &word, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) { // the main process has ended: stay until the stragglers have, too
        while (::waitpid(-1, nullptr, 0) >= 0 || errno == EINTR) {
        }
    }
    ::_exit(0);
}

/// Makes a PID namespace with its first process in it; false if the kernel refuses. Later children of ours are born
/// into it.
bool enter_namespace(Tree& tree) {
    std::array<int, 2> ends{};
    tree.outer_namespace = ::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (tree.outer_namespace < 0 || ::unshare(CLONE_NEWPID) != 0) {
        return false;
    }
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return false;
    }
    tree.init = ::fork();
    if (tree.init == 0) {
        be_init(ends[0]);
    }
    ::close(ends[0]);
    tree.init_pipe = ends[1];
    return tree.init > 0;
}

bool mount_own_proc() {
    return enter_mount_namespace() && ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr) == 0;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (const auto& text : texts) {
        out.push_back(const_cast<char*>(text.c_str())); // execve takes char* for history's sake and leaves them alone
    }
    out.push_back(nullptr);
    return out;
}

std::string search_path(const Job& job) {
    for (const auto& variable : job.env) {
        if (variable.starts_with("PATH=")) {
            return variable.substr(5);
        }
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

/// Where the program may be, in order. Relative folders of the path count from the working directory.
std::vector<std::string> candidates(const Job& job) {
    if (job.argv[0].find('/') != std::string::npos) {
        return {job.argv[0]};
    }
    std::vector<std::string> out;
    const std::string path = search_path(job);
    for (std::size_t from = 0; from <= path.size();) {
        const auto end = std::min(path.find(':', from), path.size());
        out.push_back(end == from ? job.argv[0] : path.substr(from, end - from) + "/" + job.argv[0]);
        from = end + 1;
    }
    return out;
}

void default_signals() {
    // By the system call: libc hides two signals of its own, which posix_spawn leaves ignored.
    const std::array<std::uint64_t, 4> by_default{}; // the kernel's sigaction: handler, flags, restorer, mask
    for (int signal = 1; signal < NSIG; ++signal) {
        ::syscall(SYS_rt_sigaction, signal, by_default.data(), nullptr, sizeof(std::uint64_t));
    }
    sigset_t none{};
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr); // NOLINT(concurrency-mt-unsafe): the shim has one thread
}

[[noreturn]] void refuse(int pipe, Stage stage, int error) {
    const Refusal refusal{stage, error};
    static_cast<void>(::write(pipe, &refusal, sizeof refusal) == sizeof refusal);
    ::_exit(127);
}

[[noreturn]] void become(const Job& job, const Tree& tree, int out, int err, int pipe) {
    ::setsid();
    default_signals();
    if (tree.kind == Containment::pid_namespace) {
        if (!mount_own_proc()) {
            refuse(pipe, Stage::proc_mount, errno);
        }
    } else {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a backstop: the namespace's first process does this for a whole tree
    }
    see_otherwise(job, tree.kind == Containment::pid_namespace);
    if (::chdir(job.cwd.c_str()) != 0) {
        refuse(pipe, Stage::folder, errno);
    }
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(nothing, 0);
    ::dup2(out, 1);
    ::dup2(err, 2);
    const auto argv = pointers(job.argv);
    const auto env = pointers(job.env);
    int error = ENOENT;
    for (const auto& file : candidates(job)) {
        ::execve(file.c_str(), argv.data(), env.data());
        if (errno != ENOENT && errno != ENOTDIR) {
            error = errno; // found, but not to be run: say that unless a later folder has a better one
        }
    }
    refuse(pipe, Stage::program, error);
}

std::string words(const Job& job, const Refusal& refusal) {
    // strerror's buffer: the shim has one thread
    std::string reason = std::strerror(refusal.error); // NOLINT(concurrency-mt-unsafe)
    switch (refusal.stage) {
    case Stage::proc_mount: return "cannot mount /proc: " + reason;
    case Stage::folder: return "cannot enter the working directory '" + job.cwd + "': " + reason;
    case Stage::program: return "cannot start '" + job.argv[0] + "': " + reason;
    }
    return reason;
}

} // namespace

Tree prepare_tree(const Job& job, bool namespace_allowed) {
    Tree tree;
    const auto wanted = [&](Containment kind) {
        return job.containment == kind || job.containment == Containment::automatic;
    };
    if (namespace_allowed && wanted(Containment::pid_namespace)) {
        if (enter_namespace(tree)) {
            tree.kind = Containment::pid_namespace;
            return tree;
        }
        leave_namespace(tree);
    }
    if (wanted(Containment::cgroup)) {
        tree.group = Cgroup::make_unified(job.cgroup);
    }
    if (!tree.group.usable() && wanted(Containment::freezer)) {
        tree.group = Cgroup::make_freezer(job.cgroup);
    }
    if (tree.group.usable()) {
        tree.kind = tree.group.is_freezer() ? Containment::freezer : Containment::cgroup;
    }
    return tree;
}

void leave_namespace(Tree& tree) {
    if (tree.init > 0) {
        ::kill(tree.init, SIGKILL);
        ::waitpid(tree.init, nullptr, 0);
    }
    if (tree.init_pipe >= 0) {
        ::close(tree.init_pipe);
    }
    if (tree.outer_namespace >= 0) {
        ::setns(tree.outer_namespace, CLONE_NEWPID);
        ::close(tree.outer_namespace);
    }
    tree.init = tree.init_pipe = tree.outer_namespace = -1;
}

void start_main(const Job& job, int out, int err, Tree& tree) {
    std::array<int, 2> ends{};
    Refusal refusal{Stage::program, 0};
    pid_t pid = -1;
    if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
        pid = tree.group.usable() ? tree.group.fork_into() : ::fork();
        if (pid == 0) {
            become(job, tree, out, err, ends[1]);
        }
        refusal.error = pid < 0 ? errno : 0;
        ::close(ends[1]);
        Refusal told;
        if (pid > 0 && ::read(ends[0], &told, sizeof told) == sizeof told) {
            refusal = told;
        }
        ::close(ends[0]);
    } else {
        refusal.error = errno;
    }
    if (refusal.error == 0) {
        tree.main = pid;
        return;
    }
    if (pid > 0) {
        ::waitpid(pid, nullptr, 0);
    }
    tree.error = words(job, refusal);
    tree.no_proc = refusal.stage == Stage::proc_mount;
    tree.exit_code = refusal.stage == Stage::program && refusal.error != ENOENT ? 126 : 127;
}

void kill_tree(const Tree& tree) {
    if (tree.init > 0) {
        ::kill(tree.init, SIGKILL);
        return;
    }
    if (tree.group.usable()) {
        tree.group.kill();
        if (tree.group.empty()) {
            return;
        }
    }
    kill_descendants(::getpid());
}

} // namespace linarite::shim
