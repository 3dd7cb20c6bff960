// agent/container/image_choice.hpp: in what a run runs: in a container of an image, or on the node itself.
#pragma once

#include "common/error.hpp"
#include "proto/run_definition.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// What stands in for Azure's own base images on nodes that have it; deploy/images/build makes it. The number rises
/// with what is in it.
inline constexpr const char* stand_in_image = "linarite/openmpi:1";

/// One line of the operator's map: runs that ask for an image which matches the pattern get another one, or none.
struct ImageRule {
    std::string pattern; // as a shell's: * also stands for '/'
    std::string image;   // "" is the node itself; "rootfs:/path" a folder or a tar of a root filesystem
    bool operator==(const ImageRule&) const = default;
};

/// "PATTERN=IMAGE", "PATTERN=rootfs:/PATH"; "PATTERN=" and "PATTERN=none" are the node itself.
Result<ImageRule> parse_image_rule(std::string_view text);

/// What a node has for Azure's own base images.
struct StandIn {
    std::string no_engine; // why no container engine is to be had, in words; "" if one answers
    bool is_there = false; // the engine has stand_in_image
};

struct ImageChoice {
    std::string image;        // "" is the node itself; "rootfs:/path" as in a rule
    std::string reason;       // for the build log; "" if there is nothing to say
    std::string dockerfile{}; // what the image is built of; "" if it is there or in a registry
};

/// Whether the choice is one between the stand-in and the node itself, so that choose_image() has to know what the node
/// has.
bool wants_stand_in(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules);

/// The first rule that matches decides (it may be about the name as it was written, or with its registry). Without one
/// Azure's own base images with an MPI are the stand-in if the node has it; they and Azure's others are else the node
/// itself, since what they bring is there; and any other image is what it says. With a dockerfile the same holds for
/// the images that it builds on, but that Azure's are themselves where there is no stand-in; a rule may also name what
/// is built (image_of_dockerfile()). `files` is the hash of those that come with the dockerfile. invalid_argument for
/// what can't be met.
Result<ImageChoice> choose_image(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules,
                                 const StandIn& stand_in, const std::string& files = "");

} // namespace linarite::agent
