// cli/run_lookup.hpp: finds the run that a person means, by its id or by a part of it.
#pragma once

#include "cli/connection.hpp"

#include <string>

namespace linarite::cli {

/// The run with that id, or the only one whose id contains that part. not_found if there is none; invalid_argument with
/// the candidates if there are several.
Result<Json> find_run(Connection& connection, const std::string& part);

/// "/api/v1/runs/<id><rest>".
std::string run_target(const Json& run, const std::string& rest);

} // namespace linarite::cli
