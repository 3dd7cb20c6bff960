#include "agent/container/image_choice.hpp"

#include "agent/container/dockerfile.hpp"
#include "agent/container/rootfs.hpp"
#include "proto/registry.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <fnmatch.h>

namespace linarite::agent {

namespace {

// "pytorch:1.4-cpu": what the SDK's framework estimators ask for if their user names no packages.
bool is_framework_image(const std::string& image) {
    constexpr std::array frameworks{"pytorch:", "tensorflow:", "chainer:", "scikit-learn:", "sklearn:"};
    const bool has_place = image.ends_with("-cpu") || image.ends_with("-gpu");
    return has_place && std::any_of(frameworks.begin(), frameworks.end(),
                                    [&](const char* framework) { return image.starts_with(framework); });
}

// Azure's own images bring a system and a Python, which the node has, and some a framework, which it may have.
bool is_azure_image(const std::string& image) {
    return image.empty() || image.find("/azureml/") != std::string::npos || image.starts_with("azureml/") ||
           is_framework_image(image);
}

ImageChoice node_itself(std::string reason) {
    return {"", std::move(reason)};
}

// Those that Estimators ask for by themselves: a system with Python and an MPI.
bool is_azure_mpi_image(const std::string& image) {
    constexpr std::array patterns{"azureml/openmpi*-ubuntu*", "*/azureml/openmpi*-ubuntu*", "azureml/intelmpi*",
                                  "*/azureml/intelmpi*"};
    return std::ranges::any_of(patterns,
                               [&](const char* pattern) { return ::fnmatch(pattern, image.c_str(), 0) == 0; });
}

ImageChoice choose_stand_in(const std::string& image, const StandIn& stand_in) {
    if (stand_in.is_there) {
        return {stand_in_image, "container: image '" + image + "' is replaced by '" + stand_in_image +
                                    "', which was built for this node (deploy/images/build)"};
    }
    const std::string words = "no container: image '" + image + "' is replaced by the node itself, since ";
    return node_itself(words + (stand_in.no_engine.empty()
                                    ? "this node's container engine does not have '" + std::string(stand_in_image) +
                                          "' (deploy/images/build makes it)"
                                    : stand_in.no_engine));
}

const ImageRule* find_rule(const std::string& image, const std::string& whole, const std::vector<ImageRule>& rules) {
    const auto rule = std::ranges::find_if(rules, [&](const ImageRule& candidate) {
        return ::fnmatch(candidate.pattern.c_str(), whole.c_str(), 0) == 0 ||
               ::fnmatch(candidate.pattern.c_str(), image.c_str(), 0) == 0;
    });
    return image.empty() || rule == rules.end() ? nullptr : &*rule;
}

const ImageRule* find_rule(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules) {
    return find_rule(container.base_image, proto::full_image_name(container), rules);
}

std::string name_of(const std::string& image) {
    return is_rootfs(image) ? "root filesystem '" + rootfs_path(image).string() + "'" : "image '" + image + "'";
}

ImageChoice mapped(const std::string& image, const ImageRule& rule) {
    const std::string words = "image '" + image + "' is mapped by this node's operator (" + rule.pattern + ") to ";
    return {rule.image, rule.image.empty() ? words + "the node itself: no container" : words + name_of(rule.image)};
}

Result<ImageChoice> choose_for_dockerfile(const std::string& dockerfile, const std::string& files,
                                          const std::vector<ImageRule>& rules, const StandIn& stand_in) {
    const std::string built = image_of_dockerfile(dockerfile, files);
    if (const ImageRule* rule = find_rule(built, built, rules)) {
        return mapped(built, *rule);
    }
    std::map<std::string, std::string> instead;
    std::string reason = files.empty() ? "container: an image that is built of the run's dockerfile"
                                       : "container: an image that is built of the run's build context";
    for (const std::string& base : bases_of_dockerfile(dockerfile)) {
        const ImageRule* rule = find_rule(base, base, rules);
        if (rule != nullptr && (rule->image.empty() || is_rootfs(rule->image))) {
            return Error(
                Errc::invalid_argument,
                fmt::format("ImageBuildError: the run's dockerfile builds on image '{}', which this node's "
                            "operator maps ({}) to {}: a dockerfile needs an image; map it to one, or map '{}' "
                            "itself",
                            base, rule->pattern, rule->image.empty() ? "the node itself" : name_of(rule->image),
                            built));
        }
        if (rule != nullptr) {
            instead[base] = rule->image;
            reason += fmt::format(", on '{}' in the place of '{}' ({}, by this node's operator)", rule->image, base,
                                  rule->pattern);
        } else if (is_azure_mpi_image(base) && stand_in.is_there) {
            instead[base] = stand_in_image;
            reason += fmt::format(", on '{}' in the place of '{}'", stand_in_image, base);
        }
    }
    std::string text = with_bases(dockerfile, instead);
    std::string image = image_of_dockerfile(text, files);
    return ImageChoice{std::move(image), std::move(reason), std::move(text)};
}

} // namespace

Result<ImageRule> parse_image_rule(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        return Error(
            Errc::invalid_argument,
            "'" + std::string(text) +
                "' is no image rule: PATTERN=IMAGE, PATTERN=rootfs:/PATH, or PATTERN=none for the node itself");
    }
    ImageRule rule{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
    if (rule.image == "none") {
        rule.image.clear();
    }
    if (is_rootfs(rule.image) && !rootfs_path(rule.image).is_absolute()) {
        return Error(Errc::invalid_argument,
                     "'" + std::string(text) + "': a root filesystem is named by its absolute path (rootfs:/...)");
    }
    return rule;
}

bool wants_stand_in(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules) {
    if (!container.use_docker) {
        return false;
    }
    if (container.base_dockerfile.empty()) {
        return is_azure_mpi_image(container.base_image) && find_rule(container, rules) == nullptr;
    }
    return std::ranges::any_of(bases_of_dockerfile(container.base_dockerfile), [&](const std::string& base) {
        return is_azure_mpi_image(base) && find_rule(base, base, rules) == nullptr;
    });
}

Result<ImageChoice> choose_image(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules,
                                 const StandIn& stand_in, const std::string& files) {
    const std::string image = proto::full_image_name(container);
    if (!container.use_docker) {
        const bool named = !image.empty() || !container.base_dockerfile.empty();
        return node_itself(named ? "no container: docker is switched off in the run's definition, so the node itself "
                                   "is used in place of its image"
                                 : "");
    }
    if (!container.base_dockerfile.empty()) {
        return choose_for_dockerfile(container.base_dockerfile, files, rules, stand_in);
    }
    if (const ImageRule* rule = find_rule(container, rules)) {
        return mapped(image, *rule);
    }
    if (is_azure_mpi_image(container.base_image)) {
        return choose_stand_in(image, stand_in);
    }
    if (is_azure_image(container.base_image)) {
        return node_itself(image.empty()
                               ? ""
                               : "no container: image '" + image + "' is replaced by the node itself" +
                                     (is_framework_image(image) ? ", whose Python must have the framework" : ""));
    }
    return ImageChoice{image, "container: image '" + image + "', as the run asks for it"};
}

} // namespace linarite::agent
