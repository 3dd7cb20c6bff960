// cli/outcome.hpp: how a run ended, as words and as an exit code.
#pragma once

#include "cli/terminal.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace linarite::cli {

using Json = nlohmann::json;

bool is_terminal_status(const std::string& status);

/// The exit code of `submit --wait`: 0 for Completed, 130 for Canceled; for Failed the job's own, 128 + n for signal n,
/// and 1 if the job never started or did not say.
int exit_code_of_run(const Json& run);

/// "SIGKILL"; "signal 77" if it has no name.
std::string signal_name(int signal);

/// In a few words: "exit code 3", "SIGKILL (out of memory)", "time limit"; "" if there is nothing to say.
std::string brief_outcome(const Json& run);

/// What a person wants to know when a run did not complete: status, node, rank, exit code or signal, the message with
/// the last lines. "" for a completed one.
std::string describe_failure(const Json& run, const Terminal& terminal);

} // namespace linarite::cli
