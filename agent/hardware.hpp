// agent/hardware.hpp: what this machine offers as a node.
#pragma once

#include "proto/agent_protocol.hpp"

#include <string>
#include <vector>

namespace linarite::agent {

/// Cores and memory, with what else the node was told or has found.
proto::NodeResources find_resources(int slots, int gpus, std::vector<std::string> labels);

} // namespace linarite::agent
