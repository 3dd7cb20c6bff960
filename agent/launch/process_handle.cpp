#include "agent/launch/process_handle.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::agent {

UniqueFd open_process(pid_t pid) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

namespace {

bool has_ended(int process) {
    pollfd state{process, POLLIN, 0};
    return ::poll(&state, 1, 0) != 0;
}

} // namespace

asio::awaitable<Result<int>> await_process(asio::any_io_executor executor, int process) {
    asio::posix::stream_descriptor watched(executor, ::fcntl(process, F_DUPFD_CLOEXEC, 0));
    do {
        const auto [ec] =
            co_await watched.async_wait(asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
        if (ec) {
            co_return Error(Errc::unavailable, "wait for the supervisor: " + ec.message());
        }
    } while (!has_ended(process)); // one with several threads also wakes us when another of them executes a program
    siginfo_t info{};
    const bool ours = ::waitid(P_PIDFD, static_cast<id_t>(process), &info, WEXITED | WNOHANG) == 0;
    co_return ours&& info.si_code == CLD_EXITED ? info.si_status : -1;
}

} // namespace linarite::agent
