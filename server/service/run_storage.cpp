#include "server/service/run_storage.hpp"

namespace linarite::service {

RunStorage::RunStorage(store::Store& store, Scheduler& scheduler, const Clock& clock, asio::thread_pool& pool,
                       DataDir data)
    : store_(store), scheduler_(scheduler), clock_(clock), pool_(pool), data_(std::move(data)) {}

Result<void> RunStorage::check_fence(const RunId& run, Fence fence) const {
    const std::optional<Fence> current = scheduler_.current_fence(run);
    if (!current) {
        return Error(Errc::not_found, "run '" + run.str() + "' is not on any node");
    }
    if (*current != fence) {
        return Error(Errc::conflict, "stale fence " + std::to_string(fence) + " for run '" + run.str() + "'");
    }
    return {};
}

// ---- receiving ------------------------------------------------------------------------------------------------------

RunStorage::Upload::Upload(RunStorage& storage, RunId run)
    : storage_(storage), run_(std::move(run)), files_(storage.data_.run(run_)) {}

asio::awaitable<Result<void>> RunStorage::Upload::feed(std::string_view bytes) {
    reader_.feed(bytes);
    // the loop runs as a whole on the file thread; nothing else touches this upload meanwhile, its owner awaits
    auto work = [this]() -> Result<void> {
        for (;;) {
            const auto piece = reader_.next();
            if (!piece) {
                return piece.error();
            }
            if (!*piece) {
                return {};
            }
            if (auto taken = take(reader_, **piece); !taken) {
                return taken;
            }
        }
    };
    co_return co_await on_pool(storage_.pool_, std::move(work));
}

Result<void> RunStorage::Upload::take(proto::FrameReader& reader, const proto::FrameReader::Piece& piece) {
    Result<void> done = piece.is_header ? begin_frame(reader.header()) : payload(piece.bytes);
    if (done && in_frame_ && reader.frame_complete()) {
        done = end_frame();
    }
    return done;
}

Result<void> RunStorage::Upload::begin_frame(const proto::FrameHeader& header) {
    frame_ = header;
    at_ = header.offset;
    in_frame_ = true;
    whole_.reset();
    if (header.offset == 0 && !header.sha256.empty()) {
        auto incoming = files_.create(header.path);
        if (!incoming) {
            return incoming.error();
        }
        whole_.emplace(std::move(*incoming));
        return {};
    }
    const auto size = files_.size(header.path);
    const std::uint64_t length = size ? *size : 0;
    if (header.offset > length) {
        conflict_ = LengthConflict{header.path, length};
        return Error(Errc::conflict, "'" + header.path + "' has " + std::to_string(length) + " bytes, not " +
                                         std::to_string(header.offset));
    }
    return {};
}

Result<void> RunStorage::Upload::payload(std::string_view bytes) {
    if (whole_) {
        return whole_->append(bytes);
    }
    auto length = files_.append(frame_.path, at_, bytes);
    if (!length) {
        if (length.error().code() == Errc::conflict) {
            const auto size = files_.size(frame_.path);
            conflict_ = LengthConflict{frame_.path, size ? *size : 0};
        }
        return length.error();
    }
    at_ += bytes.size();
    return {};
}

Result<void> RunStorage::Upload::end_frame() {
    in_frame_ = false;
    store::ArtifactRow row{run_, frame_.path, at_, frame_.sha256, storage_.clock_.now()};
    if (whole_) {
        row.size = whole_->size();
        if (whole_->sha256() != frame_.sha256) {
            return Error(Errc::invalid_argument,
                         "'" + frame_.path + "' arrived with other bytes than its SHA-256 says");
        }
        // a few files are synced one by one; for many one syncfs at the end is cheaper
        const bool sync_now = ++whole_files_ <= 2;
        if (auto done = whole_->commit(sync_now); !done) {
            return done;
        }
        whole_.reset();
        unsynced_ = unsynced_ || !sync_now;
    } else if (!frame_.sha256.empty()) {
        if (auto done = files_.finish(frame_.path, frame_.sha256); !done) {
            const auto size = files_.size(frame_.path);
            conflict_ = LengthConflict{frame_.path, size ? *size : 0};
            return done;
        }
    }
    lengths_[frame_.path] = row.size;
    rows_.push_back(std::move(row));
    return {};
}

asio::awaitable<Result<void>> RunStorage::Upload::finish() {
    if (!reader_.at_boundary() || in_frame_) {
        co_return Error(Errc::invalid_argument, "the body ends in the middle of a frame");
    }
    if (unsynced_) {
        auto sync = [folder = storage_.data_.run(run_)] { return artifacts::sync_all(folder); };
        if (auto synced = co_await on_pool(storage_.pool_, std::move(sync)); !synced) {
            co_return synced;
        }
    }
    // a growing file gets its row when it is first seen; its later lengths are read from the file itself
    std::vector<store::ArtifactRow> rows;
    auto& growing = storage_.growing_[run_];
    for (store::ArtifactRow& row : rows_) {
        if (!row.sha256.empty()) {
            growing.erase(row.path);
            rows.push_back(std::move(row));
        } else if (growing.insert_or_assign(row.path, row.size).second) {
            rows.push_back(std::move(row));
        }
    }
    if (growing.empty()) {
        storage_.growing_.erase(run_);
    }
    if (!rows.empty()) {
        auto store = [rows](store::Tables& tables) -> Result<void> {
            for (const store::ArtifactRow& row : rows) {
                if (auto put = tables.put_artifact(row); !put) {
                    return put;
                }
            }
            return {};
        };
        if (auto stored = co_await storage_.store_.write(std::move(store)); !stored) {
            co_return stored;
        }
    }
    storage_.scheduler_.touch(run_);
    co_return Result<void>{};
}

// ---- reading --------------------------------------------------------------------------------------------------------

namespace {

Result<std::vector<RunFile>> with_sizes(const std::vector<store::ArtifactRow>& rows, const fs::path& folder) {
    const artifacts::RunFiles files(folder);
    std::vector<RunFile> out;
    out.reserve(rows.size());
    for (const store::ArtifactRow& row : rows) {
        RunFile file{row.path, row.size, row.sha256, row.changed};
        if (file.sha256.empty()) {
            const auto size = files.size(row.path);
            file.size = size ? *size : 0;
        }
        out.push_back(std::move(file));
    }
    return out;
}

} // namespace

asio::awaitable<Result<std::vector<RunFile>>> RunStorage::list(RunId run, std::string prefix) {
    auto read = [run, prefix](store::Tables& tables) -> Result<std::vector<store::ArtifactRow>> {
        if (auto row = tables.find_run(run); !row) {
            return row.error();
        }
        return tables.list_artifacts(run, prefix);
    };
    const auto rows = co_await store_.read(std::move(read));
    if (!rows) {
        co_return rows.error();
    }
    auto sizes = [rows = *rows, folder = data_.run(run)] { return with_sizes(rows, folder); };
    co_return co_await on_pool(pool_, std::move(sizes));
}

asio::awaitable<Result<RunFile>> RunStorage::find(RunId run, std::string path) {
    auto read = [run, path](store::Tables& tables) { return tables.find_artifact(run, path); };
    const auto row = co_await store_.read(std::move(read));
    if (!row) {
        co_return row.error();
    }
    auto sizes = [row = *row, folder = data_.run(run)] { return with_sizes({row}, folder); };
    auto files = co_await on_pool(pool_, std::move(sizes));
    if (!files) {
        co_return files.error();
    }
    co_return std::move(files->front());
}

asio::awaitable<Result<std::filesystem::path>> RunStorage::locate(RunId run, std::string path) {
    auto work = [folder = data_.run(run), path] { return artifacts::RunFiles(folder).locate(path); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<std::string>> RunStorage::read(RunId run, std::string path, std::uint64_t offset,
                                                      std::size_t count) {
    auto work = [folder = data_.run(run), path, offset, count] {
        return artifacts::RunFiles(folder).read(path, offset, count);
    };
    co_return co_await on_pool(pool_, std::move(work));
}

} // namespace linarite::service
