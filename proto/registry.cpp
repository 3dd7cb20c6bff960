#include "proto/registry.hpp"

namespace linarite::proto {

namespace {

const Json::json_pointer& password_place() {
    static const Json::json_pointer place("/environment/docker/baseImageRegistry/password");
    return place;
}

bool is_default(const std::string& registry) {
    return registry == "docker.io" || registry == "index.docker.io" || registry == "registry-1.docker.io";
}

} // namespace

std::string registry_of(const std::string& image) {
    const auto slash = image.find('/');
    if (slash == std::string::npos) {
        return "";
    }
    const std::string first = image.substr(0, slash);
    const bool is_host =
        first.find('.') != std::string::npos || first.find(':') != std::string::npos || first == "localhost";
    return is_host && !is_default(first) ? first : "";
}

std::string clean_registry_address(std::string address) {
    if (const auto scheme = address.find("://"); scheme != std::string::npos) {
        address.erase(0, scheme + 3);
    }
    const auto cut = [&address](std::string_view tail) {
        const bool there = address.ends_with(tail);
        address.resize(address.size() - (there ? tail.size() : 0));
        return there;
    };
    while (cut("/") || cut("/v1") || cut("/v2")) {
    }
    return address;
}

std::string full_image_name(const ContainerSettings& container) {
    const std::string& image = container.base_image;
    if (image.empty() || container.registry_address.empty()) {
        return image;
    }
    const bool names_one = image.find('/') != std::string::npos &&
                           (!registry_of(image).empty() || is_default(image.substr(0, image.find('/'))));
    return names_one ? image : container.registry_address + "/" + image;
}

std::string login_server(const ContainerSettings& container) {
    return registry_of(container.registry_address.empty() ? container.base_image : container.registry_address + "/");
}

std::string registry_password(const Json& document) {
    if (!document.contains(password_place())) {
        return "";
    }
    const Json& password = document.at(password_place());
    return password.is_string() ? password.get<std::string>() : "";
}

Json without_registry_password(Json document) {
    if (document.contains(password_place())) {
        document[password_place()] = nullptr;
    }
    return document;
}

} // namespace linarite::proto
