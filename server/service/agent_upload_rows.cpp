// What agents have brought, in the tables: rows, names that two nodes wanted, and word to the other nodes.
#include "fmt/core.h"
#include "proto/json_reader.hpp"
#include "server/service/run_storage.hpp"

namespace linarite::service {

namespace {

constexpr int most_warnings = 20;

std::string describe(const GangPlace& place, int node) {
    return fmt::format("node {} ('{}')", node, place.nodes.at(static_cast<std::size_t>(node)).str());
}

std::optional<std::string> warning_about(const std::string& path, const GangFiles::Parting& parting,
                                         const GangPlace& place, int& warnings) {
    if (++warnings > most_warnings + 1) {
        return std::nullopt;
    }
    const std::string text =
        warnings > most_warnings
            ? "nodes of this run wrote more files of the same name with different bytes"
            : fmt::format(
                  "'{}' was written by more than one node, with different bytes: the copy of {} is kept as '{}'", path,
                  describe(place, parting.loser), parting.kept);
    return proto::print_json(proto::Json{{"source", "linarite"}, {"message", text}});
}

} // namespace

asio::awaitable<Result<void>> RunStorage::Upload::store_parting(GangFiles::Parting parting) {
    if (auto fresh = storage_.check_fence(run_, sender_.fence); !fresh) {
        co_return fresh;
    }
    std::vector<store::GangFileRow> rows;
    for (const int node : parting.moved) {
        const GangFiles::Entry& entry = *gang_->files.find(frame_.path, node);
        rows.push_back({run_, frame_.path, node, entry.stored, entry.sha256, entry.size, entry.executable, 0});
    }
    store::RunPatch patch;
    patch.run = run_;
    patch.warning = warning_about(frame_.path, parting, sender_, gang_->warnings);
    auto write = [parting, rows, patch](store::Tables& tables) -> Result<void> {
        auto done = parting.from.empty() ? Result<void>() : tables.rename_artifact(patch.run, parting.from, parting.to);
        for (const store::GangFileRow& row : rows) {
            done = done ? tables.put_gang_file(row) : done;
        }
        return done && patch.warning ? tables.patch_run(patch) : done;
    };
    co_return co_await storage_.store_.write(std::move(write));
}

// The file at hand and the one that another node has under its name become two. First there is a second name for what
// must move, then the rows say so, then the first name is free: a crash leaves no row without its file.
asio::awaitable<Result<void>> RunStorage::Upload::part() {
    const GangFiles::Parting parting = gang_->files.part(frame_.path, sender_.node);
    const auto link = [this, &parting] { return files_.link(parting.from, parting.to); };
    if (!parting.from.empty()) {
        const auto linked = co_await on_pool(storage_.pool_, link);
        if (!linked && linked.error().code() != Errc::not_found) {
            gang_->loaded = false; // what is stored is true
            co_return linked;
        }
    }
    if (auto stored = co_await store_parting(parting); !stored) {
        gang_->loaded = false;
        co_return stored;
    }
    if (!parting.from.empty()) {
        if (auto lengths = storage_.growing_.find(run_); lengths != storage_.growing_.end()) {
            if (auto length = lengths->second.extract(parting.from)) {
                length.key() = parting.to;
                lengths->second.insert(std::move(length));
            }
        }
        auto remove = [this, &parting] { return files_.remove(parting.from); };
        const auto removed = co_await on_pool(storage_.pool_, std::move(remove));
        if (!removed && removed.error().code() != Errc::not_found) {
            co_return removed;
        }
    }
    co_return Result<void>{};
}

// ---- rows -----------------------------------------------------------------------------------------------------------

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
    const auto version = co_await store_rows();
    if (!version) {
        co_return version.error();
    }
    if (*version > 0) {
        storage_.scheduler_.share_files(run_, sender_, *version);
    }
    storage_.scheduler_.touch(run_);
    co_return Result<void>{};
}

// A growing file gets its row when it is first seen; its later lengths are read from the file itself.
std::vector<store::ArtifactRow> RunStorage::Upload::new_rows() {
    std::vector<store::ArtifactRow> rows;
    auto& growing = storage_.growing_[run_];
    for (Row& row : rows_) {
        if (row.gang) { // another request may have parted it from another node's meanwhile
            row.artifact.path = gang_->files.artifact_of(row.artifact.path, sender_.node);
        }
        if (!row.artifact.sha256.empty()) {
            growing.erase(row.artifact.path);
            rows.push_back(std::move(row.artifact));
        } else if (growing.insert_or_assign(row.artifact.path, row.artifact.size).second) {
            rows.push_back(std::move(row.artifact));
        }
    }
    if (growing.empty()) {
        storage_.growing_.erase(run_);
    }
    return rows;
}

std::vector<store::GangFileRow> RunStorage::Upload::declared_rows() const {
    std::vector<store::GangFileRow> shared;
    for (const std::string& path : declared_) {
        if (const GangFiles::Entry* entry = gang_->files.find(path, sender_.node)) {
            shared.push_back(
                {run_, path, sender_.node, entry->stored, entry->sha256, entry->size, entry->executable, 0});
        }
    }
    return shared;
}

// Gives the version of the gang's files, if any of them is new.
asio::awaitable<Result<std::uint64_t>> RunStorage::Upload::store_rows() {
    const auto turn = co_await join_gang();
    if (!turn) {
        co_return turn.error();
    }
    const auto rows = new_rows();
    const auto shared = declared_rows();
    if (rows.empty() && shared.empty()) {
        co_return std::uint64_t{0};
    }
    auto write = [rows, shared, run = run_](store::Tables& tables) -> Result<std::uint64_t> {
        for (const store::ArtifactRow& row : rows) {
            if (auto put = tables.put_artifact(row); !put) {
                return put.error();
            }
        }
        for (const store::GangFileRow& row : shared) {
            if (auto put = tables.put_gang_file(row); !put) {
                return put.error();
            }
        }
        return shared.empty() ? Result<std::uint64_t>(0) : tables.gang_file_version(run);
    };
    co_return co_await storage_.store_.write(std::move(write));
}

} // namespace linarite::service
