// server/service/datastores.hpp: use cases on datastores: named directories of plain files.
#pragma once

#include "async/async.hpp"
#include "common/data_dir.hpp"
#include "server/artifacts/run_files.hpp"
#include "server/service/content_hashes.hpp"
#include "server/store/store.hpp"

#include <memory>
#include <string>
#include <vector>

namespace linarite::service {

/// The storage account and the container under which clients of the blob dialect find a datastore.
struct BlobNames {
    std::string account;
    std::string container;
};
/// The account that workspaces have; its key is what Workspace.list_keys() tells.
inline constexpr const char* workspace_account = "linarite";
/// The datastore of the container "azureml" in it, into which clients put the folders that images are built from.
inline constexpr const char* artifact_datastore = "workspaceartifactstore";
/// As registered, else "linarite" and "azureml-blobstore-" with the datastore's name.
BlobNames blob_names(const store::DatastoreRow& row);

class Datastores {
public:
    Datastores(store::Store& store, const Clock& clock, asio::thread_pool& pool, DataDir data);

    /// A data directory may have been moved, or be a restored backup: its own datastores are where it is now. Call it
    /// before anybody reads their paths.
    asio::awaitable<Result<void>> follow_data_dir();
    /// Makes what every workspace has: workspaceblobstore, the default if there is no other one, and
    /// workspaceartifactstore.
    asio::awaitable<Result<void>> ensure_default();
    asio::awaitable<Result<std::vector<store::DatastoreRow>>> list();
    /// Those whose directories are not ours: registered by path.
    asio::awaitable<Result<std::vector<store::DatastoreRow>>> elsewhere();
    asio::awaitable<Result<store::DatastoreRow>> find(std::string name);
    /// `path` "" is a directory of our own. A given one must be an existing absolute directory. The same again is no
    /// error.
    asio::awaitable<Result<store::DatastoreRow>> create(std::string name, std::string path, bool shared);
    /// Names a container as a datastore. Its files are in a directory of their own, by account and container: two
    /// datastores with the same names share it, and one that comes back finds what it had. The name of a container is
    /// that of one account alone, since a request for a blob does not say the account. `replace` lets a datastore that
    /// is there under other names become this one; without it that is a conflict.
    asio::awaitable<Result<store::DatastoreRow>> register_container(std::string name, BlobNames blob, bool replace);
    asio::awaitable<Result<void>> set_default(std::string name);
    /// Its files stay. invalid_argument for the default one.
    asio::awaitable<Result<void>> remove(std::string name);
    asio::awaitable<Result<std::vector<artifacts::RunFiles::Entry>>> files(std::string name, std::string prefix);
    /// What is at or below a path, with the hash of each file; see ContentHashes::list.
    asio::awaitable<Result<DataListing>> contents(std::string name, std::string path, Millis wait);
    asio::awaitable<Result<artifacts::ReadableFile>> open(std::string name, std::string file);
    asio::awaitable<Result<void>> remove_file(std::string name, std::string file);
    /// Those with a container of that name: in every account there may be one.
    asio::awaitable<Result<std::vector<store::DatastoreRow>>> with_container(std::string container);
    /// A file that is being received; append to it on the pool (see pool()), then give it to keep().
    asio::awaitable<Result<artifacts::IncomingFile>> receive(std::string name, std::string file);
    /// Puts it into place, durably. conflict if there is one of that name and it `must_be_new`.
    asio::awaitable<Result<void>> keep(std::string name, std::string file, artifacts::IncomingFile incoming,
                                       bool must_be_new);
    /// Ends what it does by itself.
    asio::awaitable<void> stop() { return hashes_.stop(); }
    [[nodiscard]] asio::thread_pool& pool() { return pool_; }

private:
    store::Store& store_;
    const Clock& clock_;
    asio::thread_pool& pool_;
    DataDir data_;
    ContentHashes hashes_;
};

} // namespace linarite::service
