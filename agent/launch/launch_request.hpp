// agent/launch/launch_request.hpp: what mpirun's launch agent (`linarite-shim rsh`) says to the agent.
#pragma once

#include "common/error.hpp"
#include "common/ids.hpp"

#include <filesystem>
#include <string>

namespace linarite::agent {

/// One daemon that mpirun wants.
struct LaunchRequest {
    RunId run;
    Fence fence = 0;
    std::string host; // the alias that mpirun knows the node by
    std::string command;
};

/// A request with what is to prove that it comes from the run that it names: nothing of it is checked yet.
struct AskedLaunch {
    LaunchRequest request; // its fence is not set
    std::string fence;
    std::string token;
};

/// Reads a line that a launch agent sent.
Result<AskedLaunch> parse_launch_request(const std::string& line);

/// The token in a job file that an earlier agent process wrote; "" if there is none.
std::string read_launch_token(const std::filesystem::path& job_file);

} // namespace linarite::agent
