#include "agent/container/image_choice.hpp"

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

} // namespace

Result<ImageRule> parse_image_rule(std::string_view text) {
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        return Error(Errc::invalid_argument,
                     "'" + std::string(text) +
                         "' is no image rule: PATTERN=IMAGE, or PATTERN=none for the node itself");
    }
    ImageRule rule{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
    if (rule.image == "none") {
        rule.image.clear();
    }
    return rule;
}

Result<ImageChoice> choose_image(const proto::ContainerSettings& container, const std::vector<ImageRule>& rules) {
    const std::string& image = container.base_image;
    if (!container.use_docker) {
        const bool named = !image.empty() || !container.base_dockerfile.empty();
        return node_itself(named ? "no container: docker is switched off in the run's definition, so the node itself "
                                   "is used in place of its image"
                                 : "");
    }
    if (!container.base_dockerfile.empty()) {
        return Error(Errc::invalid_argument, "ImagePullError: images are not built from a dockerfile here: build it, "
                                             "and give the image's name as the base image");
    }
    if (!image.empty()) {
        const auto rule = std::ranges::find_if(rules, [&](const ImageRule& candidate) {
            return ::fnmatch(candidate.pattern.c_str(), image.c_str(), 0) == 0;
        });
        if (rule != rules.end()) {
            const std::string words =
                "image '" + image + "' is mapped by this node's operator (" + rule->pattern + ") to ";
            return ImageChoice{rule->image, rule->image.empty() ? words + "the node itself: no container"
                                                                : words + "image '" + rule->image + "'"};
        }
    }
    if (is_azure_image(image)) {
        return node_itself(image.empty()
                               ? ""
                               : "no container: image '" + image + "' is replaced by the node itself" +
                                     (is_framework_image(image) ? ", whose Python must have the framework" : ""));
    }
    return ImageChoice{image, "container: image '" + image + "', as the run asks for it"};
}

} // namespace linarite::agent
