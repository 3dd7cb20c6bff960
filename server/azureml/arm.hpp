// server/azureml/arm.hpp: what the answers of the resource manager's dialect have in common.
#pragma once

#include "server/azureml/call.hpp"

#include <string>

namespace linarite::azureml {

/// Where all resources are, in Azure's sense.
inline constexpr const char* location = "local";

/// What a client asks where this workspace's services are. The path differs when the answer would: clients keep the
/// answer for ever, by this address.
std::string discovery_url(const Call& call);

} // namespace linarite::azureml
