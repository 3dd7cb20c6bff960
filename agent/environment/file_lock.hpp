// agent/environment/file_lock.hpp: a lock that processes share and that the kernel takes back from a dead one.
#pragma once

#include "async/cancel.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>

namespace linarite::agent {

namespace asio = boost::asio;

/// Waits for the exclusive flock of `path`, which is made if it isn't there. It is held until every copy of the
/// descriptor is closed, so a child that inherits it keeps it. `on_wait` is called once if somebody else holds it.
/// conflict if it was cancelled.
asio::awaitable<Result<UniqueFd>> lock_file(fs::path path, std::function<void()> on_wait, CancelToken cancel);

} // namespace linarite::agent
