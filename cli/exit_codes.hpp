// cli/exit_codes.hpp: what the exit code of a command says.
#pragma once

#include "common/error.hpp"

namespace linarite::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;
inline constexpr int exit_usage = 2;       // the command line or the input is wrong
inline constexpr int exit_unreachable = 3; // no coordinator, or it does not answer
inline constexpr int exit_not_found = 4;
inline constexpr int exit_interrupted = 130; // Ctrl-C, and a run that was canceled

/// The exit code of a command that ended with this error.
int exit_code_of(const Error& error);

} // namespace linarite::cli
