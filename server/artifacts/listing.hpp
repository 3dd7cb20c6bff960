// server/artifacts/listing.hpp: walks over a folder that may hold anything.
#pragma once

#include "server/artifacts/run_files.hpp"

namespace linarite::artifacts {

/// The regular files below `root` whose names start with `prefix`, sorted, at most `limit`. Links are not followed, nor
/// listed; neither are temporary files and names that nobody could ask for.
Result<std::vector<RunFiles::Entry>> list_files(int root, const std::string& prefix, std::size_t limit);

/// Deletes the temporary files that lie directly in the folder.
Result<void> remove_temporaries(int folder);

} // namespace linarite::artifacts
