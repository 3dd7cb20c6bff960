// server/azureml/run_dto.hpp: runs and experiments as the history service shows them.
#pragma once

#include "server/azureml/call.hpp"

namespace linarite::azureml {

Json experiment_dto(const store::ExperimentRow& row);
/// All fields that the SDK reads of a run.
Json run_dto(const Call& call, const store::RunRow& row);
/// What get_details() shows; `log_files` is {name: address}.
Json details_dto(const Call& call, const store::RunRow& row, Json log_files);

} // namespace linarite::azureml
