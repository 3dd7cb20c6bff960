#include "cli/report.hpp"

#include "cli/exit_codes.hpp"

#include <array>
#include <utility>

namespace linarite::cli {
namespace {

using Entry = std::pair<std::string_view, std::string_view>;

constexpr std::array flags{
    Entry{"/nodeCount", "--nodes"},
    Entry{"/mpi/processCountPerNode", "--processes-per-node"},
    Entry{"/pytorch/processCount", "--processes-per-node"},
    Entry{"/communicator", "--backend"},
    Entry{"/framework", "--backend"},
    Entry{"/target", "--target"},
    Entry{"/script", "SCRIPT"},
    Entry{"/arguments", "ARGS"},
    Entry{"/environment/docker/baseImage", "--image"},
    Entry{"/environment/docker/baseDockerfile", "--dockerfile"},
    Entry{"/environment/docker/buildContext", "--build-context"},
    Entry{"/environment/python/userManagedDependencies", "--user-managed"},
    Entry{"/environment/python/condaDependencies", "--conda, --pip"},
    Entry{"/dataReferences", "--data"},
    Entry{"/environmentVariables", "--env"},
    Entry{"/maxRunDurationSeconds", "--max-duration"},
    Entry{"/priority", "--priority"},
    Entry{"/experiment", "--experiment"},
    Entry{"/run_id", "--run-id"},
};

constexpr std::string_view definition = "/definition";

} // namespace

int exit_code_of(const Error& error) {
    switch (error.code()) {
    case Errc::invalid_argument:
    case Errc::too_large: return exit_usage;
    case Errc::not_found: return exit_not_found;
    case Errc::unavailable: return exit_unreachable;
    case Errc::unauthorized:
    case Errc::forbidden:
    case Errc::conflict:
    case Errc::gone:
    case Errc::resource_exhausted:
    case Errc::no_space:
    case Errc::internal: return exit_failure;
    }
    return exit_failure;
}

std::string_view flag_of(std::string_view pointer) {
    for (const auto& [prefix, flag] : flags) {
        if (pointer.starts_with(prefix) && (pointer.size() == prefix.size() || pointer[prefix.size()] == '/')) {
            return flag;
        }
    }
    return "";
}

std::string describe_fault(const Fault& fault) {
    std::string_view pointer = fault.pointer;
    if (pointer.starts_with(definition)) {
        pointer.remove_prefix(definition.size());
    }
    if (pointer.empty()) {
        return fault.message;
    }
    const std::string_view flag = flag_of(pointer);
    std::string line(pointer);
    if (!flag.empty()) {
        line += " (" + std::string(flag) + ")";
    }
    return line + ": " + fault.message;
}

std::string describe_error(const Error& error, const Terminal& terminal) {
    const std::string name = terminal.err(Style::red, "linarite:") + " ";
    if (error.faults().empty()) {
        return name + printable(error.detail()) + "\n";
    }
    if (error.faults().size() == 1) {
        return name + printable(describe_fault(error.faults().front())) + "\n";
    }
    std::string text = name + std::to_string(error.faults().size()) + " things are wrong:\n";
    for (const Fault& fault : error.faults()) {
        text += "  " + printable(describe_fault(fault)) + "\n";
    }
    return text;
}

} // namespace linarite::cli
