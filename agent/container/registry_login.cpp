#include "agent/container/registry_login.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <cstdlib>

namespace linarite::agent {

namespace {

constexpr const char* default_server = "https://index.docker.io/v1/"; // as docker login writes it

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody of ours sets any
    return value == nullptr ? "" : value;
}

} // namespace

RegistryLogin find_login(const std::string& image) {
    const std::string own = variable("DOCKER_CONFIG");
    const fs::path folder = own.empty() ? fs::path(variable("HOME")) / ".docker" : fs::path(own);
    const auto text = read_file(folder / "config.json");
    const auto document = text ? proto::parse_json(*text) : Result<proto::Json>(text.error());
    if (!document || !document->is_object()) {
        return {};
    }
    const std::string registry = proto::registry_of(image);
    RegistryLogin login;
    login.server = registry.empty() ? default_server : registry;
    std::vector<Fault> ignored;
    proto::JsonReader reader(*document, "", ignored);
    proto::JsonReader auths = reader.object("auths");
    for (const std::string& server : {login.server, "https://" + login.server, "http://" + login.server}) {
        const auto pair = base64_decode(auths.object(server).text("auth"));
        const auto colon = pair ? pair->find(':') : std::string::npos;
        if (colon != std::string::npos) {
            login.username = pair->substr(0, colon);
            login.password = pair->substr(colon + 1);
            return login;
        }
    }
    return {};
}

} // namespace linarite::agent
