// cli/sdk_environment.hpp: what makes the Azure ML SDK find our coordinator in the place of Azure: a few variables, and
// files that they name. Nothing of the SDK is changed, nothing of the user's own Azure login is read or written.
#pragma once

#include "client/discovery.hpp"
#include "common/error.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace linarite::cli {

namespace fs = std::filesystem;

struct SdkEnvironment {
    std::map<std::string, std::string> set;
    std::vector<std::string> unset;
};

/// Where the files are: in the data directory of a coordinator that is ours, else in the user's cache folder.
Result<fs::path> sdk_folder(const client::SecureAddress& coordinator, const fs::path& data_dir);

/// Writes the files below `folder` and gives the variables. `inherited` gives a variable of our own environment, ""
/// if it is not set.
Result<SdkEnvironment> prepare_sdk(const client::SecureAddress& coordinator, const fs::path& folder,
                                   const std::function<std::string(const char*)>& inherited);

/// Lines that a POSIX shell takes: export NAME='value', unset NAME.
std::string shell_lines(const SdkEnvironment& environment);
/// One word for a POSIX shell, whatever is in it.
std::string shell_word(const std::string& text);

} // namespace linarite::cli
