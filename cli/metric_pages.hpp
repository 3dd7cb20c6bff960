// cli/metric_pages.hpp: what runs log, gathered from the coordinator's pages and written for people.
#pragma once

#include "cli/connection.hpp"
#include "cli/terminal.hpp"

#include <string>

namespace linarite::cli {

/// {"metrics": [...]}: all series of a run, with their last point.
Result<Json> fetch_metrics(Connection& connection, const Json& run);

/// One series with its points; the last `tail` of them, all for 0.
Result<Json> fetch_points(Connection& connection, const Json& run, const std::string& name, std::int64_t tail);

/// Name, kind, number of points, last value.
std::string render_metrics(const Json& metrics, const Terminal& terminal);
/// A line for each point, a column for each of the series' columns.
std::string render_points(const Json& series, const Terminal& terminal);

} // namespace linarite::cli
