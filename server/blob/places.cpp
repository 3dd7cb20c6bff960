#include "common/files.hpp"
#include "common/hash.hpp"
#include "server/blob/place.hpp"

#include <sys/stat.h>

namespace linarite::blob {
namespace {

constexpr const char* text_type = "text/plain; charset=utf-8";

Error read_only(const char* what) {
    return Error(Errc::forbidden, std::string(what) + " cannot be changed");
}

class ArtifactPlace final : public Place {
public:
    ArtifactPlace(ApiPtr api, service::ArtifactBlob blob) : api_(std::move(api)), blob_(std::move(blob)) {}

    asio::awaitable<Result<Facts>> find() override {
        const auto file = co_await api_->storage.open(blob_.run, blob_.path, service::Shown::whole_lines);
        if (!file) {
            co_return file.error();
        }
        Facts facts = facts_of(*file);
        facts.growing = file->growing;
        if (blob_.path.ends_with(".txt") || blob_.path.ends_with(".log")) {
            facts.content_type = text_type;
        }
        co_return facts;
    }
    asio::awaitable<Result<artifacts::IncomingFile>> receive(bool must_be_new) override {
        return api_->storage.receive(blob_.run, blob_.path, must_be_new);
    }
    asio::awaitable<Result<Facts>> keep(artifacts::IncomingFile file, bool must_be_new) override {
        if (auto kept = co_await api_->storage.keep(blob_.run, blob_.path, std::move(file), must_be_new); !kept) {
            co_return kept.error();
        }
        co_return co_await find();
    }
    asio::awaitable<Result<void>> remove() override { co_return read_only("a file of a run"); }

private:
    ApiPtr api_;
    service::ArtifactBlob blob_;
};

class SnapshotPlace final : public Place {
public:
    SnapshotPlace(ApiPtr api, std::string name) : api_(std::move(api)), name_(std::move(name)) {}

    asio::awaitable<Result<Facts>> find() override {
        if (const SnapshotId archive = service::parse_zip_blob(name_); !archive.empty()) {
            auto look = [path = api_->snapshots.zip_file(archive)] { return archive_facts(path); };
            co_return co_await on_pool(api_->pool, std::move(look));
        }
        const auto row = co_await api_->uploads.find(name_);
        if (!row) {
            co_return row.error();
        }
        const auto located = api_->uploads.locate(*row);
        if (!located) {
            co_return located.error();
        }
        Facts facts = facts_of_row(*row);
        facts.file = *located;
        co_return facts;
    }
    asio::awaitable<Result<artifacts::IncomingFile>> receive(bool) override {
        if (!service::parse_zip_blob(name_).empty()) {
            co_return read_only("an archive");
        }
        co_return co_await api_->uploads.receive();
    }
    asio::awaitable<Result<Facts>> keep(artifacts::IncomingFile file, bool must_be_new) override {
        const auto row = co_await api_->uploads.keep(name_, std::move(file), must_be_new);
        co_return row ? facts_of_row(*row) : Result<Facts>(row.error());
    }
    asio::awaitable<Result<void>> remove() override { co_return read_only("a file of a snapshot"); }

private:
    static Facts facts_of_row(const store::BlobUploadRow& row) {
        Facts facts;
        facts.size = row.size;
        facts.etag = etag_of(row.sha256);
        facts.modified = row.created;
        return facts;
    }
    static Result<Facts> archive_facts(const fs::path& path) {
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) {
            return errno_error("look at the archive", errno);
        }
        Facts facts;
        facts.file = path;
        facts.size = static_cast<std::uint64_t>(info.st_size);
        facts.etag = etag_of(path.filename().string());
        facts.modified = from_ms(std::int64_t{info.st_mtim.tv_sec} * 1000);
        facts.content_type = "application/zip";
        return facts;
    }
    ApiPtr api_;
    std::string name_;
};

class DatastorePlace final : public Place {
public:
    DatastorePlace(ApiPtr api, std::string datastore, std::string name)
        : api_(std::move(api)), datastore_(std::move(datastore)), name_(std::move(name)) {}

    asio::awaitable<Result<Facts>> find() override {
        const auto file = co_await api_->datastores.open(datastore_, name_);
        co_return file ? facts_of(*file) : Result<Facts>(file.error());
    }
    asio::awaitable<Result<artifacts::IncomingFile>> receive(bool must_be_new) override {
        if (must_be_new) {
            const auto known = co_await find();
            if (known) {
                co_return Error(Errc::conflict, "'" + name_ + "' exists already");
            }
        }
        co_return co_await api_->datastores.receive(datastore_, name_);
    }
    asio::awaitable<Result<Facts>> keep(artifacts::IncomingFile file, bool must_be_new) override {
        if (auto kept = co_await api_->datastores.keep(datastore_, name_, std::move(file), must_be_new); !kept) {
            co_return kept.error();
        }
        co_return co_await find();
    }
    asio::awaitable<Result<void>> remove() override { return api_->datastores.remove_file(datastore_, name_); }

private:
    ApiPtr api_;
    std::string datastore_;
    std::string name_;
};

} // namespace

std::unique_ptr<Place> artifact_place(ApiPtr api, service::ArtifactBlob blob) {
    return std::make_unique<ArtifactPlace>(std::move(api), std::move(blob));
}

std::unique_ptr<Place> snapshot_place(ApiPtr api, std::string name) {
    return std::make_unique<SnapshotPlace>(std::move(api), std::move(name));
}

std::unique_ptr<Place> datastore_place(ApiPtr api, std::string datastore, std::string name) {
    return std::make_unique<DatastorePlace>(std::move(api), std::move(datastore), std::move(name));
}

std::string etag_of(const std::string& version) {
    std::string digits = sha256_hex(version).substr(0, 15);
    for (char& c : digits) {
        c = c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return "0x" + digits;
}

Facts facts_of(const artifacts::ReadableFile& file) {
    Facts facts;
    facts.open = file.fd;
    facts.size = file.size;
    facts.etag = etag_of(file.version);
    facts.modified = file.changed;
    return facts;
}

} // namespace linarite::blob
