#include "agent/launch/spawner.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t title_room = 4096; // in its command line, for the longest path of a job file
constexpr timeval patience{30, 0};       // for an answer that takes a fraction of a millisecond

/// Our own child, so that its pid is not given to another before we have reaped it.
Result<pid_t> spawn(const fs::path& shim, int socket) {
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&actions, socket, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    sigset_t none{};
    sigset_t all{};
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string program = shim.string();
    std::string word = "spawner";
    std::string room(title_room, ' ');
    std::array<char*, 4> argv{program.data(), word.data(), room.data(), nullptr};
    std::array<char*, 1> env{nullptr};
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), env.data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return errno_error("start '" + program + "'", error);
    }
    return pid;
}

int handle_in(msghdr& message) {
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    int fd = -1;
    if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof fd)) {
        std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    }
    return fd;
}

} // namespace

Spawner::Spawner(fs::path shim) : shim_(std::move(shim)) {}

Spawner::~Spawner() {
    cool_down();
}

Result<void> Spawner::warm_up() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return errno_error("make a socket", errno);
    }
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const auto pid = spawn(shim_, theirs.get());
    if (!pid) {
        return pid.error();
    }
    process_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
    socket_ = std::move(ours);
    return {};
}

// The supervisors that it has started do not notice.
void Spawner::cool_down() {
    socket_.reset();
    if (process_) {
        ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
        siginfo_t info{};
        ::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED);
        process_.reset();
    }
}

Result<UniqueFd> Spawner::start(const fs::path& job_file, const fs::path& facts_dir) {
    const std::string request = job_file.string() + '\0' + facts_dir.string();
    for (const bool again : {true, false}) {
        if (!socket_) {
            if (auto warm = warm_up(); !warm) {
                return Error(Errc::unavailable, warm.error().detail());
            }
        }
        const ssize_t sent = ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL);
        if (sent == static_cast<ssize_t>(request.size())) {
            return take_answer();
        }
        const int error = errno;
        cool_down(); // somebody ended it
        if (!again) {
            return Error(Errc::unavailable, errno_error("ask '" + shim_.string() + "'", error).detail());
        }
    }
    return Error(Errc::unavailable, "not asked");
}

Result<UniqueFd> Spawner::take_answer() {
    int error = 0;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec piece{&error, sizeof error};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t n = 0;
    do {
        n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n == sizeof error && error != 0) {
        return Error(Errc::unavailable, errno_error("start a supervisor", error).detail());
    }
    UniqueFd process(n == sizeof error ? handle_in(message) : -1);
    if (!process) {
        cool_down();
        return Error(Errc::internal, "the program that starts supervisors ended before it answered");
    }
    return process;
}

} // namespace linarite::agent
