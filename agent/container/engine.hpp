// agent/container/engine.hpp: the calls of a Docker-compatible engine (Docker, Podman) that a node needs.
#pragma once

#include "agent/container/container_spec.hpp"
#include "agent/container/engine_http.hpp"
#include "proto/registry.hpp"

#include <map>
#include <optional>
#include <sys/types.h>
#include <vector>

namespace linarite::agent {

/// An image that is on this node.
struct ImageFacts {
    std::string id;                               // "sha256:..."
    std::vector<std::string> digests;             // "registry/name@sha256:...", of images that came from a registry
    std::map<std::string, std::string> variables; // its own environment
};

struct ContainerFacts {
    std::string id;
    bool running = false;
    bool ended = false; // it ran, and does not any more: neither this nor running is one that is about to be started
    std::string status; // the engine's own word: "running", "created"
    pid_t pid = 0;      // of its first process, as this node sees it
    int exit_code = 0;
    bool out_of_memory = false;
    std::string error; // why it could not be started
};

/// Of a list: what our labels say.
struct ListedContainer {
    std::string id;
    std::map<std::string, std::string> labels;
};

using proto::RegistryLogin;

/// Takes a line for people.
using LineOut = std::function<void(std::string line)>;

/// What an image is to be built of.
struct ImageBuild {
    std::string name;
    fs::path tar;                      // all files, the dockerfile among them
    std::string dockerfile;            // its name in there
    std::vector<RegistryLogin> logins; // for the registries of what it builds on
};

/// One engine. Errors are in its own words: not_found, conflict and so on as its status says, unavailable if nobody
/// answers.
class Engine {
public:
    Engine(asio::any_io_executor executor, fs::path socket);

    [[nodiscard]] const fs::path& socket() const { return socket_; }
    /// "Docker Engine 20.10.24 at /var/run/docker.sock", "Podman 4.3.1 (rootless) at ...". Asked once.
    asio::awaitable<Result<std::string>> introduce();
    /// Whether it is Podman, as far as is known: once it was introduced.
    [[nodiscard]] bool is_podman() const { return is_podman_; }
    /// Whether it gives containers a network of their own even if they are to have the node's, as Docker of an ordinary
    /// user does.
    [[nodiscard]] bool parts_networks() const { return is_rootless_ && !is_podman_; }
    /// Whether it is there right now.
    asio::awaitable<bool> answers();

    /// not_found if this node does not have it. Never asks a registry.
    asio::awaitable<Result<ImageFacts>> find_image(std::string name);
    /// Makes an image of a root filesystem: a tar, as it is or compressed.
    asio::awaitable<Result<void>> import(std::string name, fs::path tar, CancelToken cancel);
    /// Fetches it from its registry. `log` gets what happens, a line for each step.
    asio::awaitable<Result<void>> pull(std::string name, RegistryLogin login, LineOut log, CancelToken cancel);

    /// Makes an image; `log` gets the steps and what they print. Nothing is left of a build that fails or is cancelled.
    asio::awaitable<Result<void>> build(ImageBuild order, LineOut log, CancelToken cancel);

    /// Its id. conflict: there is one of that name. Its user is the same outside, whoever the engine runs as.
    asio::awaitable<Result<std::string>> create(std::string name, ContainerSpec spec);
    asio::awaitable<Result<void>> start(std::string name);
    asio::awaitable<Result<ContainerFacts>> inspect(std::string name);
    /// The exit code of one that is about to end; waits for that, for a minute at most.
    asio::awaitable<Result<int>> wait(std::string name);
    asio::awaitable<Result<void>> kill(std::string name, std::string signal);
    /// With everything that runs in it. One that is not there is removed already.
    asio::awaitable<Result<void>> remove(std::string name);
    /// All of ours, whether they run or not, with this label.
    asio::awaitable<Result<std::vector<ListedContainer>>> list(std::string label, std::string value);
    /// What it prints, line by line; with `follow` until it has ended.
    asio::awaitable<Result<void>> read_output(std::string name, bool follow, LineOut line, CancelToken cancel);

private:
    asio::awaitable<Result<EngineAnswer>> call(EngineRequest request, PieceSink sink = {}, CancelToken cancel = {});
    asio::awaitable<Result<nlohmann::json>> ask(EngineRequest request); // the document that is answered
    asio::awaitable<Result<void>> command(EngineRequest request);
    asio::awaitable<Result<void>> follow(EngineRequest request, LineOut log, CancelToken cancel);
    asio::awaitable<Result<void>> remove_once(std::string name);
    asio::awaitable<Result<void>> wait_until_removed(std::string name);
    asio::awaitable<Result<bool>> ask_whether_rootless(const std::string& prefix);

    asio::any_io_executor executor_;
    fs::path socket_;
    std::string prefix_; // "/v1.41", once it is known
    std::string name_;
    bool is_podman_ = false;
    bool is_rootless_ = false;
};

/// Where an engine may listen on this node: DOCKER_HOST if it is set, else the first of the usual sockets that is
/// there. not_found with the places that were looked at; invalid_argument for a DOCKER_HOST that is no Unix socket.
Result<fs::path> find_engine_socket();

} // namespace linarite::agent
