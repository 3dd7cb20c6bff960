#include "agent/shim/rsh.hpp"

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::int64_t default_patience_ms = 60'000;
constexpr unsigned connect_again_us = 50'000;

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): the shim has one thread
    return value == nullptr ? "" : value;
}

std::int64_t patience_ms() {
    const std::int64_t given = std::strtoll(variable("LINARITE_LAUNCH_TIMEOUT_MS").c_str(), nullptr, 10);
    return given > 0 ? given : default_patience_ms;
}

int connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    std::memcpy(static_cast<char*>(address.sun_path), path.c_str(), path.size() + 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return fd;
    }
    const int kept = errno;
    ::close(fd);
    errno = kept;
    return -1;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0 && errno != EINTR) {
            return false;
        }
        bytes.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    return true;
}

/// One request, over as many connections as it takes.
class Conversation {
public:
    Conversation(std::string host, std::string command) : host_(std::move(host)) {
        request_ = Json{{"token", variable("LINARITE_LAUNCH_TOKEN")},
                        {"run", variable("LINARITE_LAUNCH_RUN")},
                        {"fence", variable("LINARITE_LAUNCH_FENCE")},
                        {"host", host_},
                        {"command", std::move(command)}}
                       .dump(-1, ' ', false, Json::error_handler_t::replace) +
                   "\n";
    }

    int run() {
        const std::string path = variable("LINARITE_LAUNCH_SOCKET");
        if (path.empty()) {
            std::fprintf(stderr, "linarite-shim rsh: LINARITE_LAUNCH_SOCKET is not set\n");
            return 1;
        }
        heard_ = steady_ms();
        while (started_ || steady_ms() - heard_ < patience_ms()) {
            const int fd = connect_to(path);
            if (fd < 0 || !send_all(fd, request_)) {
                problem_ = std::string("no agent at '") + path + "'";
                ::close(fd);
                ::usleep(connect_again_us);
                continue;
            }
            const auto code = listen(fd);
            ::close(fd);
            if (code) {
                return *code;
            }
            ::usleep(connect_again_us);
        }
        std::fprintf(stderr, "linarite-shim rsh: %s: %s for %lld s\n", host_.c_str(), problem_.c_str(),
                     static_cast<long long>(patience_ms() / 1'000));
        return 1;
    }

private:
    /// The exit code, or nothing if the connection ended without one.
    std::optional<int> listen(int fd) {
        std::string buffer;
        std::array<char, 4096> piece{};
        for (;;) {
            pollfd watched{fd, POLLIN, 0};
            const std::int64_t left = started_ ? -1 : std::max<std::int64_t>(0, heard_ + patience_ms() - steady_ms());
            const int ready = ::poll(&watched, 1, static_cast<int>(left));
            if (ready == 0) {
                problem_ = "the daemon there has not been started";
                return std::nullopt;
            }
            const ssize_t n = ::read(fd, piece.data(), piece.size());
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                problem_ = "the agent has been away";
                return std::nullopt;
            }
            buffer.append(piece.data(), static_cast<std::size_t>(n));
            for (auto end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
                if (const auto code = take(Json::parse(buffer.substr(0, end), nullptr, false))) {
                    return code;
                }
                buffer.erase(0, end + 1);
            }
        }
    }

    std::optional<int> take(const Json& line) {
        if (!line.is_object()) {
            return std::nullopt;
        }
        heard_ = steady_ms();
        if (line.contains("started")) {
            started_ = true;
        }
        if (const auto words = line.find("message"); words != line.end() && words->is_string()) {
            std::fprintf(stderr, "linarite-shim rsh: %s: %s\n", host_.c_str(), words->get<std::string>().c_str());
        }
        if (const auto code = line.find("exit"); code != line.end() && code->is_number_integer()) {
            return code->get<int>() & 255;
        }
        return std::nullopt;
    }

    std::string host_;
    std::string request_;
    std::string problem_;
    std::int64_t heard_ = 0; // when the agent last said something
    bool started_ = false;   // the daemon is up over there: it, or an agent that is away, may take as long as the run
};

} // namespace

int rsh(int count, char** words) {
    ::signal(SIGPIPE, SIG_IGN);
    int at = 0;
    while (at < count && (std::strcmp(words[at], "-x") == 0 || std::strcmp(words[at], "-n") == 0)) {
        ++at; // flags that a real ssh or rsh would be given
    }
    if (at + 1 >= count) {
        std::fprintf(stderr, "usage: linarite-shim rsh HOST COMMAND...\n");
        return 2;
    }
    std::string command;
    for (int word = at + 1; word < count; ++word) {
        command += (word > at + 1 ? " " : "") + std::string(words[word]);
    }
    return Conversation(words[at], command.substr(std::min(command.find_first_not_of(' '), command.size()))).run();
}

} // namespace linarite::shim
