#include "agent/launch/daemon_socket.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

using Local = asio::local::stream_protocol;
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t request_limit = std::size_t{64} << 10U;
constexpr std::size_t token_bytes = 16;
constexpr auto accept_pause = std::chrono::milliseconds(100);

using Key = std::pair<std::string, std::string>; // run, host alias

struct Expected {
    Fence fence = 0;
    std::string token;
};

struct Answer {
    bool started = false;
    std::optional<int> exit_code;
    std::string message;
};

struct Connection {
    explicit Connection(Local::socket s) : socket(std::move(s)) {}
    Local::socket socket;
    Key key;
    bool told_start = false;
    std::optional<AskedLaunch> waiting; // for its run to be expected
};

/// The folder of the socket: one of its own in the agent's, since containers are given it; or one of ours below /tmp
/// that the agent's folder remembers.
Result<fs::path> socket_folder(const fs::path& agent_dir) {
    constexpr std::string_view name = "/launch.sock";
    const fs::path own = agent_dir / "launch";
    if (own.string().size() + name.size() < sizeof(sockaddr_un::sun_path)) {
        const auto made = make_folders(own, 0700);
        return made ? Result<fs::path>(own) : made.error();
    }
    const fs::path note = agent_dir / "launch.folder";
    if (const auto known = read_file(note)) {
        struct stat about {};
        const bool ours = ::lstat(known->c_str(), &about) == 0 && S_ISDIR(about.st_mode) &&
                          about.st_uid == ::geteuid() && (about.st_mode & 0077) == 0;
        if (ours) {
            return fs::path(*known);
        }
    }
    std::string folder = "/tmp/linarite-" + std::to_string(::geteuid()) + "-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) {
        return errno_error("make '" + folder + "'", errno);
    }
    if (auto written = write_file_durably(note, folder, 0600); !written) {
        return written.error();
    }
    return fs::path(folder);
}

/// A few hundred bytes fit a socket's buffer at once; a peer that does not read is no worse off than one that is gone.
void tell(Connection& connection, const proto::Json& line) {
    const std::string text = proto::print_json(line) + "\n";
    boost::system::error_code ignored;
    asio::write(connection.socket, asio::buffer(text), ignored);
}

/// What has come; "" at the end.
asio::awaitable<std::string> read_some(Connection& connection) {
    std::array<char, 4096> piece{};
    const auto [ec, size] = co_await connection.socket.async_read_some(asio::buffer(piece), tuple_awaitable);
    co_return std::string(piece.data(), ec ? 0 : size);
}

} // namespace

struct DaemonSocket::State {
    State(asio::any_io_executor e, OnRequest callback)
        : executor(std::move(e)), acceptor(executor), on_request(std::move(callback)) {}

    asio::any_io_executor executor;
    Local::acceptor acceptor;
    OnRequest on_request;
    std::string path;
    bool closed = false;
    std::map<std::string, Expected> expected;
    std::map<Key, Answer> answers;
    std::set<std::shared_ptr<Connection>> connections;

    void give(Connection& connection) {
        const auto found = answers.find(connection.key);
        if (found == answers.end()) {
            return;
        }
        const Answer& answer = found->second;
        if (answer.started && !connection.told_start) {
            connection.told_start = true;
            tell(connection, {{"started", true}});
        }
        if (answer.exit_code) {
            proto::Json line{{"exit", *answer.exit_code}};
            if (!answer.message.empty()) {
                line["message"] = answer.message;
            }
            tell(connection, line);
        }
    }

    void give_all(const Key& key) {
        for (const auto& connection : connections) {
            if (connection->key == key) {
                give(*connection);
            }
        }
    }

    static void refuse(Connection& connection, const Error& error) {
        spdlog::warn("launch request refused: {}", error.detail());
        tell(connection, {{"exit", 1}, {"message", error.detail()}});
    }

    void take(const std::shared_ptr<Connection>& connection, const std::string& line) {
        auto asked = parse_launch_request(line);
        if (!asked) {
            refuse(*connection, asked.error());
            return;
        }
        take(connection, std::move(*asked));
    }

    /// A run that is not expected may be one that we have not been told of yet: after a restart the launch agents are
    /// here before the coordinator's first word is. A refusal would end their run; how long they wait is up to them.
    void take(const std::shared_ptr<Connection>& connection, AskedLaunch asked) {
        LaunchRequest& request = asked.request;
        const auto known = expected.find(request.run.str());
        if (known == expected.end()) {
            connection->waiting = std::move(asked);
            return;
        }
        if (!equal_in_constant_time(known->second.token, asked.token) ||
            std::to_string(known->second.fence) != asked.fence) {
            refuse(*connection, Error(Errc::unauthorized, "no such run is being launched here"));
            return;
        }
        request.fence = known->second.fence;
        connection->key = {request.run.str(), request.host};
        const auto answered = answers.find(connection->key);
        const bool ended = answered != answers.end() && answered->second.exit_code.has_value();
        give(*connection);
        if (!ended) {
            on_request(std::move(request));
        }
    }

