// agent/environment/rattler_driver.hpp: the program that drives rattler, which travels in the executable.
#pragma once

#include <string_view>

namespace linarite::agent {

/// The text of rattler_driver.py. Generated when the build is configured.
std::string_view rattler_driver();

} // namespace linarite::agent
