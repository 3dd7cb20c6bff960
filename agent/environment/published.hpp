// agent/environment/published.hpp: environments in the cache's folder, from what a build made to what a run gets.
#pragma once

#include "agent/environment/provider.hpp"

#include <optional>

namespace linarite::agent {

/// What a run needs to know of an environment that is in `folder`.
PreparedEnvironment describe(const fs::path& folder, const Plan& plan, Built built);
/// The same of an interpreter as it is, for which nothing is built.
PreparedEnvironment describe_bare(const Plan& plan);

/// Whether its interpreter is one of an image. That can't have gone since, as the digest is the same.
bool stands_on_image(const Plan& plan);

/// The environment if it was published and its interpreter is still there; it is in use by `user` from then on.
Result<std::optional<PreparedEnvironment>> look_up(const fs::path& folder, const Plan& plan, const fs::path& user);
/// The same for who holds the exclusive lock.
std::optional<PreparedEnvironment> look_again(const fs::path& folder, const Plan& plan);

/// Removes what is in the folder, whole or half-built.
Result<void> clear_away(const fs::path& folder);
/// Makes what was built there the environment of its key, for good: it is on the disk, and its files are read-only.
Result<void> publish(const fs::path& folder, const Plan& plan, const Built& built);

} // namespace linarite::agent
