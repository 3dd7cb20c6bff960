// agent/container/container_tool.hpp: a program that is run to its end in a container of its own.
#pragma once

#include "agent/container/engine.hpp"
#include "agent/environment/process.hpp"

#include <memory>
#include <string>

namespace linarite::agent {

/// Runs it, gives `line` what it prints, and removes the container. Past the limit or when cancelled it is killed. An
/// error means that it was not started; not_found: the program is not in the image.
asio::awaitable<Result<ProcessEnd>> run_in_container(std::shared_ptr<Engine> engine, std::string name,
                                                     ContainerSpec spec, std::chrono::milliseconds limit, LineOut line,
                                                     CancelToken cancel);

/// The error of a create or a start, told apart: not_found if the image lacks the program.
Error start_failure(const Error& error, const ContainerSpec& spec);

} // namespace linarite::agent
