// server/service/content_hashes.hpp: what the files of datastores contain: read once, remembered for as long as it
// holds.
#pragma once

#include "async/async.hpp"
#include "server/artifacts/data_tree.hpp"
#include "server/store/store.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace linarite::service {

/// A file of a datastore and what it contains.
struct DataContent {
    std::string name;
    std::uint64_t size = 0;
    std::string sha256;
};

/// What is at or below a path of a datastore.
struct DataListing {
    bool complete = false;              // else `files` is empty: not all of them have been read yet
    std::vector<DataContent> files;     // by name
    std::vector<std::string> obstacles; // see artifacts::DataTree
    std::uint64_t file_count = 0;
    std::uint64_t bytes = 0;
    std::uint64_t known_files = 0; // of those, what has been read
    std::uint64_t known_bytes = 0;
};

/// Reads files on a thread of its own, each once for all that ask, and keeps their hashes in the history with the stamp
/// that the file had. A hash is used for a file with just that stamp alone, and is kept only where everything that is
/// written to the file later leaves another one.
class ContentHashes {
public:
    explicit ContentHashes(store::Store& store);
    ~ContentHashes();
    ContentHashes(const ContentHashes&) = delete;
    ContentHashes& operator=(const ContentHashes&) = delete;

    /// Waits up to `wait` until all files have been read; reading goes on for a while without anybody who waits, so
    /// that the next call finds more. Errors as artifacts::list_data, with the names in them.
    asio::awaitable<Result<DataListing>> list(std::string folder, std::string path, Millis wait);

    /// The hash of a file that we wrote ourselves, and that was dated exactly.
    asio::awaitable<void> remember(std::string folder, store::FileHashRow row);

    /// Ends the reading; nothing is asked after it.
    asio::awaitable<void> stop();

private:
    struct Reading;
    using ReadingPtr = std::shared_ptr<Reading>;
    using Key = std::pair<std::string, std::string>; // folder, name

    struct Draft {
        DataListing listing;
        std::vector<std::size_t> unknown; // files of it
        std::vector<ReadingPtr> readings; // which will give their hashes
    };

    Draft draft(const std::string& folder, const artifacts::DataTree& tree, const std::vector<store::FileHashRow>& rows,
                std::chrono::steady_clock::time_point wanted_until);
    static Result<DataListing> finished(Draft draft);
    asio::awaitable<Result<std::vector<store::FileHashRow>>> known(std::string folder, std::string path);
    ReadingPtr want(const std::string& folder, const artifacts::DataFile& file,
                    std::chrono::steady_clock::time_point until);
    asio::awaitable<void> await_all(const std::vector<ReadingPtr>& readings, Millis wait);
    void start_work(const asio::any_io_executor& executor);
    asio::awaitable<void> work();
    asio::awaitable<void> read_one(ReadingPtr reading);
    asio::awaitable<Result<std::string>> try_to_read(ReadingPtr reading);
    asio::awaitable<void> keep_finished();
    void finish(const ReadingPtr& reading, Result<std::string> outcome);

    store::Store& store_;
    asio::thread_pool pool_{1};
    std::deque<ReadingPtr> queue_;
    std::map<Key, ReadingPtr> readings_;                              // queued or under way
    std::map<std::string, std::vector<store::FileHashRow>> finished_; // not stored yet, by folder
    std::size_t finished_count_ = 0;
    bool working_ = false;
    bool stopping_ = false;
    Signal changed_;
};

} // namespace linarite::service
