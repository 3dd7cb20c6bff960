// cli/run_table.hpp: runs as a table.
#pragma once

#include "cli/table.hpp"
#include "common/clock.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace linarite::cli {

using Json = nlohmann::json;

/// From its start to its end, or to now; "" if it has not started.
std::string duration_of(const Json& run, Time now);
std::string render_run_table(const Json& runs, Time now, const Terminal& terminal);

} // namespace linarite::cli
