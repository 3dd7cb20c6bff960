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

constexpr std::size_t searched_piece = std::size_t{64} << 10U;

bool is_log(const std::string& path) {
    return path.starts_with("azureml-logs/") || path.starts_with("user_logs/");
}

/// How many of the file's first `size` bytes are whole lines.
Result<std::uint64_t> size_of_lines(const artifacts::RunFiles& files, const std::string& path, std::uint64_t size) {
    while (size > 0) {
        const std::uint64_t from = size - std::min<std::uint64_t>(size, searched_piece);
        const auto piece = files.read(path, from, static_cast<std::size_t>(size - from));
        if (!piece) {
            return piece.error();
        }
        if (const std::size_t end = piece->rfind('\n'); end != std::string::npos) {
            return from + end + 1;
        }
        size = from;
    }
    return std::uint64_t{0};
}

// A file that was replaced is another one already than its row says, until the row follows: it is what was opened that
// counts. Of a growing file its first bytes are as they were, whatever comes after.
Result<OpenRunFile> open_file(const store::ArtifactRow& row, const fs::path& folder, bool whole_lines) {
    const artifacts::RunFiles files(folder);
    auto opened = files.open(row.path);
    if (!opened) {
        return opened.error();
    }
    OpenRunFile file{std::move(*opened), row.sha256.empty()};
    if (file.growing) {
        if (whole_lines) {
            const auto size = size_of_lines(files, row.path, file.size);
            if (!size) {
                return size.error();
            }
            file.size = *size;
        }
        file.changed = row.changed;
        file.version = std::to_string(file.size);
    }
    return file;
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

asio::awaitable<Result<OpenRunFile>> RunStorage::open(RunId run, std::string path, Shown shown) {
    auto read = [run, path](store::Tables& tables) { return tables.find_artifact(run, path); };
    const auto row = co_await store_.read(std::move(read));
    if (!row) {
        co_return row.error();
    }
    // what a node that is gone left behind will not go on
    const bool cut = shown == Shown::whole_lines && is_log(path) && scheduler_.is_active(run);
    auto work = [row = *row, folder = data_.run(run), cut] { return open_file(row, folder, cut); };
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
