// server/azureml/run_changes.hpp: what clients write about runs, from Azure's bodies to use cases.
#pragma once

#include "server/azureml/call.hpp"

namespace linarite::azureml {

/// The name of the experiment that the path names, by name or by id.
asio::awaitable<Result<std::string>> experiment_name(Call call);
/// The run, if it is in the call's workspace.
asio::awaitable<Result<store::RunRow>> find_run(Call call, std::string id);
/// Create-or-update: an unknown id becomes an interactive run of the experiment that the path names.
asio::awaitable<Result<store::RunRow>> put_run(Call call, std::string id, Json body);
/// One event of a run ("Microsoft.MachineLearning.Run.Completed").
asio::awaitable<Result<void>> take_event(Call call, std::string id, Json event);

} // namespace linarite::azureml
