// proto/registry.hpp: image registries: which one an image's name means, and by which login it is asked.
#pragma once

#include "proto/run_definition.hpp"

#include <string>

namespace linarite::proto {

/// Credentials for a registry; without a user name there are none.
struct RegistryLogin {
    std::string username;
    std::string password;
    std::string server; // "registry.example:5000"; "" is the engine's own default registry
    bool operator==(const RegistryLogin&) const = default;
};

/// "registry.example:5000" of "registry.example:5000/team/image:1"; "" if the engine's own default registry is meant.
std::string registry_of(const std::string& image);

/// The address as names of images begin with it: without a scheme, without "/v1" or "/v2" after it.
std::string clean_registry_address(std::string address);

/// The base image with the registry's address before it, where the name itself names no registry.
std::string full_image_name(const ContainerSettings& container);

/// The registry that the definition's user name is for.
std::string login_server(const ContainerSettings& container);

/// environment.docker.baseImageRegistry.password of a run definition as it was submitted; "" if there is none. It is
/// kept apart from the definition, which people read back.
std::string registry_password(const Json& document);
/// The definition with null in its place.
Json without_registry_password(Json document);

} // namespace linarite::proto
