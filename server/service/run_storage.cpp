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

Result<GangPlace> RunStorage::place_of(const RunId& run, Fence fence, const NodeName& node) const {
    if (auto allowed = check_fence(run, fence); !allowed) {
        return allowed.error();
    }
    return scheduler_.place_of(run, node);
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
