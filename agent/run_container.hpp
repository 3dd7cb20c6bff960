// agent/run_container.hpp: what changes for a run on this node because it is in a container.
#pragma once

#include "agent/container/containers.hpp"
#include "agent/launch/plan.hpp"
#include "proto/agent_protocol.hpp"

#include <vector>

namespace linarite::agent {

/// The image that was chosen, with the login that the run came with, if it did.
ImageOrder image_order(const ImageChoice& choice, const proto::ContainerSettings& settings,
                       const proto::RegistryLogin& login);

/// Whether the image has what the run starts with. invalid_argument says what it lacks and what to do about it.
Result<void> check_image(const Image& image, const proto::RunDefinition& definition);

/// The image's variables in the place of the node's, a home that may be written to, and no look at the node's files.
void fit_into(const Image& image, LaunchOrder& order);

/// What the container must see of the node. Data is read-only unless it is copied for the run or sent back.
std::vector<BindMount> container_mounts(const LaunchOrder& order, const std::vector<proto::DesiredData>& data);

/// What it is to see with changes of its own, for which the folders are made: environment_view().
Result<std::vector<View>> container_views(const LaunchOrder& order);

/// For the lock that is kept with the run: the image, to the digit.
std::string image_lock(const Image& image);

/// Whether there is a GPU that a container could be given.
bool has_nvidia_driver();

} // namespace linarite::agent
