#include "agent/environment/file_lock.hpp"

#include "async/async.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>

namespace linarite::agent {

namespace {

// The watch tells of a close before the kernel has let go of its lock; so after each event some quick tries follow.
constexpr auto quickest_try = Millis(1);
constexpr auto slowest_try = Millis(2000); // what remains as a net under the events

Result<UniqueFd> watch_closes(const fs::path& path) {
    UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch || ::inotify_add_watch(watch.get(), path.c_str(), IN_CLOSE_WRITE) < 0) {
        return errno_error("watch '" + path.string() + "'", errno);
    }
    return watch;
}

// Wakes `changed` at each event.
asio::awaitable<void> pass_on(std::shared_ptr<asio::posix::stream_descriptor> watch, std::shared_ptr<Signal> changed,
                              std::shared_ptr<Millis> next) {
    std::array<char, 4096> events{};
    for (;;) {
        const auto [error, size] =
            co_await watch->async_read_some(asio::buffer(events), asio::as_tuple(asio::use_awaitable));
        if (error) {
            co_return;
        }
        *next = quickest_try;
        changed->notify();
    }
}

} // namespace

asio::awaitable<Result<UniqueFd>> lock_file(fs::path path, std::function<void()> on_wait, CancelToken cancel) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        co_return errno_error("open '" + path.string() + "'", errno);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
        co_return fd;
    }
    if (errno != EWOULDBLOCK) {
        co_return errno_error("lock '" + path.string() + "'", errno);
    }
    on_wait();
    auto raw = watch_closes(path);
    if (!raw) {
        co_return raw.error();
    }
    const auto executor = co_await asio::this_coro::executor;
    const auto watch = std::make_shared<asio::posix::stream_descriptor>(executor, raw->release());
    const auto changed = std::make_shared<Signal>();
    const auto next = std::make_shared<Millis>(quickest_try);
    asio::co_spawn(executor, pass_on(watch, changed, next), asio::detached); // ends with `watch`, can't fail
    const auto hook = cancel.on_cancel([changed] { changed->notify(); });
    while (!cancel.cancelled() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        const Millis pause = *next;
        *next = std::min(pause * 2, slowest_try);
        co_await changed->wait(pause);
    }
    watch->close();
    if (cancel.cancelled()) {
        co_return Error(Errc::conflict, "waiting for '" + path.string() + "' was cancelled");
    }
    co_return fd;
}

} // namespace linarite::agent
