// server/azureml/run_filter.hpp: the filters that the SDK writes in queries over runs.
#pragma once

#include "server/store/tables.hpp"

#include <string>

namespace linarite::azureml {

/// `Status eq Running and (Tags/stage eq "training" or CreatedUtc ge 2026-11-23 14:00:00+00:00)`: comparisons of a
/// field with a word, a "text", a time or null by eq, ne, gt, ge, lt, le; `and` binds closer than `or`.
/// invalid_argument names what is not understood. At most 4 KiB and 32 comparisons.
Result<store::RunCondition> parse_run_filter(const std::string& text);

/// The same for experiments: their `name` (Field::id) and their tags.
Result<store::RunCondition> parse_experiment_filter(const std::string& text);

/// What this room calls a run that was submitted to be run; its rows have no kind of their own.
inline constexpr const char* script_run = "azureml.scriptrun";
/// The kind of a run that its client makes without saying more; Azure has no word for it.
inline constexpr const char* interactive_run = "interactive";

} // namespace linarite::azureml
