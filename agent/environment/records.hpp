// agent/environment/records.hpp: what exactly is installed, beyond names and versions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace linarite::agent {

/// The lock of an environment: the lines of `pip freeze`, each with "  # record sha256:..." behind it, the SHA-256 of
/// the distribution's RECORD file, which in turn has the hash of each of its files. It is a comment: the text is good
/// for `pip install -r` as it is. A distribution without a RECORD has none. Reads a small file for each: some
/// milliseconds.
std::string lock_of_installed(const std::filesystem::path& environment, const std::vector<std::string>& frozen);

} // namespace linarite::agent
