#include "agent/hardware.hpp"

#include "common/host.hpp"

namespace linarite::agent {

proto::NodeResources find_resources(int slots, int gpus, std::vector<std::string> labels) {
    proto::NodeResources resources;
    resources.cores = core_count();
    resources.memory_bytes = memory_bytes();
    resources.gpus = gpus;
    resources.slots = slots;
    resources.labels = std::move(labels);
    return resources;
}

} // namespace linarite::agent
