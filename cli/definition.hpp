// cli/definition.hpp: a run definition (Azure ML's RunConfiguration) from a job file and flags; flags win.
#pragma once

#include "common/error.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace linarite::cli {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// The flags of `submit` that say what is run. What was not given changes nothing.
struct DefinitionFlags {
    std::string target;
    std::optional<int> nodes;
    std::optional<int> processes_per_node;
    std::optional<int> workers; // with parameter servers
    std::optional<int> parameter_servers;
    std::string backend; // mpi, gloo, nccl, ps, none; others go to the coordinator as they are
    std::vector<std::string> conda;
    std::vector<std::string> pip;
    std::string image;
    std::string dockerfile;    // a file; with a build context its name in there
    std::string build_context; // DATASTORE/PATH
    bool user_managed = false;
    std::vector<std::string> data;        // NAME=DATASTORE/PATH
    std::vector<std::string> environment; // K=V
    std::optional<int> max_duration;      // seconds
    std::optional<int> priority;
    std::vector<std::string> script; // the script and its arguments; arguments alone if the first begins with '-'
};

/// `base` (an object: the job file's, or empty) with the flags put in. Packages are added to those of the job file. All
/// flags that cannot be read come back as faults.
Result<Json> build_definition(const DefinitionFlags& flags, Json base);

/// Looks for the job file: as named, below the source folder, below its .azureml; each also with ".runconfig" behind
/// it. not readable anywhere is invalid_argument, naming the places.
Result<fs::path> find_job_file(const std::string& name, const fs::path& folder);

/// Reads a job file with the conda file that it names (relative to the source folder or to the job file).
Result<Json> load_job_file(const fs::path& file, const fs::path& folder);

} // namespace linarite::cli
