// server/service/backup.hpp: a consistent copy of everything a coordinator keeps.
#pragma once

#include "async/async.hpp"
#include "common/data_dir.hpp"
#include "server/store/store.hpp"

#include <cstdint>
#include <string>

namespace linarite::service {

/// Copies the database first, then the files that its rows name, then TLS and token, to `directory`, which must not
/// exist yet. A coordinator started on the copy goes on with the same history. Returns the bytes written.
asio::awaitable<Result<std::uint64_t>> back_up(store::Store& store, asio::thread_pool& pool, DataDir data,
                                               std::string directory);

} // namespace linarite::service
