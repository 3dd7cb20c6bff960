#include "agent/environment/process.hpp"

#include "common/files.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t longest_line = std::size_t{64} << 10U;

// What posix_spawn wants, freed on every path.
class SpawnSetup {
public:
    SpawnSetup() {
        posix_spawn_file_actions_init(&actions_);
        posix_spawnattr_init(&attributes_);
    }
    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;
    ~SpawnSetup() {
        posix_spawn_file_actions_destroy(&actions_);
        posix_spawnattr_destroy(&attributes_);
    }

    Result<pid_t> spawn(const ProcessOrder& order, int output) {
        posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions_, output, 1);
        posix_spawn_file_actions_adddup2(&actions_, output, 2);
        if (order.keep_fd >= 0) {
            posix_spawn_file_actions_adddup2(&actions_, order.keep_fd, 3); // the copy is not closed by exec
        }
        if (!order.folder.empty()) {
            posix_spawn_file_actions_addchdir_np(&actions_, order.folder.c_str());
        }
        sigset_t none;
        sigset_t all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes_, &none);
        posix_spawnattr_setsigdefault(&attributes_, &all);
        posix_spawnattr_setpgroup(&attributes_, 0);
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

        std::vector<char*> arguments;
        arguments.reserve(order.arguments.size() + 1);
        for (const std::string& argument : order.arguments) {
            arguments.push_back(const_cast<char*>(argument.c_str())); // posix_spawn does not write to it
        }
        arguments.push_back(nullptr);
        std::vector<std::string> pairs;
        pairs.reserve(order.variables.size());
        for (const auto& [name, value] : order.variables) {
            pairs.push_back(name);
            pairs.back().append("=").append(value);
        }
        std::vector<char*> variables;
        variables.reserve(pairs.size() + 1);
        for (std::string& pair : pairs) {
            variables.push_back(pair.data());
        }
        variables.push_back(nullptr);
        pid_t pid = -1;
        const int error =
            ::posix_spawn(&pid, arguments[0], &actions_, &attributes_, arguments.data(), variables.data());
        if (error != 0) {
            return errno_error("start '" + order.arguments.front() + "'", error);
        }
        return pid;
    }

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

// One running child. Its handlers keep it alive; if the event loop goes away under it, its group is killed.
class Child : public std::enable_shared_from_this<Child> {
public:
    Child(const asio::any_io_executor& executor, pid_t pid, UniqueFd output, UniqueFd pid_fd, LineSink on_line)
        : pid_(pid),
          output_(executor, output.release()),
          pid_fd_(executor, pid_fd.release()),
          limit_(executor),
          on_line_(std::move(on_line)) {}
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (!reaped_) {
            kill_group();
            reap();
        }
    }

    void follow(std::chrono::milliseconds limit) {
        read_more();
        await_exit();
        limit_.expires_after(limit);
        limit_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
            if (!error && !self->reaped_) {
                self->end_.timed_out = true;
                self->kill_group();
            }
        });
    }

    void cancel() {
        if (!reaped_) {
            end_.cancelled = true;
            kill_group();
        }
    }

    [[nodiscard]] bool over() const { return over_; }
    [[nodiscard]] const ProcessEnd& end() const { return end_; }
    Signal& changed() { return changed_; }

private:
    void kill_group() const { ::kill(-pid_, SIGKILL); } // the leader is not reaped yet, so the group is still ours

    void await_exit() {
        pid_fd_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [self = shared_from_this()](const boost::system::error_code& error) {
                               if (!error) {
                                   self->on_wake();
                               }
                           });
    }

    // Asio may hand us an event that was meant for an earlier descriptor, so this is only a hint.
    void on_wake() {
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG);
        if (info.si_pid == 0) {
            await_exit();
        } else {
            on_exit();
        }
    }

    void read_more() {
        reading_ = true;
        output_.async_read_some(asio::buffer(piece_),
                                [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                                    self->reading_ = false;
                                    self->take(std::string_view(self->piece_.data(), size));
                                    if (self->reaped_) {
                                        self->finish();
                                    } else if (!error) {
                                        self->read_more();
                                    }
                                });
    }

    void take(std::string_view bytes) {
        line_.append(bytes);
        std::size_t at = 0;
        for (std::size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n', at)) {
            give(std::string_view(line_).substr(at, end - at));
            at = end + 1;
        }
        line_.erase(0, at);
        if (line_.size() >= longest_line) {
            give(line_);
            line_.clear();
        }
    }

    void give(std::string_view line) const {
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        on_line_(line);
    }

    void reap() {
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
        kill_group(); // what it left behind in its group
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED);
        reaped_ = true;
        (info.si_code == CLD_EXITED ? end_.exit_code : end_.signal) = info.si_status;
    }

    void on_exit() {
        reap();
        if (reading_) {
            output_.cancel(); // its handler goes on: it may have bytes that were read already
        } else {
            finish();
        }
    }

    // All that it wrote is in the pipe now; somebody else who holds the other end is not waited for.
    void finish() {
        output_.native_non_blocking(true);
        for (;;) {
            const ssize_t size = ::read(output_.native_handle(), piece_.data(), piece_.size());
            if (size < 0 && errno == EINTR) {
                continue;
            }
            if (size <= 0) {
                break;
            }
            take(std::string_view(piece_.data(), static_cast<std::size_t>(size)));
        }
        if (!line_.empty()) {
            give(line_);
            line_.clear();
        }
        over_ = true;
        limit_.cancel();
        changed_.notify();
    }

    pid_t pid_;
    asio::posix::stream_descriptor output_;
    asio::posix::stream_descriptor pid_fd_;
    asio::steady_timer limit_;
    LineSink on_line_;
    std::array<char, 16384> piece_{};
    std::string line_;
    ProcessEnd end_;
    bool over_ = false;
    bool reading_ = false;
    bool reaped_ = false;
    Signal changed_;
};

Result<std::shared_ptr<Child>> start_child(const asio::any_io_executor& executor, const ProcessOrder& order,
                                           LineSink on_line) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return errno_error("make a pipe", errno);
    }
    UniqueFd reading(ends[0]);
    const UniqueFd writing(ends[1]);
    auto pid = SpawnSetup().spawn(order, writing.get());
    if (!pid) {
        return pid.error();
    }
    UniqueFd pid_fd(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
    if (!pid_fd) {
        const int error = errno;
        ::kill(-*pid, SIGKILL);
        ::waitpid(*pid, nullptr, 0);
        return errno_error("watch '" + order.arguments.front() + "'", error);
    }
    return std::make_shared<Child>(executor, *pid, std::move(reading), std::move(pid_fd), std::move(on_line));
}

} // namespace

asio::awaitable<Result<ProcessEnd>> run_process(ProcessOrder order, LineSink on_line, CancelToken cancel) {
    if (cancel.cancelled()) {
        ProcessEnd end;
        end.cancelled = true;
        end.signal = SIGKILL;
        co_return end;
    }
    const auto executor = co_await asio::this_coro::executor;
    const auto started = start_child(executor, order, std::move(on_line));
    if (!started) {
        co_return started.error();
    }
    const std::shared_ptr<Child>& child = *started;
    child->follow(order.limit);
    const auto hook = cancel.on_cancel([child] { child->cancel(); });
    while (!child->over()) {
        co_await child->changed().wait();
    }
    co_return child->end();
}

std::map<std::string, std::string> own_variables() {
    std::map<std::string, std::string> out;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (const auto equals = text.find('='); equals != std::string_view::npos) {
            out.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return out;
}

} // namespace linarite::agent
