#include "server/service/backup.hpp"

#include "common/files.hpp"
#include "server/artifacts/run_files.hpp"

namespace linarite::service {
namespace {

Result<void> copy_tree(const fs::path& from, const fs::path& to) {
    std::error_code ec;
    if (!fs::exists(from, ec)) {
        return {};
    }
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::skip_symlinks, ec);
    if (ec) {
        return Error(Errc::internal, "copy '" + from.string() + "': " + ec.message());
    }
    return {};
}

using Rows = std::vector<store::DatastoreRow>;

Result<void> write_not_copied(const DataDir& to, const Rows& rows) {
    if (rows.empty()) {
        return {};
    }
    std::string text = "# Datastores that this backup does not hold: their files are where they were registered.\n";
    for (const store::DatastoreRow& row : rows) {
        text += row.name + '\t' + row.path + '\n';
    }
    return write_file_durably(to.root() / "not-copied.txt", text, 0600);
}

Result<std::uint64_t> copy_files(const DataDir& data, const DataDir& to, const Rows& elsewhere) {
    const std::pair<fs::path, fs::path> parts[] = {
        {data.snapshots(), to.snapshots()},   {data.runs(), to.runs()},
        {data.datastores(), to.datastores()}, {data.tls(), to.tls()},
        {data.token(), to.token()},           {data.signing_key(), to.signing_key()},
    };
    for (const auto& [from, target] : parts) {
        if (auto copied = copy_tree(from, target); !copied) {
            return copied.error();
        }
    }
    if (auto written = write_not_copied(to, elsewhere); !written) {
        return written.error();
    }
    if (auto synced = artifacts::sync_all(to.root()); !synced) {
        return synced.error();
    }
    std::uint64_t bytes = 0;
    std::error_code ec;
    for (const auto& entry : fs::recursive_directory_iterator(to.root(), ec)) {
        if (entry.is_regular_file(ec)) {
            bytes += entry.file_size(ec);
        }
    }
    return bytes;
}

} // namespace

asio::awaitable<Result<BackupReport>> back_up(Databases databases, Datastores& datastores, DataDir data,
                                              std::string directory) {
    const DataDir to{fs::path(directory)};
    auto make = [to]() -> Result<void> {
        std::error_code ec;
        if (!to.root().is_absolute() || fs::exists(to.root(), ec)) {
            return Error(
                {Fault{"/directory", "'" + to.root().string() + "' must be an absolute path where nothing is yet"}});
        }
        return make_folders(to.root(), 0700);
    };
    if (auto made = co_await on_pool(datastores.pool(), std::move(make)); !made) {
        co_return made.error();
    }
    if (auto copied = co_await databases.history.backup(to.history().string()); !copied) {
        co_return copied.error();
    }
    // second: what a run of the copy had logged is in it, too
    if (auto copied = co_await databases.metrics.backup(to.metrics().string()); !copied) {
        co_return copied.error();
    }
    auto elsewhere = co_await datastores.elsewhere(); // after the database: all that it names are among them
    if (!elsewhere) {
        co_return elsewhere.error();
    }
    auto files = [data, to, rows = *elsewhere] { return copy_files(data, to, rows); };
    const auto bytes = co_await on_pool(datastores.pool(), std::move(files));
    if (!bytes) {
        co_return bytes.error();
    }
    co_return BackupReport{*bytes, std::move(*elsewhere)};
}

} // namespace linarite::service
