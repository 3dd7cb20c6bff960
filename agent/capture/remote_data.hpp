// agent/capture/remote_data.hpp: data of a datastore that this node does not see, through the coordinator.
#pragma once

#include "agent/capture/data_cache.hpp"

#include <functional>
#include <map>
#include <string>

namespace linarite::agent {

/// What to bring, and where to.
struct RemoteDataOrder {
    std::string reference; // its name, for people
    std::string datastore;
    std::string path; // on it; "" is all of it
    fs::path to;      // a folder, or the one file itself
    Share share = Share::read_only;
    Existing existing = Existing::impossible;         // impossible: `to` is removed first
    std::function<void(const std::string&)> progress; // what is being done, in words; some times a second
    std::function<void(const std::string&)> warn;
};

/// Brings what is at or below the path, from the cache as far as it is there. Errors name the datastore and the path:
/// not_found; invalid_argument if something in it can't be brought, a link above all; unavailable if the coordinator is
/// away for long; conflict for files that change all the time.
asio::awaitable<Result<void>> bring_data(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator,
                                         DataCache& cache, RemoteDataOrder order, CancelToken cancel);

/// What is said of files that were there and were not to be overwritten.
std::string words_of_kept_files(std::size_t count, const std::string& reference, const fs::path& place);

} // namespace linarite::agent
