// cli/submit.hpp: what `submit` does, apart from the parsing of its command line.
#pragma once

#include "cli/build_context.hpp"
#include "cli/context.hpp"
#include "cli/definition.hpp"

#include <optional>
#include <string>

namespace linarite::cli {

struct SubmitOptions {
    std::string folder;
    std::string job_file;
    std::string experiment;    // "": made from the folder's name
    std::string run_id;        // "": made here, so that a request that is sent twice makes one run
    std::string build_context; // a local folder
    DefinitionFlags flags;
    bool follow = false;
    bool wait = false;
    bool dry_run = false;
};

/// Everything that is known without a coordinator: definition and experiment, checked. All faults at once.
struct SubmitPlan {
    Json definition;
    std::string experiment;
    std::string run_id;
    std::optional<LocalContext> context; // to be sent before the run
};
Result<SubmitPlan> plan_submit(const SubmitOptions& options);

/// A folder's name as the name of an experiment: what is not allowed becomes '-'.
std::string experiment_name(const fs::path& folder);

Result<int> submit(CommandContext& context, const SubmitOptions& options);

/// Watches a run as `submit --wait` and `logs -f` do it, and gives its exit code. `logs`: as for follow_run. `raw`: one
/// log.
struct WatchOptions {
    std::string logs;         // "none" is a quiet wait
    bool raw = false;         // one log, unchanged
    bool logs_to_err = false; // stdout is for something else
};
struct Watched {
    Json run;
    int exit_code = 0;
};
Result<Watched> watch(CommandContext& context, const std::string& run_id, const WatchOptions& options);

} // namespace linarite::cli
