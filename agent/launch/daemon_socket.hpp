// agent/launch/daemon_socket.hpp: where mpirun's launch agent (`linarite-shim rsh`) asks this agent for daemons on
// other nodes.
#pragma once

#include "agent/launch/launch_request.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace linarite::agent {

namespace asio = boost::asio;
namespace fs = std::filesystem;

/// Serves a Unix socket at a path that stays the same over restarts of the agent. Everything is told again after a
/// restart: the launch agents ask anew, and the owner calls expect(), started() and ended() from what it knows.
class DaemonSocket {
public:
    /// Called for each request of an expected run with the right token that has not been answered with an end; again if
    /// the same is asked again. One with a wrong token is refused; one of a run that is not expected waits until it is.
    using OnRequest = std::function<void(LaunchRequest)>;

    /// Listens below `agent_dir`, or in a folder of our own below /tmp if that path is too long for a socket.
    static Result<std::unique_ptr<DaemonSocket>> open(asio::any_io_executor executor, const fs::path& agent_dir,
                                                      OnRequest on_request);
    ~DaemonSocket();
    DaemonSocket(const DaemonSocket&) = delete;
    DaemonSocket& operator=(const DaemonSocket&) = delete;

    /// For LINARITE_LAUNCH_SOCKET.
    [[nodiscard]] const std::string& path() const;
    /// Takes requests of this run from now on, and those that have come already. `token` "" makes one, for a new
    /// launch; after a restart give the one that the run was launched with (read_launch_token). Gives the token.
    std::string expect(const RunId& run, Fence fence, std::string token = "");
    /// The daemon runs there: the launch agent may wait as long as it takes.
    void started(const RunId& run, const std::string& host);
    /// It has ended (or could not be started, with words for mpirun's log). Those that ask later are answered too.
    void ended(const RunId& run, const std::string& host, int exit_code, const std::string& message = "");
    /// Requests of this run are not answered any more, connections of those that were taken are closed.
    void forget(const RunId& run);

private:
    struct State;
    explicit DaemonSocket(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace linarite::agent
