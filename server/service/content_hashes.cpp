#include "server/service/content_hashes.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>

namespace linarite::service {
namespace {

using namespace std::chrono_literals;
using artifacts::DataFile;
using artifacts::DataTree;
using artifacts::FileHashing;
using std::chrono::steady_clock;

constexpr std::size_t most_files = 1'000'000;
constexpr std::uint64_t slice_bytes = std::uint64_t{64} << 20U; // a fraction of a second
constexpr std::size_t stored_at_once = 1'000;
constexpr auto patience = 60s; // after the last one who asked
constexpr int most_tries = 3;  // for a file that is written to just then

/// Names in it that nobody has any more.
std::vector<std::string> gone_of(const std::vector<store::FileHashRow>& rows, const DataTree& tree) {
    std::vector<std::string> gone;
    for (const store::FileHashRow& row : rows) {
        const auto at = std::ranges::lower_bound(tree.files, row.name, {}, &DataFile::name);
        if (at == tree.files.end() || at->name != row.name) {
            gone.push_back(row.name);
        }
    }
    return gone;
}

/// It may heal, as network file systems do, and whoever asks should see what it was.
Error of_the_disk(const Error& error) {
    return {Errc::unavailable, error.detail()};
}

Result<DataTree> look(const std::string& folder, const std::string& path) {
    auto tree = artifacts::list_data(folder, path, most_files);
    if (tree) {
        std::ranges::sort(tree->files, {}, &DataFile::name);
        return tree;
    }
    return tree.error().code() == Errc::internal ? of_the_disk(tree.error()) : tree.error();
}

} // namespace

struct ContentHashes::Reading {
    std::string folder;
    std::string name;
    FileStamp stamp; // as it was when somebody asked
    steady_clock::time_point wanted_until;
    std::uint64_t read = 0;
    std::optional<Result<std::string>> outcome;
};

ContentHashes::ContentHashes(store::Store& store) : store_(store) {}

ContentHashes::~ContentHashes() {
    pool_.stop();
    pool_.join();
}

asio::awaitable<Result<std::vector<store::FileHashRow>>> ContentHashes::known(std::string folder, std::string path) {
    co_return co_await store_.read(
        [folder, path](store::Tables& tables) { return tables.list_file_hashes(folder, path); });
}

asio::awaitable<void> ContentHashes::remember(std::string folder, store::FileHashRow row) {
    const std::string name = row.name;
    auto put = [folder, rows = std::vector{std::move(row)}](store::Tables& tables) {
        return tables.put_file_hashes(folder, rows);
    };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        // it will be read when somebody asks for it
        spdlog::warn("the hash of a file is not kept: file=\"{}/{}\" cause=\"{}\"", folder, name,
                     stored.error().detail());
    }
}

ContentHashes::ReadingPtr ContentHashes::want(const std::string& folder, const DataFile& file,
                                              steady_clock::time_point until) {
    ReadingPtr& reading = readings_[Key(folder, file.name)];
    if (!reading || reading->stamp != file.stamp) { // what reads the file as it was before ends by itself
        reading = std::make_shared<Reading>();
        reading->folder = folder;
        reading->name = file.name;
        reading->stamp = file.stamp;
        queue_.push_back(reading);
    }
    reading->wanted_until = std::max(reading->wanted_until, until);
    return reading;
}

asio::awaitable<void> ContentHashes::await_all(const std::vector<ReadingPtr>& readings, Millis wait) {
    const auto until = steady_clock::now() + wait;
    for (const ReadingPtr& reading : readings) {
        while (!reading->outcome && !stopping_) {
            const auto left = std::chrono::duration_cast<Millis>(until - steady_clock::now());
            if (left <= Millis(0)) {
                co_return;
            }
            co_await changed_.wait(left);
        }
    }
}

// What is known at once, and who reads the rest.
ContentHashes::Draft ContentHashes::draft(const std::string& folder, const DataTree& tree,
                                          const std::vector<store::FileHashRow>& rows,
                                          steady_clock::time_point wanted_until) {
    std::unordered_map<std::string_view, const store::FileHashRow*> by_name;
    for (const store::FileHashRow& row : rows) {
        by_name.emplace(row.name, &row);
    }
    Draft out;
    out.listing.obstacles = tree.obstacles;
    out.listing.file_count = tree.files.size();
    out.listing.files.reserve(tree.files.size());
    for (const DataFile& file : tree.files) {
        out.listing.bytes += file.stamp.size;
        const auto row = by_name.find(file.name);
        const bool holds = row != by_name.end() && row->second->stamp == file.stamp;
        if (holds) {
            ++out.listing.known_files;
            out.listing.known_bytes += file.stamp.size;
        } else {
            out.unknown.push_back(out.listing.files.size());
            out.readings.push_back(want(folder, file, wanted_until));
        }
        out.listing.files.push_back({file.name, file.stamp.size, holds ? row->second->sha256 : ""});
    }
    return out;
}

