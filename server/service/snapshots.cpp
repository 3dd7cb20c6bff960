#include "server/service/snapshots.hpp"

#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <set>

namespace linarite::service {

Snapshots::Snapshots(store::Store& store, const Clock& clock, asio::thread_pool& pool, const DataDir& data)
    : store_(store),
      clock_(clock),
      pool_(pool),
      folder_(data.snapshots()),
      zips_(data.zips()),
      blobs_(data.snapshots()) {}

asio::awaitable<Result<Snapshots::Offer>> Snapshots::offer(proto::Manifest manifest) {
    if (auto fits = proto::check_size(manifest, proto::default_snapshot_limit); !fits) {
        co_return fits.error();
    }
    Offer offer{proto::snapshot_id(manifest), {}};
    auto known = co_await store_.read([id = offer.id](store::Tables& tables) { return tables.find_snapshot(id); });
    if (known) {
        co_return offer;
    }
    auto look = [this, &manifest]() -> Result<std::vector<std::string>> {
        std::set<std::string> missing;
        for (const proto::SnapshotFile& file : manifest.files) {
            if (!blobs_.has(file.sha256)) {
                missing.insert(file.sha256);
            }
        }
        return std::vector<std::string>(missing.begin(), missing.end());
    };
    auto missing = co_await on_pool(pool_, std::move(look));
    if (!missing) {
        co_return missing.error();
    }
    offer.missing = std::move(*missing);
    if (offer.missing.empty()) {
        auto put = [id = offer.id, text = proto::print_json(proto::print(manifest)),
                    bytes = proto::total_bytes(manifest), now = clock_.now()](store::Tables& tables) -> Result<void> {
            return tables.put_snapshot(id, text, bytes, now);
        };
        if (auto stored = co_await store_.write(std::move(put)); !stored) {
            co_return stored.error();
        }
    }
    co_return offer;
}

asio::awaitable<Result<proto::Manifest>> Snapshots::find(SnapshotId id) {
    const auto text = co_await store_.read([id](store::Tables& tables) { return tables.find_snapshot(id); });
    if (!text) {
        co_return text.error();
    }
    co_return proto::parse_manifest(proto::Json::parse(*text, nullptr, false));
}

asio::awaitable<Result<void>> Snapshots::Upload::feed(std::string_view bytes) {
    reader_.feed(bytes);
    auto work = [this] { return take_all(); };
    co_return co_await on_pool(snapshots_.pool_, std::move(work));
}

Result<void> Snapshots::Upload::take_all() {
    for (;;) {
        const auto piece = reader_.next();
        if (!piece) {
            return piece.error();
        }
        if (!*piece) {
            return {};
        }
        if (auto taken = take(**piece); !taken) {
            return taken;
        }
    }
}

Result<void> Snapshots::Upload::take(const proto::FrameReader::Piece& piece) {
    if (piece.is_header) {
        if (!is_sha256_hex(reader_.header().path)) {
            return Error(Errc::invalid_argument, "a blob's frame must be named by its SHA-256");
        }
        auto blob = snapshots_.blobs_.create(reader_.header().path);
        if (!blob) {
            return blob.error();
        }
        blob_.emplace(std::move(*blob));
    } else {
        bytes_ += piece.bytes.size();
        if (bytes_ > proto::default_snapshot_limit) {
            return Error(Errc::too_large, "more bytes than a snapshot may have");
        }
        if (auto done = blob_->append(piece.bytes); !done) {
            return done;
        }
    }
    if (!reader_.frame_complete()) {
        return {};
    }
    auto done = blob_->commit(false);
    blob_.reset();
    ++stored_;
    return done;
}

asio::awaitable<Result<std::size_t>> Snapshots::Upload::finish() {
    if (!reader_.at_boundary()) {
        co_return Error(Errc::invalid_argument, "the body ends in the middle of a frame");
    }
    auto sync = [folder = snapshots_.folder_] { return artifacts::sync_all(folder); };
    if (auto synced = co_await on_pool(snapshots_.pool_, std::move(sync)); !synced) {
        co_return synced.error();
    }
    co_return stored_;
}

} // namespace linarite::service
