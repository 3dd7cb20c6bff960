// What clients bring to a run.
#include "server/service/run_storage.hpp"

namespace linarite::service {

asio::awaitable<Result<void>> RunStorage::check_free(RunId run, std::string path, bool must_be_new) {
    auto look = [run, path](store::Tables& tables) -> Result<std::optional<store::ArtifactRow>> {
        if (auto row = tables.find_run(run); !row) {
            return row.error();
        }
        auto row = tables.find_artifact(run, path);
        if (!row && row.error().code() != Errc::not_found) {
            return row.error();
        }
        return row ? std::optional(std::move(*row)) : std::nullopt;
    };
    const auto known = co_await store_.read(std::move(look));
    if (!known) {
        co_return known.error();
    }
    if (*known && must_be_new) {
        co_return Error(Errc::conflict, "run '" + run.str() + "' has a file '" + path + "' already");
    }
    if (*known && (*known)->sha256.empty() && scheduler_.is_active(run)) {
        co_return Error(Errc::conflict, "the node of run '" + run.str() + "' is writing '" + path + "'");
    }
    co_return Result<void>{};
}

asio::awaitable<Result<artifacts::IncomingFile>> RunStorage::receive(RunId run, std::string path, bool must_be_new) {
    if (auto free = co_await check_free(run, path, must_be_new); !free) {
        co_return free.error();
    }
    auto work = [folder = data_.run(run), path] { return artifacts::RunFiles(folder).create(path); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<RunFile>> RunStorage::keep(RunId run, std::string path, artifacts::IncomingFile file,
                                                  bool must_be_new) {
    using Key = std::pair<RunId, std::string>;
    struct Kept {
        std::set<Key>& set;
        Key key;
        ~Kept() { set.erase(key); }
    };
    if (!keeping_.emplace(run, path).second) {
        co_return Error(Errc::conflict, "'" + path + "' is being sent by another request at the same time");
    }
    const Kept kept{keeping_, {run, path}};
    if (auto free = co_await check_free(run, path, must_be_new); !free) {
        co_return free.error();
    }
    auto commit = [&file] { return file.commit(true); };
    if (auto done = co_await on_pool(pool_, std::move(commit)); !done) {
        co_return done.error();
    }
    const store::ArtifactRow row{run, path, file.size(), file.sha256(), clock_.now()};
    auto put = [row](store::Tables& tables) -> Result<void> { return tables.put_artifact(row); };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    scheduler_.touch(run);
    co_return RunFile{row.path, row.size, row.sha256, row.changed};
}

} // namespace linarite::service
