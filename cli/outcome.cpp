#include "cli/outcome.hpp"

#include "cli/exit_codes.hpp"
#include "cli/fields.hpp"

#include <cstring>

namespace linarite::cli {
namespace {

std::string indent(const std::string& lines) {
    std::string indented = "  ";
    for (const char c : lines) {
        indented += c;
        if (c == '\n') {
            indented += "  ";
        }
    }
    return indented;
}

// "node node-1, rank 2", as far as it is known.
std::string place_of(const Json& outcome) {
    std::string place;
    if (const std::string node = text(outcome, "node"); !node.empty()) {
        place = "node " + node;
    }
    if (const Json& rank = member(outcome, "rank"); rank.is_number_integer() && rank.get<std::int64_t>() >= 0) {
        place += (place.empty() ? "rank " : ", rank ") + std::to_string(rank.get<std::int64_t>());
    }
    return place;
}

} // namespace

bool is_terminal_status(const std::string& status) {
    return status == "Completed" || status == "Failed" || status == "Canceled";
}

int exit_code_of_run(const Json& run) {
    const std::string status = text(run, "status");
    if (status == "Completed") {
        return exit_ok;
    }
    if (status == "Canceled") {
        return exit_interrupted;
    }
    const Json& outcome = member(run, "outcome");
    const std::int64_t signal = number(outcome, "signal");
    if (signal > 0 && signal < 128) {
        return 128 + static_cast<int>(signal);
    }
    const std::int64_t code = number(outcome, "exit_code");
    return code > 0 && code < 256 ? static_cast<int>(code) : exit_failure;
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string brief_outcome(const Json& run) {
    const Json& outcome = member(run, "outcome");
    if (!outcome.is_object() || text(run, "status") == "Completed") {
        return "";
    }
    if (flag(outcome, "timed_out")) {
        return "time limit";
    }
    const std::int64_t signal = number(outcome, "signal");
    std::string memory = flag(outcome, "out_of_memory") ? "out of memory" : "";
    if (signal > 0) {
        return signal_name(static_cast<int>(signal)) + (memory.empty() ? "" : " (" + memory + ")");
    }
    if (!memory.empty()) {
        return memory;
    }
    if (const std::int64_t code = number(outcome, "exit_code"); code > 0) {
        return "exit code " + std::to_string(code);
    }
    return text(outcome, "code");
}

std::string describe_failure(const Json& run, const Terminal& terminal) {
    const std::string status = text(run, "status");
    if (status == "Completed") {
        return "";
    }
    const Json& outcome = member(run, "outcome");
    const std::string brief = brief_outcome(run);
    const std::string place = place_of(outcome);
    std::string words = terminal.err(style_of_status(status), status);
    words += brief.empty() ? "" : ": " + printable(brief);
    words += place.empty() ? "" : " (" + printable(place) + ")";
    std::string message = printable(text(outcome, "message"));
    if (message.empty()) {
        message = printable(text(run, "reason"));
    }
    message.erase(message.find_last_not_of('\n') + 1);
    return words + "\n" + (message.empty() ? "" : indent(message) + "\n");
}

} // namespace linarite::cli
