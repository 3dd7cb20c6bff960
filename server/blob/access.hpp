// server/blob/access.hpp: who may do what with which blob: decided from signatures alone.
#pragma once

#include "server/blob/place.hpp"

namespace linarite::blob {

struct Rights {
    bool read = false;
    bool look = false;   // at size and times
    bool write = false;  // a new blob or over one that is there
    bool create = false; // a new blob only
    bool remove = false;
    bool list = false;
    [[nodiscard]] bool any_write() const { return write || create; }
};

/// What a request's signature opened.
struct Opened {
    Rights rights;
    std::unique_ptr<Place> place;  // nothing for a container
    store::DatastoreRow datastore; // of a container and its blobs; empty behind a link
};

/// unauthorized if there is no good signature; then nothing is said of what exists. not_found for a container that the
/// signer's account has not, invalid_argument for a name that no blob can have.
asio::awaitable<Result<Opened>> open(Call call);

/// Whether the request is of this dialect at all.
bool has_blob_marks(const Call& call);

} // namespace linarite::blob
