// cli/report.hpp: errors in words on stderr, each fault with the flag that sets what is wrong.
#pragma once

#include "cli/terminal.hpp"
#include "common/error.hpp"

#include <string>
#include <string_view>

namespace linarite::cli {

/// The flag that sets the member at this JSON pointer of a run definition ("--nodes" for "/nodeCount"); "" if none
/// does.
std::string_view flag_of(std::string_view pointer);

/// One line: "/nodeCount (--nodes): at least 1". The "/definition" that the coordinator puts in front is left out.
std::string describe_fault(const Fault& fault);

/// "linarite: <what is wrong>", and below it one line for each fault.
std::string describe_error(const Error& error, const Terminal& terminal);

} // namespace linarite::cli
