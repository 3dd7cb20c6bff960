#include "agent/shim/spawner.hpp"

#include "agent/shim/supervise.hpp"

#include <linux/sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <string>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr int agent_socket = 0;
constexpr std::size_t longest_request = 8192; // two paths

/// So that a list of processes shows whose supervisor it is.
void write_title(std::span<char> title, const std::string& job_file) {
    const std::string text = std::string("supervise") + '\0' + job_file;
    std::ranges::fill(title, '\0');
    text.copy(title.data(), title.size());
}

[[noreturn]] void become_supervisor(const char* job_file, const std::string& facts_dir) {
    ::setsid();
    ::signal(SIGCHLD, SIG_DFL);
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    const int complaints =
        ::open((facts_dir + "/supervisor.err").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(nothing, 0);
    ::dup2(nothing, 1);
    ::dup2(complaints < 0 ? nothing : complaints, 2);
    ::_exit(supervise(job_file));
}

/// The pidfd comes with the process itself: one that has ended at once is reaped before it could be opened.
pid_t fork_with_handle(int& process) {
    clone_args arguments{};
    arguments.flags = CLONE_PIDFD;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&process);
    arguments.exit_signal = SIGCHLD;
    // without a stack of its own the child goes on as after fork(2)
    return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

void answer(int error, int process) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec piece{&error, sizeof error};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (error == 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof process);
        std::memcpy(CMSG_DATA(head), &process, sizeof process);
    }
    static_cast<void>(::sendmsg(agent_socket, &message, MSG_NOSIGNAL)); // if it is gone, the next read says so
}

} // namespace

int spawner(std::span<char> title) {
    ::close_range(3, ~0U, 0);
    ::signal(SIGCHLD, SIG_IGN); // the kernel reaps them
    ::tzset();                  // reads a file once, instead of in each of them
    std::array<char, longest_request + 1> request{};
    for (;;) {
        const ssize_t n = ::recv(agent_socket, request.data(), longest_request, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return 0;
        }
        const std::string text(request.data(), static_cast<std::size_t>(n));
        const auto middle = text.find('\0');
        int process = -1;
        const pid_t pid = middle == std::string::npos ? -1 : fork_with_handle(process);
        if (pid == 0) {
            write_title(title, text.substr(0, middle));
            become_supervisor(text.c_str(), text.substr(middle + 1));
        }
        answer(pid > 0 ? 0 : (middle == std::string::npos ? EINVAL : errno), process);
        ::close(process);
    }
}

} // namespace linarite::shim
