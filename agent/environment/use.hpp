// agent/environment/use.hpp: takes an environment that is there into use.
#pragma once

#include "common/error.hpp"
#include "environments/stored.hpp"

#include <optional>

namespace linarite::agent {

/// The environment `key` if it is whole, as in use by the run whose folder is `user` from now on ("" leaves no mark: it
/// may be removed at any time then). Nothing if it is not there, or is just being built or removed: ask again under the
/// lock, the mark is made already. Blocks for some file operations.
Result<std::optional<environments::Stored>> take_into_use(const std::filesystem::path& cache, const std::string& key,
                                                          const std::filesystem::path& user);

} // namespace linarite::agent
