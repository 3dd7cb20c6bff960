// agent/container/registry_login.hpp: the credentials that this node has for registries.
#pragma once

#include "agent/container/engine.hpp"

#include <string>

namespace linarite::agent {

/// "registry.example:5000" of "registry.example:5000/team/image:1"; "" if the engine's own default registry is meant.
std::string registry_of(const std::string& image);

/// What `docker login` left for the image's registry in $DOCKER_CONFIG/config.json or ~/.docker/config.json of the
/// agent's user; nothing in it if there is nothing.
RegistryLogin find_login(const std::string& image);

} // namespace linarite::agent
