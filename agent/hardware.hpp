// agent/hardware.hpp: what this machine offers as a node.
#pragma once

#include "common/error.hpp"
#include "proto/agent_protocol.hpp"

#include <string>
#include <vector>

namespace linarite::agent {

/// Cores, memory, GPUs. `gpus` is "auto" (counted by the NVIDIA driver's device files) or "fake:N"; anything else is
/// invalid_argument.
Result<proto::NodeResources> find_resources(int slots, const std::string& gpus, std::vector<std::string> labels);

/// This machine's address towards the coordinator ("" url: loopback), as other nodes reach it.
std::string find_address(const std::string& coordinator_url);

} // namespace linarite::agent
