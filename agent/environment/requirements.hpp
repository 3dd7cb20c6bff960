// agent/environment/requirements.hpp: what a conda and a pip list mean to a Python package index.
#pragma once

#include "common/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

struct Requirements {
    std::vector<std::string> lines;    // for a requirements file, in the order given
    std::vector<std::string> warnings; // what was left out or read differently, in words
};

/// Names are mapped where the index knows them by another one, libraries that wheels bring with them are left out with
/// a warning, and versions are rewritten ("numpy=1.21" is "numpy==1.21.*"). Nothing here judges a version.
/// invalid_argument for a line that would make the installer read other files of the node.
Result<Requirements> to_requirements(const std::vector<std::string>& conda, const std::vector<std::string>& pip);

/// Whether a line asks for this package, whatever its version.
bool names_package(const std::string& line, std::string_view package);

/// A package's name as all spellings of it are written the same: "Foo_bar" is "foo-bar" (PEP 503).
std::string normalised_name(std::string_view name);

/// The text without the user and the password of the addresses in it: "https://anna:pw@host/" is "https://****@host/".
std::string without_credentials(std::string text);
std::vector<std::string> without_credentials(std::vector<std::string> lines);

/// One text for all lists that mean the same: order, blanks, repeats and the spelling of names do not matter.
std::string normalise(const std::vector<std::string>& lines);

/// The same for conda's specs, in which "a_b" and "a-b" are two packages, and a blank may stand for an operator.
std::string normalise_conda(const std::vector<std::string>& specs);

} // namespace linarite::agent
