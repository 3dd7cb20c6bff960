// agent/capture/snapshot_cache.hpp: source trees of runs, fetched once per node.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "async/async.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <map>
#include <memory>
#include <optional>

namespace linarite::agent {

/// Snapshots below one folder, each in <id>/. They are read-only and complete: a snapshot is put together beside its
/// place and renamed into it.
class SnapshotCache {
public:
    SnapshotCache(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, fs::path folder);

    /// The snapshot's folder; downloads it if it isn't there. Those who ask at the same time share one download.
    /// unavailable if the coordinator could not be reached or sent other bytes than the manifest says.
    asio::awaitable<Result<fs::path>> fetch(SnapshotId id, CancelToken cancel = {});

    /// A working directory of its own for a run: the snapshot's files (copies, so that a script can't spoil the cache),
    /// outputs/ and logs/. What was there is removed first.
    asio::awaitable<Result<void>> materialise(SnapshotId id, fs::path work_dir, CancelToken cancel = {});

private:
    struct Download {
        Signal changed;
        std::optional<Result<fs::path>> outcome;
    };
    asio::awaitable<Result<fs::path>> download(SnapshotId id);

    asio::thread_pool& pool_;
    std::shared_ptr<Coordinator> coordinator_;
    fs::path folder_;
    std::map<SnapshotId, std::shared_ptr<Download>> downloads_;
};

} // namespace linarite::agent