Result<DataListing> ContentHashes::finished(Draft draft) {
    DataListing& listing = draft.listing;
    for (std::size_t i = 0; i < draft.readings.size(); ++i) {
        const Reading& reading = *draft.readings[i];
        listing.known_bytes += reading.read;
        if (reading.outcome && !*reading.outcome) {
            return reading.outcome->error();
        }
        if (reading.outcome) {
            ++listing.known_files;
            listing.files[draft.unknown[i]].sha256 = **reading.outcome;
        }
    }
    listing.complete = listing.known_files == listing.file_count;
    if (!listing.complete) {
        listing.files.clear();
    }
    return std::move(listing);
}

asio::awaitable<Result<DataListing>> ContentHashes::list(std::string folder, std::string path, Millis wait) {
    if (stopping_) {
        co_return Error(Errc::unavailable, "the coordinator stops");
    }
    co_await keep_finished(); // or what was read for an earlier call would be read again
    const auto tree = co_await on_pool(pool_, [folder, path] { return look(folder, path); });
    if (!tree) {
        co_return tree.error();
    }
    const auto rows = co_await known(folder, path);
    if (!rows) {
        co_return rows.error();
    }
    if (auto gone = gone_of(*rows, *tree); !gone.empty()) {
        auto forget = [folder, gone](store::Tables& tables) { return tables.remove_file_hashes(folder, gone); };
        if (auto done = co_await store_.write(std::move(forget)); !done) {
            co_return done.error();
        }
    }
    Draft draft = this->draft(folder, *tree, *rows, steady_clock::now() + wait + patience);
    if (!draft.readings.empty()) {
        start_work(co_await asio::this_coro::executor);
        co_await await_all(draft.readings, wait);
    }
    co_return finished(std::move(draft));
}

// ---- reading --------------------------------------------------------------------------------------------------------

void ContentHashes::start_work(const asio::any_io_executor& executor) {
    if (working_) {
        return;
    }
    working_ = true;
    asio::co_spawn(executor, work(), [](const std::exception_ptr& bug) {
        if (bug) {
            spdlog::critical("reading files of datastores ended by an exception");
            std::abort();
        }
    });
}

asio::awaitable<void> ContentHashes::work() {
    while (!queue_.empty() && !stopping_) {
        const ReadingPtr next = queue_.front();
        queue_.pop_front();
        co_await read_one(next);
        if (finished_count_ >= stored_at_once || queue_.empty()) {
            co_await keep_finished();
        }
    }
    co_await keep_finished();
    working_ = false;
    changed_.notify();
}

void ContentHashes::finish(const ReadingPtr& reading, Result<std::string> outcome) {
    reading->outcome = std::move(outcome);
    const auto found = readings_.find(Key(reading->folder, reading->name));
    if (found != readings_.end() && found->second == reading) {
        readings_.erase(found);
    }
    changed_.notify();
}

// A file that is written to just then is begun anew, but not for ever.
asio::awaitable<void> ContentHashes::read_one(ReadingPtr reading) {
    Result<std::string> outcome = Error(Errc::unavailable, "");
    for (int tries = 0; tries < most_tries && !outcome && outcome.error().code() == Errc::unavailable; ++tries) {
        outcome = co_await try_to_read(reading);
    }
    finish(reading, outcome ? outcome : of_the_disk(outcome.error()));
}

asio::awaitable<Result<std::string>> ContentHashes::try_to_read(ReadingPtr reading) {
    auto begun = co_await on_pool(
        pool_, [folder = reading->folder, name = reading->name] { return FileHashing::begin(folder, name); });
    if (!begun) {
        co_return begun.error();
    }
    const auto hashing = std::make_shared<FileHashing>(std::move(*begun));
    for (Result<bool> done = false; !*done;) {
        if (stopping_ || steady_clock::now() > reading->wanted_until) {
            co_return Error(Errc::conflict, "nobody waits for it any more");
        }
        done = co_await on_pool(pool_, [hashing] { return hashing->advance(slice_bytes); });
        if (!done) {
            co_return done.error();
        }
        reading->read = hashing->read();
    }
    if (hashing->settled()) {
        finished_[reading->folder].push_back({reading->name, hashing->stamp(), hashing->sha256()});
        ++finished_count_;
    }
    if (hashing->stamp() != reading->stamp) { // another file than the one that was asked for
        co_return Error(Errc::conflict, "'" + reading->name + "' has just changed");
    }
    co_return hashing->sha256();
}

asio::awaitable<void> ContentHashes::keep_finished() {
    auto finished = std::exchange(finished_, {});
    finished_count_ = 0;
    for (auto& [folder, rows] : finished) {
        auto put = [folder = folder, rows = std::move(rows)](store::Tables& tables) {
            return tables.put_file_hashes(folder, rows);
        };
        if (auto stored = co_await store_.write(std::move(put)); !stored) {
            spdlog::warn("hashes of files are not kept: folder=\"{}\" cause=\"{}\"", folder, stored.error().detail());
        }
    }
}

asio::awaitable<void> ContentHashes::stop() {
    stopping_ = true;
    changed_.notify();
    while (working_) {
        co_await changed_.wait();
    }
}

} // namespace linarite::service
