// agent/shared_dir.hpp: a directory that several hosts see.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <string>

namespace linarite::agent {

/// What the directory is known by, wherever it is mounted: a random word in a file in it, made by the first agent that
/// looks. "" for no directory. invalid_argument if it is not an absolute path to a folder that can be written in.
Result<std::string> identify_shared_dir(const fs::path& folder);

} // namespace linarite::agent
