// environments/layout.hpp: what is where in a cache folder of environments.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

namespace linarite::environments {

namespace fs = std::filesystem;

/// Where uv keeps packages, and where conda's tools do.
inline constexpr std::string_view uv_cache = ".uv-cache";
inline constexpr std::string_view conda_packages = ".conda-pkgs";
/// Folders beside the environments in which installers keep packages, for all environments of the cache. Whoever adds
/// an installer with a folder of its own names it here: then it counts, and can be removed.
inline constexpr std::array<std::string_view, 2> package_caches{uv_cache, conda_packages};

/// An environment is in a folder of this name: 64 lower-case hex digits.
bool is_key(std::string_view name);
/// Says, as the last file to be written, that the environment in this folder is whole. Its mtime is when the
/// environment was used last.
inline fs::path marker_of(const fs::path& environment) {
    return environment / ".linarite-ready.json";
}
/// Locked exclusively by whoever builds or removes the environment, and shared while its marker is looked at. Never
/// removed: a lock on a file that is gone protects nothing.
inline fs::path lock_of(const fs::path& cache, const std::string& key) {
    return cache / (key + ".lock");
}
/// Locked shared by every build, and exclusively by whoever removes a package cache.
inline fs::path packages_lock(const fs::path& cache) {
    return cache / ".packages.lock";
}
/// Locked by whoever makes room, so that two of them do not both remove what one of them has to.
inline fs::path eviction_lock(const fs::path& cache) {
    return cache / ".eviction.lock";
}
/// The marks of those who use the environment.
inline fs::path marks_of(const fs::path& cache, const std::string& key) {
    return cache / ".in-use" / key;
}
/// A fresh name for what is on its way out. Nothing below it is looked at any more but to be deleted.
fs::path new_removed_name(const fs::path& cache);
bool is_removed_name(std::string_view name);

} // namespace linarite::environments
