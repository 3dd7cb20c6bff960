#include "server/service/datastores.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace linarite::service {
namespace {

constexpr std::size_t listed_files = 1'000'000;

/// Whether the path is one that some data directory gives to a datastore of its own.
bool was_home_of(const store::DatastoreRow& row) {
    const fs::path path(row.path);
    return path.filename() == row.name && path.parent_path().filename() == DataDir("").datastores().filename();
}

Result<Datastores::Located> look_at(const fs::path& root, const std::string& file) {
    const artifacts::RunFiles files(root);
    auto located = files.locate(file);
    if (!located) {
        return located.error();
    }
    struct stat info {};
    if (::stat(located->c_str(), &info) != 0) {
        return errno_error("look at '" + file + "'", errno);
    }
    const std::int64_t ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
    return Datastores::Located{*located, static_cast<std::uint64_t>(info.st_size), from_ms(ns / 1'000'000),
                               std::to_string(ns) + "/" + std::to_string(info.st_ino) + "/" +
                                   std::to_string(info.st_size)};
}

} // namespace

BlobNames blob_names(const store::DatastoreRow& row) {
    if (row.account.empty() || row.container.empty()) {
        return {"linarite", "azureml-blobstore-" + row.name};
    }
    return {row.account, row.container};
}

Datastores::Datastores(store::Store& store, const Clock& clock, asio::thread_pool& pool, DataDir data)
    : store_(store), clock_(clock), pool_(pool), data_(std::move(data)) {}

asio::awaitable<Result<void>> Datastores::follow_data_dir() {
    auto move = [home = data_.datastores()](store::Tables& tables) -> Result<void> {
        const auto rows = tables.list_datastores();
        if (!rows) {
            return rows.error();
        }
        std::error_code ec;
        for (const store::DatastoreRow& row : *rows) {
            const fs::path path = home / row.name;
            if (row.path == path.string() || !was_home_of(row) || !fs::is_directory(path, ec)) {
                continue;
            }
            if (auto moved = tables.move_datastore(row.name, path.string()); !moved) {
                return moved;
            }
            spdlog::info("datastore found at a new place: datastore={} path={}", row.name, path.string());
        }
        return {};
    };
    co_return co_await store_.write(std::move(move));
}

asio::awaitable<Result<void>> Datastores::ensure_default() {
    const auto made = co_await create("workspaceblobstore", "", false);
    if (!made) {
        co_return made.error();
    }
    co_return Result<void>{};
}

asio::awaitable<Result<std::vector<store::DatastoreRow>>> Datastores::list() {
    co_return co_await store_.read([](store::Tables& tables) { return tables.list_datastores(); });
}

asio::awaitable<Result<std::vector<store::DatastoreRow>>> Datastores::elsewhere() {
    auto rows = co_await list();
    if (rows) {
        std::erase_if(*rows, [home = data_.datastores()](const store::DatastoreRow& row) {
            return row.path == (home / row.name).string();
        });
    }
    co_return rows;
}

asio::awaitable<Result<store::DatastoreRow>> Datastores::find(std::string name) {
    co_return co_await store_.read([name](store::Tables& tables) { return tables.find_datastore(name); });
}

asio::awaitable<Result<store::DatastoreRow>> Datastores::create(std::string name, std::string path, bool shared) {
    const auto checked = parse_name(name, "datastore");
    if (!checked) {
        co_return Error({Fault{"/name", checked.error().detail()}});
    }
    const bool ours = path.empty();
    const fs::path folder = ours ? data_.datastores() / name : fs::path(path);
    auto prepare = [folder, ours]() -> Result<void> {
        if (ours) {
            return make_folders(folder);
        }
        std::error_code ec;
        if (!folder.is_absolute() || !fs::is_directory(folder, ec)) {
            return Error({Fault{"/path", "'" + folder.string() +
                                             "' is not an absolute path of a directory on the coordinator's host"}});
        }
        return {};
    };
    if (auto ready = co_await on_pool(pool_, std::move(prepare)); !ready) {
        co_return ready.error();
    }
    store::DatastoreRow row{name, folder.string(), shared, name == "workspaceblobstore", clock_.now(), "", ""};
    auto put = [row](store::Tables& tables) -> Result<void> { return tables.put_datastore(row); };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    co_return row;
}

asio::awaitable<Result<std::vector<artifacts::RunFiles::Entry>>> Datastores::files(std::string name,
                                                                                   std::string prefix) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto work = [path = row->path, prefix] { return artifacts::RunFiles(path).list(prefix, listed_files); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<Datastores::Located>> Datastores::locate(std::string name, std::string file) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto work = [path = row->path, file] { return look_at(path, file); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<void>> Datastores::remove_file(std::string name, std::string file) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto work = [path = row->path, file] { return artifacts::RunFiles(path).remove(file); };
    co_return co_await on_pool(pool_, std::move(work));
}

asio::awaitable<Result<std::vector<store::DatastoreRow>>> Datastores::with_container(std::string container) {
    auto rows = co_await list();
    if (rows) {
        std::erase_if(*rows, [&](const store::DatastoreRow& row) { return blob_names(row).container != container; });
    }
    co_return rows;
}

asio::awaitable<Result<artifacts::IncomingFile>> Datastores::receive(std::string name, std::string file) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto work = [path = row->path, file] { return artifacts::RunFiles(path).create(file); };
    co_return co_await on_pool(pool_, std::move(work));
}

} // namespace linarite::service
