// agent/container/dockerfile.hpp: dockerfiles that runs bring along in the place of an image's name.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace linarite::agent {

/// "linarite/dockerfile:3f2a91c0d4e5b6a7": what an image is called that is built of it, and of the files that have that
/// hash, if it comes with files.
std::string image_of_dockerfile(const std::string& text, const std::string& files = "");

/// The images that it builds on, as its FROM lines name them, each once. Without its own stages, without `scratch`, and
/// without names that build arguments are a part of.
std::vector<std::string> bases_of_dockerfile(const std::string& text);

/// The same dockerfile with other images in the place of some that it builds on.
std::string with_bases(const std::string& text, const std::map<std::string, std::string>& instead);

} // namespace linarite::agent
