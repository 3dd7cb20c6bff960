// server/service/snapshots.hpp: use cases on source trees, stored by content.
#pragma once

#include "async/async.hpp"
#include "common/data_dir.hpp"
#include "proto/frames.hpp"
#include "proto/snapshot.hpp"
#include "server/artifacts/blob_folder.hpp"
#include "server/artifacts/zip_file.hpp"
#include "server/store/store.hpp"

#include <optional>
#include <string>
#include <vector>

namespace linarite::service {

class Snapshots {
public:
    Snapshots(store::Store& store, const Clock& clock, asio::thread_pool& pool, const DataDir& data);

    struct Offer {
        SnapshotId id;
        std::vector<std::string> missing; // SHA-256 of blobs to be sent first; empty: the snapshot is stored
    };
    asio::awaitable<Result<Offer>> offer(proto::Manifest manifest);
    asio::awaitable<Result<proto::Manifest>> find(SnapshotId id);
    /// Stores a tree whose bytes are all there, under an id that its client chose. The same again is no error; conflict
    /// if the id stands for another tree.
    asio::awaitable<Result<SnapshotId>> adopt(std::string alias, proto::Manifest manifest);
    /// The snapshot that a client means: by our id, or by one that it chose.
    asio::awaitable<Result<SnapshotId>> resolve(std::string id_or_alias);
    /// A zip archive of it, which stays for at least a day; see zip_file().
    asio::awaitable<Result<void>> make_zip(SnapshotId id);
    [[nodiscard]] fs::path zip_file(const SnapshotId& id) const { return zips_ / (id.str() + ".zip"); }
    /// Deletes archives that nobody asked for in the last day. At start.
    void clean_up_zips() const;

    /// Receives blobs as frames; each is checked against the hash that names it.
    class Upload {
    public:
        explicit Upload(Snapshots& snapshots) : snapshots_(snapshots) {}
        asio::awaitable<Result<void>> feed(std::string_view bytes);
        /// Durable when it returns; gives how many blobs were stored.
        asio::awaitable<Result<std::size_t>> finish();

    private:
        Result<void> take_all();
        Result<void> take(const proto::FrameReader::Piece& piece);
        Snapshots& snapshots_;
        proto::FrameReader reader_;
        std::optional<artifacts::IncomingFile> blob_;
        std::size_t stored_ = 0;
        std::uint64_t bytes_ = 0;
    };

    [[nodiscard]] Result<std::filesystem::path> locate(const std::string& sha256) const {
        return blobs_.locate(sha256);
    }

private:
    [[nodiscard]] Result<std::optional<artifacts::ZipFile>> begin_zip(const SnapshotId& id,
                                                                      const fs::path& temporary) const;
    Result<void> end_zip(artifacts::ZipFile& zip, const SnapshotId& id, const fs::path& temporary) const;

    store::Store& store_;
    const Clock& clock_;
    asio::thread_pool& pool_;
    fs::path folder_;
    fs::path zips_;
    artifacts::BlobFolder blobs_;
};

} // namespace linarite::service
