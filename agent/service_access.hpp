// agent/service_access.hpp: what a run needs to speak to the service itself: where it is, whom to trust, and our own
// azureml module for scripts whose environment has none.
#pragma once

#include "agent/identity.hpp"

#include <map>
#include <string>

namespace linarite::agent {

/// Where the service is, and whom to trust there.
struct Service {
    std::string url;    // https
    std::string ca_pem; // "" is the system's roots
};

/// The service of the coordinator that this identity belongs to. Unavailable while none is known.
Result<Service> coordinator_service(const Identity& identity, const DataDir& data);

/// AZUREML_SERVICE_ENDPOINT and the variables by which HTTP libraries find the certificates to trust: the system's, and
/// our own CA. Writes the bundle below `agent_folder` if it is not there yet. Unavailable while no coordinator is
/// known.
Result<std::map<std::string, std::string>> service_variables(const Identity& identity, const DataDir& data,
                                                             const fs::path& agent_folder);

/// Writes our azureml module below `folder`, and gives the folder that belongs on PYTHONPATH. One version has one
/// folder: a run that still uses another one keeps it.
Result<fs::path> install_dropin(const fs::path& folder);

} // namespace linarite::agent
