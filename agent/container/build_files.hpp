// agent/container/build_files.hpp: what an engine gets to build an image from.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <string>

namespace linarite::agent {

/// A folder of a run's with a dockerfile and the files that it copies into its image.
struct BuildFiles {
    fs::path folder;
    std::string dockerfile; // its name below the folder
    std::string text;       // what it says
    std::string sha256;     // of the names and the bytes of all files
};

/// Looks into the folder. not_found, with the names of some files, if the dockerfile is not there; invalid_argument for
/// what is neither a file nor a folder: a link above all. Blocking.
Result<BuildFiles> read_build_files(const fs::path& folder, const std::string& dockerfile);

/// Writes a tar with a Dockerfile of that text and nothing else. Blocking.
Result<void> pack_dockerfile(const std::string& text, const fs::path& tar);

/// Writes a tar with the files, and `text` in the place of what their dockerfile says. Blocking.
Result<void> pack_build_files(const BuildFiles& files, const std::string& text, const fs::path& tar);

} // namespace linarite::agent
