#include "server/service/datastores.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>

namespace linarite::service {
namespace {

constexpr std::size_t listed_files = 1'000'000;
constexpr const char* first_datastore = "workspaceblobstore";
// No datastore can have this name: a name does not begin with a dot.
constexpr const char* container_folder = ".containers";

bool same_blob(const BlobNames& a, const BlobNames& b) {
    return a.account == b.account && a.container == b.container;
}

// Within one transaction: the names are free, or another datastore's own, whose directory this one then shares.
Result<store::DatastoreRow> put_container(store::Tables& tables, store::DatastoreRow row, bool replace) {
    const auto rows = tables.list_datastores();
    if (!rows) {
        return rows.error();
    }
    const BlobNames wanted = blob_names(row);
    const store::DatastoreRow* former = nullptr;
    for (const store::DatastoreRow& other : *rows) {
        const BlobNames names = blob_names(other);
        if (other.name == row.name) {
            former = &other;
        }
        if (same_blob(names, wanted)) {
            row.path = other.path;
            row.shared = other.shared;
        } else if (names.container == wanted.container && other.name != row.name) {
            return Error(Errc::invalid_argument, "container '" + wanted.container + "' is already that of account '" +
                                                     names.account + "' (datastore '" + other.name +
                                                     "'); here a container's name belongs to one account");
        }
    }
    if (former != nullptr && same_blob(blob_names(*former), wanted)) {
        return *former;
    }
    if (former != nullptr && !replace) {
        return Error(Errc::conflict, "datastore '" + row.name + "' already exists with other names");
    }
    if (former != nullptr) { // another directory, which put_datastore refuses to a row that is there
        row.is_default = former->is_default;
        if (auto removed = tables.remove_datastore(row.name); !removed) {
            return removed.error();
        }
    }
    const auto stored = tables.put_datastore(row);
    return stored ? Result<store::DatastoreRow>(row) : stored.error();
}

/// Where below a data directory's folder of datastores this one is, if its path is one that some data directory gives
/// to a datastore of its own.
std::optional<fs::path> own_part(const store::DatastoreRow& row) {
    for (const fs::path& part : {fs::path(row.name), fs::path(container_folder) / row.account / row.container}) {
        if (row.path.ends_with("/" + (DataDir("").datastores() / part).string())) {
            return part;
        }
    }
    return std::nullopt;
}

/// Former paths of own datastores, and where they are now.
std::map<std::string, fs::path> moved_paths(const std::vector<store::DatastoreRow>& rows, const fs::path& home) {
    std::map<std::string, fs::path> moved;
    std::error_code ec;
    for (const store::DatastoreRow& row : rows) {
        const auto part = own_part(row);
        if (part && row.path != (home / *part).string() && fs::is_directory(home / *part, ec)) {
            moved.emplace(row.path, home / *part);
        }
    }
    return moved;
}

} // namespace

BlobNames blob_names(const store::DatastoreRow& row) {
    if (row.account.empty() || row.container.empty()) {
        return {workspace_account, "azureml-blobstore-" + row.name};
    }
    return {row.account, row.container};
}

Datastores::Datastores(store::Store& store, const Clock& clock, asio::thread_pool& pool, DataDir data)
    : store_(store), clock_(clock), pool_(pool), data_(std::move(data)), hashes_(store) {}

asio::awaitable<Result<void>> Datastores::follow_data_dir() {
    auto move = [home = data_.datastores()](store::Tables& tables) -> Result<void> {
        const auto rows = tables.list_datastores();
        if (!rows) {
            return rows.error();
        }
        const auto moved = moved_paths(*rows, home);
        for (const store::DatastoreRow& row : *rows) {
            const auto found = moved.find(row.path); // several may share one directory
            if (found == moved.end()) {
                continue;
            }
            if (auto done = tables.move_datastore(row.name, found->second.string()); !done) {
                return done;
            }
            spdlog::info("datastore found at a new place: datastore={} path={}", row.name, found->second.string());
        }
        return {};
    };
    co_return co_await store_.write(std::move(move));
}

asio::awaitable<Result<void>> Datastores::ensure_default() {
    const auto made = co_await create(first_datastore, "", false);
    if (!made) {
        co_return made.error();
    }
    if (const auto found = co_await find(artifact_datastore); !found) {
        const auto added = co_await register_container(artifact_datastore, {workspace_account, "azureml"}, false);
        if (!added) { // another datastore has that container
            spdlog::warn("no images can be built from folders that clients send: {}", added.error().detail());
        }
    }
    auto check = [](store::Tables& tables) -> Result<void> {
        const auto rows = tables.list_datastores();
        if (!rows) {
            return rows.error();
        }
        return std::ranges::any_of(*rows, &store::DatastoreRow::is_default)
                   ? Result<void>()
                   : tables.set_default_datastore(first_datastore);
    };
    co_return co_await store_.write(std::move(check));
}

asio::awaitable<Result<std::vector<store::DatastoreRow>>> Datastores::list() {
    co_return co_await store_.read([](store::Tables& tables) { return tables.list_datastores(); });
}

asio::awaitable<Result<std::vector<store::DatastoreRow>>> Datastores::elsewhere() {
    auto rows = co_await list();
    if (rows) {
        std::erase_if(*rows, [home = data_.datastores().string() + "/"](const store::DatastoreRow& row) {
            return row.path.starts_with(home);
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
    store::DatastoreRow row{name, folder.string(), shared, false, clock_.now(), "", ""};
    auto put = [row](store::Tables& tables) -> Result<store::DatastoreRow> {
        store::DatastoreRow stored = row;
        if (const auto known = tables.find_datastore(row.name)) {
            stored.is_default = known->is_default;
            stored.account = known->account;
            stored.container = known->container;
            stored.created = known->created;
        }
        const auto done = tables.put_datastore(stored);
        return done ? Result<store::DatastoreRow>(stored) : done.error();
    };
    co_return co_await store_.write(std::move(put));
}

asio::awaitable<Result<store::DatastoreRow>> Datastores::register_container(std::string name, BlobNames blob,
                                                                            bool replace) {
    const auto checked = parse_name(name, "datastore");
    if (!checked) {
        co_return Error({Fault{"/name", checked.error().detail()}});
    }
    const fs::path folder = data_.datastores() / container_folder / blob.account / blob.container;
    if (auto ready = co_await on_pool(pool_, [folder]() -> Result<void> { return make_folders(folder); }); !ready) {
        co_return ready.error();
    }
    store::DatastoreRow row{name, folder.string(), false, false, clock_.now(), blob.account, blob.container};
    auto put = [row, replace](store::Tables& tables) { return put_container(tables, row, replace); };
    co_return co_await store_.write(std::move(put));
}

asio::awaitable<Result<void>> Datastores::set_default(std::string name) {
    auto set = [name](store::Tables& tables) { return tables.set_default_datastore(name); };
    co_return co_await store_.write(std::move(set));
}

asio::awaitable<Result<void>> Datastores::remove(std::string name) {
    auto erase = [name](store::Tables& tables) -> Result<void> {
        const auto row = tables.find_datastore(name);
        if (!row) {
            return row.error();
        }
        if (row->is_default || name == first_datastore || name == artifact_datastore) {
            return Error(Errc::invalid_argument,
                         "datastore '" + name + "' cannot be removed: " +
                             (row->is_default ? "it is the default one, make another one the default first"
                                              : "it belongs to the coordinator"));
        }
        return tables.remove_datastore(name);
    };
    co_return co_await store_.write(std::move(erase));
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

asio::awaitable<Result<DataListing>> Datastores::contents(std::string name, std::string path, Millis wait) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto listing = co_await hashes_.list(row->path, path, wait);
    if (!listing && listing.error().code() == Errc::not_found) {
        co_return path.empty() ? Error(Errc::not_found, "datastore '" + row->name + "' has no folder")
                               : Error(Errc::not_found, "'" + path + "' is not on datastore '" + row->name + "'");
    }
    co_return listing;
}

asio::awaitable<Result<artifacts::ReadableFile>> Datastores::open(std::string name, std::string file) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    auto work = [path = row->path, file] { return artifacts::RunFiles(path).open(file); };
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

asio::awaitable<Result<void>> Datastores::keep(std::string name, std::string file, artifacts::IncomingFile incoming,
                                               bool must_be_new) {
    const auto row = co_await find(std::move(name));
    if (!row) {
        co_return row.error();
    }
    const auto shared = std::make_shared<artifacts::IncomingFile>(std::move(incoming));
    auto commit = [shared, must_be_new]() -> Result<FileStamp> {
        if (must_be_new) {
            shared->must_be_new();
        }
        if (auto dated = shared->date_exactly(); !dated) {
            return dated.error();
        }
        const auto done = shared->commit(true);
        return done ? shared->stamp() : done.error();
    };
    const auto stamp = co_await on_pool(pool_, std::move(commit));
    if (!stamp) {
        co_return stamp.error();
    }
    co_await hashes_.remember(row->path, {file, *stamp, shared->sha256()});
    co_return Result<void>();
}

} // namespace linarite::service
