// server/service/backup.hpp: a consistent copy of everything a coordinator keeps.
#pragma once

#include "async/async.hpp"
#include "common/data_dir.hpp"
#include "server/service/datastores.hpp"
#include "server/store/metric_store.hpp"
#include "server/store/store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::service {

/// What is copied while it is in use.
struct Databases {
    store::Store& history;
    store::MetricStore& metrics;
};

struct BackupReport {
    std::uint64_t bytes = 0;
    std::vector<store::DatastoreRow> not_copied; // their directories are not the coordinator's own
};

/// Copies the databases first, then the files that its rows name, then TLS and token, to `directory`, which must not
/// exist yet. A coordinator started on the copy goes on with the same history. What is registered from elsewhere stays
/// there: `not-copied.txt` in the copy names such datastores and their directories, one a line.
asio::awaitable<Result<BackupReport>> back_up(Databases databases, Datastores& datastores, DataDir data,
                                              std::string directory);

} // namespace linarite::service
