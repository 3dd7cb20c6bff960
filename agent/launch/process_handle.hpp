// agent/launch/process_handle.hpp: processes by handles that never mean another one.
#pragma once

#include "common/files.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <sys/types.h>

namespace linarite::agent {

namespace asio = boost::asio;

/// A pidfd; none if there is no such process.
UniqueFd open_process(pid_t pid);

/// Returns when the process has ended: with its exit code if it was a child of ours that exited by itself, else -1.
asio::awaitable<Result<int>> await_process(asio::any_io_executor executor, int process);

} // namespace linarite::agent
