// Where a container engine may be found on this node.
#include "agent/container/engine.hpp"

#include <cstdlib>
#include <sys/stat.h>

namespace linarite::agent {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody of ours sets any
    return value == nullptr ? "" : value;
}

bool socket_is_at(const fs::path& path) {
    struct stat about {};
    return ::stat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode);
}

} // namespace

Result<fs::path> find_engine_socket() {
    constexpr std::string_view scheme = "unix://";
    if (const std::string host = variable("DOCKER_HOST"); !host.empty()) {
        if (!host.starts_with(scheme)) {
            return Error(Errc::invalid_argument, "DOCKER_HOST is '" + host +
                                                     "', but a run's container must be on the node itself: it has to "
                                                     "be the Unix socket of an engine there (unix:///...)");
        }
        return fs::path(host.substr(scheme.size()));
    }
    std::vector<fs::path> places{"/var/run/docker.sock", "/run/podman/podman.sock"};
    if (const std::string own = variable("XDG_RUNTIME_DIR"); !own.empty()) {
        places.emplace_back(own + "/docker.sock");
        places.emplace_back(own + "/podman/podman.sock");
    }
    std::string looked;
    for (const fs::path& place : places) {
        if (socket_is_at(place)) {
            return place;
        }
        looked += (looked.empty() ? "" : ", ") + place.string();
    }
    return Error(Errc::not_found, "no container engine is on this node (looked at DOCKER_HOST, " + looked + ")");
}

} // namespace linarite::agent
