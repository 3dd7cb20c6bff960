// agent/dropin_files.hpp: the files of python/dropin, which travel in the executable.
#pragma once

#include <span>
#include <string_view>

namespace linarite::agent {

struct DropinFile {
    std::string_view path; // "azureml/core/run.py"
    std::string_view text;
};

/// Generated when the build is configured.
std::span<const DropinFile> dropin_files();

} // namespace linarite::agent
