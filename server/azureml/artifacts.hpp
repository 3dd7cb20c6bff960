// server/azureml/artifacts.hpp: what several services say of the files of runs.
#pragma once

#include "server/azureml/call.hpp"

namespace linarite::azureml {

/// The id of the container that a run's files are in, as clients know it: "dcid.<run id>".
std::string container_of(const RunId& run);

/// What the services say of one file: its names, and when it came.
Json artifact_json(const RunId& run, const std::string& path, Time created);
/// The same with a link to its bytes.
Json content_json(const Call& call, const RunId& run, const std::string& path);

/// {"artifacts", "artifactContentInformation", "errors"}, each by path, with a link to send each file to. The body is
/// {"paths":[{"path"}]}; names that no file can have are in the errors.
Result<Json> upload_links(const Call& call, const RunId& run, const Json& body);

/// A page of the run's files whose names start with `prefix`, with links or without.
asio::awaitable<Result<Json>> artifact_page(Call call, RunId run, std::string prefix, bool with_links);

/// The first of these files that the run has; not_found, in the words that the SDK expects, if it has none of them.
asio::awaitable<Result<service::RunFile>> find_artifact(Call call, RunId run, std::vector<std::string> names);

/// {name: link} of the run's logs that clients learn of by a run's details alone: those in azureml-logs/.
asio::awaitable<Result<Json>> log_files(Call call, RunId run);

} // namespace linarite::azureml
