// agent/container/dockerfile.hpp: dockerfiles that runs bring along in the place of an image's name.
#pragma once

#include "common/error.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace linarite::agent {

/// "linarite/dockerfile:3f2a91c0d4e5b6a7": what an image is called that is built of it.
std::string image_of_dockerfile(const std::string& text);

/// The images that it builds on, as its FROM lines name them, each once. Without its own stages, without `scratch`, and
/// without names that build arguments are a part of.
std::vector<std::string> bases_of_dockerfile(const std::string& text);

/// The same dockerfile with other images in the place of some that it builds on.
std::string with_bases(const std::string& text, const std::map<std::string, std::string>& instead);

/// Writes what an engine builds from: a tar with a Dockerfile and nothing else, as v1 sends none of the user's files
/// along.
Result<void> pack_dockerfile(const std::string& text, const std::filesystem::path& tar);

} // namespace linarite::agent
