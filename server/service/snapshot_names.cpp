#include "common/hash.hpp"
#include "server/artifacts/zip_file.hpp"
#include "server/service/snapshots.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>

namespace linarite::service {
namespace {

using namespace std::chrono_literals;

constexpr auto zip_life = 24h;

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

std::string path_of(const proto::Manifest& manifest, const std::string& sha256) {
    const auto file = std::find_if(manifest.files.begin(), manifest.files.end(),
                                   [&](const proto::SnapshotFile& each) { return each.sha256 == sha256; });
    return file == manifest.files.end() ? sha256 : file->path;
}

} // namespace

asio::awaitable<Result<SnapshotId>> Snapshots::adopt(std::string alias, proto::Manifest manifest) {
    const auto offered = co_await offer(manifest);
    if (!offered) {
        co_return offered.error();
    }
    if (!offered->missing.empty()) {
        co_return Error(Errc::invalid_argument,
                        "the bytes of '" + path_of(manifest, offered->missing.front()) + "' are not there");
    }
    auto put = [alias = lower(std::move(alias)), id = offered->id, now = clock_.now()](store::Tables& tables) {
        return tables.put_snapshot_alias(alias, id, now);
    };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    co_return offered->id;
}

asio::awaitable<Result<SnapshotId>> Snapshots::resolve(std::string id_or_alias) {
    auto look = [name = lower(std::move(id_or_alias))](store::Tables& tables) -> Result<SnapshotId> {
        if (is_sha256_hex(name)) {
            const auto manifest = tables.find_snapshot(SnapshotId(name));
            return manifest ? SnapshotId(name) : Result<SnapshotId>(manifest.error());
        }
        return tables.find_snapshot_alias(name);
    };
    co_return co_await store_.read(std::move(look));
}

// Nothing if there is one already, which then stays for another day.
Result<std::optional<artifacts::ZipFile>> Snapshots::begin_zip(const SnapshotId& id, const fs::path& temporary) const {
    std::error_code ec;
    fs::last_write_time(zip_file(id), fs::file_time_type::clock::now(), ec);
    if (!ec) {
        return std::optional<artifacts::ZipFile>();
    }
    if (auto made = make_folders(zips_, 0700); !made) {
        return made.error();
    }
    auto zip = artifacts::ZipFile::create(temporary);
    return zip ? Result<std::optional<artifacts::ZipFile>>(std::move(*zip)) : zip.error();
}

Result<void> Snapshots::end_zip(artifacts::ZipFile& zip, const SnapshotId& id, const fs::path& temporary) const {
    auto done = zip.finish();
    std::error_code ec;
    if (done) {
        fs::rename(temporary, zip_file(id), ec); // no fsync: it can be made anew, and nothing refers to it for long
    } else {
        fs::remove(temporary, ec);
    }
    return done && ec ? errno_error("rename the archive of snapshot '" + id.str() + "'", ec.value()) : done;
}

// One file at a time goes through the file thread, so that others get their turn in between.
asio::awaitable<Result<void>> Snapshots::make_zip(SnapshotId id) {
    const auto manifest = co_await find(id);
    if (!manifest) {
        co_return manifest.error();
    }
    const fs::path temporary = zips_ / ("tmp-" + random_hex(8));
    auto begun = co_await on_pool(pool_, [this, &id, &temporary] { return begin_zip(id, temporary); });
    if (!begun || !*begun) {
        co_return begun ? Result<void>() : begun.error();
    }
    artifacts::ZipFile& zip = **begun;
    for (const proto::SnapshotFile& file : manifest->files) {
        auto add = [this, &zip, &file]() -> Result<void> {
            const auto blob = blobs_.locate(file.sha256);
            return blob ? zip.add(file.path, *blob, file.executable) : blob.error();
        };
        if (auto added = co_await on_pool(pool_, std::move(add)); !added) {
            std::error_code ec;
            fs::remove(temporary, ec);
            co_return added;
        }
    }
    co_return co_await on_pool(pool_, [this, &zip, &id, &temporary] { return end_zip(zip, id, temporary); });
}

void Snapshots::clean_up_zips() const {
    std::error_code ec;
    std::vector<fs::path> old;
    const auto now = fs::file_time_type::clock::now();
    for (fs::directory_iterator at(zips_, ec); !ec && at != fs::directory_iterator(); at.increment(ec)) {
        std::error_code gone;
        if (now - at->last_write_time(gone) > zip_life) {
            old.push_back(at->path());
        }
    }
    for (const fs::path& file : old) {
        fs::remove(file, ec);
    }
}

} // namespace linarite::service
