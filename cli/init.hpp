// cli/init.hpp: a project's config.json, by which a script finds its workspace.
#pragma once

#include "cli/context.hpp"

#include <string>

namespace linarite::cli {

struct InitOptions {
    std::string folder = ".";
    std::string workspace; // "" takes any
    std::string subscription;
    std::string group;
    bool force = false;
};

/// Writes FOLDER/.azureml/config.json; conflict if there is one of another workspace and not `force`.
Result<int> init(CommandContext& context, const InitOptions& options);

} // namespace linarite::cli
