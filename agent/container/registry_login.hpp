// agent/container/registry_login.hpp: the credentials that this node has for registries.
#pragma once

#include "agent/container/engine.hpp"

#include <string>

namespace linarite::agent {

/// What `docker login` left for the image's registry in $DOCKER_CONFIG/config.json or ~/.docker/config.json of the
/// agent's user; nothing in it if there is nothing.
RegistryLogin find_login(const std::string& image);

} // namespace linarite::agent
