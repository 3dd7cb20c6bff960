// cli/snapshot_upload.hpp: sends a source tree; files that the coordinator has are not sent again.
#pragma once

#include "cli/connection.hpp"
#include "cli/source_tree.hpp"

#include <string>

namespace linarite::cli {

/// Gives the snapshot's id once the coordinator has all of it. A file that changes while it is sent is
/// invalid_argument.
Result<std::string> send_snapshot(Connection& connection, const SourceTree& tree, const Terminal& terminal);

} // namespace linarite::cli
