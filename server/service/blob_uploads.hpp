// server/service/blob_uploads.hpp: use cases on files that come ahead of the snapshot that will name them.
#pragma once

#include "async/async.hpp"
#include "common/data_dir.hpp"
#include "server/artifacts/blob_folder.hpp"
#include "server/store/store.hpp"

#include <string>

namespace linarite::service {

/// Each has an id that we gave out beforehand. The bytes go where those of all snapshots are, so that a file which is
/// sent twice is stored once.
class BlobUploads {
public:
    BlobUploads(store::Store& store, const Clock& clock, asio::thread_pool& pool, const DataDir& data);

    /// A file that is being received; fill it on the file thread, then give it to keep().
    asio::awaitable<Result<artifacts::IncomingFile>> receive();
    /// Durable when it returns. conflict if other bytes were sent under this id before and it `must_be_new`; the same
    /// again come from a client that did not hear our answer.
    asio::awaitable<Result<store::BlobUploadRow>> keep(std::string id, artifacts::IncomingFile file, bool must_be_new);
    asio::awaitable<Result<store::BlobUploadRow>> find(std::string id);
    [[nodiscard]] Result<fs::path> locate(const store::BlobUploadRow& row) const { return blobs_.locate(row.sha256); }

private:
    store::Store& store_;
    const Clock& clock_;
    asio::thread_pool& pool_;
    artifacts::BlobFolder blobs_;
};

} // namespace linarite::service