    void drop_answers(const RunId& run) {
        std::erase_if(answers, [&](const auto& entry) { return entry.first.first == run.str(); });
    }

    /// Requests that waited for their run to be expected.
    void take_waiting() {
        const auto now = connections; // a request may lead to anything
        for (const auto& connection : now) {
            if (connection->waiting && !closed && expected.contains(connection->waiting->request.run.str())) {
                AskedLaunch asked = std::move(*connection->waiting);
                connection->waiting.reset();
                take(connection, std::move(asked));
            }
        }
    }

    static asio::awaitable<void> serve(std::shared_ptr<State> self, std::shared_ptr<Connection> connection) {
        std::string buffer;
        while (buffer.size() < request_limit) {
            const std::string piece = co_await read_some(*connection);
            if (piece.empty() || self->closed) {
                break; // mpirun has ended its launch agent, or was ended itself
            }
            buffer += piece;
            for (auto end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
                self->take(connection, buffer.substr(0, end));
                buffer.erase(0, end + 1);
            }
        }
        self->connections.erase(connection);
    }

    static asio::awaitable<void> accept(std::shared_ptr<State> self) {
        while (!self->closed) {
            auto [ec, socket] = co_await self->acceptor.async_accept(tuple_awaitable);
            if (self->closed) {
                co_return;
            }
            if (ec) { // no descriptors left, most likely
                spdlog::warn("launch socket: {}", ec.message());
                asio::steady_timer timer(self->executor, accept_pause);
                co_await timer.async_wait(tuple_awaitable);
                continue;
            }
            auto connection = std::make_shared<Connection>(std::move(socket));
            self->connections.insert(connection);
            asio::co_spawn(self->executor, serve(self, connection), asio::detached); // reports nothing but its end
        }
    }

    Result<void> listen(const fs::path& folder) {
        path = (folder / "launch.sock").string();
        ::unlink(path.c_str()); // a former agent's; the agent's folder is locked by us
        boost::system::error_code ec;
        const auto step = [&](const boost::system::error_code& failed) -> Result<void> {
            return failed ? Result<void>(Error(Errc::internal, "listen at '" + path + "': " + failed.message()))
                          : Result<void>();
        };
        acceptor.open(Local(), ec);
        if (!ec) {
            acceptor.bind(Local::endpoint(path), ec);
        }
        if (!ec && ::chmod(path.c_str(), 0600) != 0) {
            ec.assign(errno, boost::system::system_category());
        }
        if (!ec) {
            acceptor.listen(asio::socket_base::max_listen_connections, ec);
        }
        return step(ec);
    }
};

DaemonSocket::DaemonSocket(std::shared_ptr<State> state) : state_(std::move(state)) {}

DaemonSocket::~DaemonSocket() {
    state_->closed = true;
    boost::system::error_code ignored;
    state_->acceptor.close(ignored);
    for (const auto& connection : state_->connections) {
        connection->socket.close(ignored);
    }
}

Result<std::unique_ptr<DaemonSocket>> DaemonSocket::open(asio::any_io_executor executor, const fs::path& agent_dir,
                                                         OnRequest on_request) {
    const auto folder = socket_folder(agent_dir);
    if (!folder) {
        return folder.error();
    }
    auto state = std::make_shared<State>(executor, std::move(on_request));
    if (const auto listening = state->listen(*folder); !listening) {
        return listening.error();
    }
    asio::co_spawn(executor, State::accept(state), asio::detached); // ends with the acceptor
    return std::unique_ptr<DaemonSocket>(new DaemonSocket(std::move(state)));
}

const std::string& DaemonSocket::path() const {
    return state_->path;
}

std::string DaemonSocket::expect(const RunId& run, Fence fence, std::string token) {
    if (token.empty()) {
        token = random_hex(token_bytes);
        state_->drop_answers(run); // word of an earlier attempt's daemons may have come after its end
    }
    state_->expected[run.str()] = Expected{fence, token};
    asio::post(state_->executor, [state = state_] { state->take_waiting(); }); // the owner is not done yet
    return token;
}

void DaemonSocket::started(const RunId& run, const std::string& host) {
    const Key key{run.str(), host};
    state_->answers[key].started = true;
    state_->give_all(key);
}

void DaemonSocket::ended(const RunId& run, const std::string& host, int exit_code, const std::string& message) {
    const Key key{run.str(), host};
    Answer& answer = state_->answers[key];
    if (answer.exit_code) {
        return;
    }
    answer.exit_code = exit_code;
    answer.message = message;
    state_->give_all(key);
}

void DaemonSocket::forget(const RunId& run) {
    state_->expected.erase(run.str());
    state_->drop_answers(run);
    boost::system::error_code ignored;
    for (const auto& connection : state_->connections) {
        if (connection->key.first == run.str()) {
            connection->socket.close(ignored);
        }
    }
}

} // namespace linarite::agent
