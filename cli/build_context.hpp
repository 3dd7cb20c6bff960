// cli/build_context.hpp: a local folder that a run's image is built from.
#pragma once

#include "cli/connection.hpp"
#include "cli/terminal.hpp"
#include "cli/transfer.hpp"

#include <string>
#include <vector>

namespace linarite::cli {

struct LocalContext {
    std::string path;             // on the datastore of such folders; another one for other files
    std::vector<LocalFile> files; // by their names there
    /// "workspaceartifactstore/DockerBuildContext/5d41...": as a run definition names it.
    [[nodiscard]] std::string location() const;
};

/// Looks at the files of the folder, links to files too. invalid_argument if it has no file called `dockerfile`.
Result<LocalContext> read_context(const fs::path& folder, const std::string& dockerfile);

/// Sends those that the coordinator does not have.
Result<void> send_context(Connection& connection, const LocalContext& context, const Terminal& terminal);

} // namespace linarite::cli
