// cli/run_filter.hpp: what `runs` asks for.
#pragma once

#include "common/error.hpp"

#include <map>
#include <string>

namespace linarite::cli {

/// The query of GET /api/v1/runs.
using RunQuery = std::map<std::string, std::string>;

/// Reads "status=failed,target=gpu,environment=3f2a" into a query. Statuses in any case, several by repeating the key.
/// Unknown keys and statuses are invalid_argument, with what there is.
Result<void> read_filter(const std::string& filter, RunQuery& query);

} // namespace linarite::cli
