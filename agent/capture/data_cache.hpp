// agent/capture/data_cache.hpp: data that this node does not see, fetched once and kept by what it contains.
#pragma once

#include "agent/capture/content_folder.hpp"
#include "agent/capture/coordinator.hpp"
#include "async/async.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace linarite::agent {

/// A file of a datastore, as the coordinator lists it.
struct RemoteFile {
    std::string datastore;
    std::string name;
    ContentFolder::Content content;
};

/// Kept files of all datastores. Those who want the same content at the same time share one transfer.
class DataCache {
public:
    /// Keeps up to `limit` bytes below `folder`.
    DataCache(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, fs::path folder, std::uint64_t limit);
    DataCache(const DataCache&) = delete;
    DataCache& operator=(const DataCache&) = delete;

    /// Removes what a killed agent left and looks how much there is. Once, before anything else.
    asio::awaitable<void> open();

    /// Files that are used while one of these lives are not removed to make room; of what does not fit then nothing is
    /// kept.
    class Use {
    public:
        explicit Use(DataCache& cache);
        ~Use();
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

    private:
        DataCache& cache_;
        std::multiset<std::int64_t>::iterator since_;
    };

    /// Gives it if it is kept; false if not. The work of an instant, for many files at a time: blocking.
    Result<bool> give_kept(const RemoteFile& file, const ContentFolder::Place& place) {
        return folder_.give(file.content, place);
    }
    /// Called with the bytes that came since the last call; less than 0 if they have to come again.
    using Progress = std::function<void(std::int64_t bytes)>;
    /// Gives it, after fetching it if it is not kept. conflict if the bytes are not those of its hash: the file has
    /// changed since it was listed, or something spoils it on its way.
    asio::awaitable<Result<void>> fetch(RemoteFile file, ContentFolder::Place place, Progress progress,
                                        CancelToken cancel);

private:
    struct Transfer {
        Signal over;
        bool is_over = false;
    };
    asio::awaitable<Result<void>> transfer(RemoteFile file, ContentFolder::Place place, Progress progress,
                                           CancelToken cancel);
    asio::awaitable<Result<bool>> receive(RemoteFile file, std::shared_ptr<ContentFolder::Incoming> incoming,
                                          Progress progress, CancelToken cancel);
    asio::awaitable<void> make_room(ContentFolder::Content arrived);

    asio::thread_pool& pool_;
    std::shared_ptr<Coordinator> coordinator_;
    ContentFolder folder_;
    std::uint64_t limit_;
    std::uint64_t bytes_ = 0;          // that are kept, as far as we know: other agents may use the folder, too
    std::multiset<std::int64_t> uses_; // since when, in nanoseconds
    std::int64_t full_since_ = 0;      // all that is kept has been used since then: nothing can go while that use lasts
    std::map<std::string, std::shared_ptr<Transfer>> transfers_; // by hash
};

} // namespace linarite::agent
