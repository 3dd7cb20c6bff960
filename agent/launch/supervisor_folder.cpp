#include "agent/launch/supervisor_folder.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace linarite::agent {

namespace {

/// 0, or errno. A folder's path may be too long for a socket's address, hence the way over its descriptor.
int send_control(const fs::path& facts_dir, const std::string& word) {
    const UniqueFd folder(::open(facts_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!folder || !socket) {
        return errno;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/control";
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    const ssize_t n = ::sendto(socket.get(), word.data(), word.size(), MSG_NOSIGNAL, to, sizeof address);
    return n == static_cast<ssize_t>(word.size()) ? 0 : errno;
}

} // namespace

Result<bool> lock_is_free(const fs::path& facts_dir, UniqueFd& lock) {
    const fs::path path = facts_dir / "lock";
    lock = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK) {
        return errno_error("lock '" + path.string() + "'", errno);
    }
    return false;
}

Result<SupervisorState> examine_supervisor(const fs::path& facts_dir) {
    UniqueFd lock;
    const auto free = lock_is_free(facts_dir, lock);
    if (!free) {
        return free.error();
    }
    if (!*free) {
        return SupervisorState::lives;
    }
    std::error_code ec;
    if (fs::exists(facts_dir / "exit.json", ec) || fs::exists(facts_dir / "supervisor.json", ec)) {
        return SupervisorState::ended;
    }
    // while we hold the lock: one that is still on its way to its start finds this and goes home
    if (const auto written = write_file_durably(facts_dir / "void", ""); !written) {
        return written.error();
    }
    return SupervisorState::called_off;
}

Result<void> tell_to_stop(const fs::path& facts_dir, Millis grace) {
    const std::string word = "stop " + std::to_string(grace.count());
    if (send_control(facts_dir, word) == 0) {
        return {};
    }
    // It has ended, or does not listen yet: then it reads this file once it does. Between the two it gets the word by
    // both ways.
    if (auto written = write_file_durably(facts_dir / "stop", word, 0600); !written) {
        return written;
    }
    send_control(facts_dir, word);
    return {};
}

Result<void> clear_facts(const fs::path& facts_dir) {
    UniqueFd lock;
    const auto free = lock_is_free(facts_dir, lock);
    if (!free) {
        return free.error();
    }
    if (!*free) {
        return Error(Errc::conflict, "a supervisor lives in '" + facts_dir.string() + "'");
    }
    std::error_code ec;
    for (fs::directory_iterator at(facts_dir, ec), end; !ec && at != end; at.increment(ec)) {
        if (at->path().filename() != "lock") {
            fs::remove_all(at->path(), ec);
        }
    }
    return {};
}

} // namespace linarite::agent
