#include "server/service/blob_uploads.hpp"

namespace linarite::service {

BlobUploads::BlobUploads(store::Store& store, const Clock& clock, asio::thread_pool& pool, const DataDir& data)
    : store_(store), clock_(clock), pool_(pool), blobs_(data.snapshots()) {}

asio::awaitable<Result<artifacts::IncomingFile>> BlobUploads::receive() {
    auto work = [this] { return blobs_.create(); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<store::BlobUploadRow>> BlobUploads::keep(std::string id, artifacts::IncomingFile file,
                                                                bool must_be_new) {
    auto commit = [&file] { return file.commit(true); };
    if (auto done = co_await on_pool(pool_, std::move(commit)); !done) {
        co_return done.error();
    }
    const store::BlobUploadRow row{std::move(id), file.sha256(), file.size(), clock_.now()};
    auto put = [row, must_be_new](store::Tables& tables) -> Result<void> {
        const auto known = tables.find_blob_upload(row.id);
        if (must_be_new && known && known->sha256 != row.sha256) {
            return Error(Errc::conflict, "a file was sent as '" + row.id + "' already");
        }
        return tables.put_blob_upload(row);
    };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    co_return row;
}

asio::awaitable<Result<store::BlobUploadRow>> BlobUploads::find(std::string id) {
    auto look = [id = std::move(id)](store::Tables& tables) { return tables.find_blob_upload(id); };
    co_return co_await store_.read(std::move(look));
}

} // namespace linarite::service
