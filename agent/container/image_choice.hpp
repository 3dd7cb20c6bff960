// agent/container/image_choice.hpp: in what a run runs: in a container of an image, or on the node itself.
#pragma once

#include "common/error.hpp"
#include "proto/run_definition.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// One line of the operator's map: runs that ask for an image which matches the pattern get another one, or none.
struct ImageRule {
    std::string pattern; // as a shell's: * also stands for '/'
    std::string image;   // "" is the node itself
    bool operator==(const ImageRule&) const = default;
};

/// "PATTERN=IMAGE"; "PATTERN=" and "PATTERN=none" are the node itself.
Result<ImageRule> parse_image_rule(std::string_view text);

struct ImageChoice {
    std::string image;  // "" is the node itself
    std::string reason; // for the build log; "" if there is nothing to say
};

/// The first rule that matches decides. Without one Azure's own base images are the node itself, since what they bring
/// is there, and any other image is what it says. invalid_argument for what
/// can't be met.
Result<ImageChoice> choose_image(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules);

} // namespace linarite::agent
