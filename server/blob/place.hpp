// server/blob/place.hpp: the three kinds of files that a blob's path can stand for, behind one interface.
#pragma once

#include "server/blob/api.hpp"
#include "server/service/blob_links.hpp"

#include <memory>
#include <string>

namespace linarite::blob {

/// A blob as it is now.
struct Facts {
    fs::path file;                  // where it is, or
    std::shared_ptr<UniqueFd> open; // the file itself, where its name may be another one's by and by
    std::uint64_t size = 0;         // that may be served of it
    std::string etag;               // without quotes
    Time modified{};
    std::string content_type = "application/octet-stream";
    bool growing = false; // what is there of it stays, but more will come
};

/// Where one blob lies, or would lie.
class Place {
public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    virtual ~Place() = default;

    virtual asio::awaitable<Result<Facts>> find() = 0;
    /// A file to be filled on the file thread and given to keep(). conflict if there is one and it `must_be_new`.
    virtual asio::awaitable<Result<artifacts::IncomingFile>> receive(bool must_be_new) = 0;
    /// Puts it into place; durable when it returns.
    virtual asio::awaitable<Result<Facts>> keep(artifacts::IncomingFile file, bool must_be_new) = 0;
    virtual asio::awaitable<Result<void>> remove() = 0;
};

/// A file of a run.
std::unique_ptr<Place> artifact_place(ApiPtr api, service::ArtifactBlob blob);
/// A file ahead of its snapshot, or the archive of a snapshot.
std::unique_ptr<Place> snapshot_place(ApiPtr api, std::string name);
/// A file of a datastore.
std::unique_ptr<Place> datastore_place(ApiPtr api, std::string datastore, std::string name);

/// The tag of a version, in the shape that Azure gives it.
std::string etag_of(const std::string& version);
Facts facts_of(const artifacts::ReadableFile& file);

} // namespace linarite::blob
