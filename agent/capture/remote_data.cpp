#include "agent/capture/remote_data.hpp"

#include "agent/capture/persist.hpp"
#include "proto/json_reader.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace linarite::agent {

namespace {

using std::chrono::steady_clock;

constexpr int transfers_at_once = 4; // a small file is mostly waiting
constexpr std::size_t given_at_once = 256;
constexpr Millis asked_for{5'000};        // how long the coordinator may read files before it says how far it is
constexpr Millis longest_answer{600'000}; // a million files on a slow file system
constexpr Millis between_words{500};

struct Listing {
    std::vector<RemoteFile> files;
    std::vector<std::string> obstacles;
};
/// Either the whole list, or how far the coordinator is with reading the files.
struct Look {
    std::optional<Listing> listing;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t known_files = 0;
    std::uint64_t known_bytes = 0;
};

Error unreadable() {
    return {Errc::unavailable, "the coordinator's list of files can't be read"};
}

Result<Look> read_look(const std::string& text, bool complete, const std::string& datastore, const std::string& path) {
    const auto document = proto::parse_json(text);
    if (!document) {
        return unreadable();
    }
    Look look;
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    if (!complete) {
        look.files = reader.unsigned_integer("files", 0);
        look.bytes = reader.unsigned_integer("bytes", 0);
        look.known_files = reader.unsigned_integer("known_files", 0);
        look.known_bytes = reader.unsigned_integer("known_bytes", 0);
        return faults.empty() ? Result<Look>(look) : unreadable();
    }
    Listing& listing = look.listing.emplace();
    listing.obstacles = reader.texts("obstacles");
    bool sound = true;
    reader.objects("files", [&](proto::JsonReader& entry) {
        RemoteFile file{
            datastore, entry.required_text("path"), {entry.required_text("sha256"), entry.unsigned_integer("size", 0)}};
        const bool inside = path.empty() || file.name == path || file.name.starts_with(path + "/");
        sound = sound && inside && parse_relative_path(file.name, "file") && is_sha256_hex(file.content.sha256);
        listing.files.push_back(std::move(file));
    });
    const bool has_itself = std::ranges::find(listing.files, path, &RemoteFile::name) != listing.files.end();
    sound = sound && (!has_itself || listing.files.size() == 1); // a file or a folder
    return faults.empty() && sound ? Result<Look>(std::move(look)) : unreadable();
}

asio::awaitable<Result<Look>> ask(std::shared_ptr<Coordinator> coordinator, asio::thread_pool* pool,
                                  std::string datastore, std::string path) {
    client::HttpClient::Request request;
    request.target = datastore_target(datastore) + "/contents?path=" + client::encode_part(path) +
                     "&wait_ms=" + std::to_string(asked_for.count());
    request.timeout = longest_answer;
    const auto response = co_await coordinator->send(std::move(request));
    if (!response) {
        co_return response.error();
    }
    if (response->status > 299) {
        co_return error_of(*response);
    }
    co_return co_await on_pool(*pool, [response = *response, datastore, path] {
        return read_look(response.body, response.status == 200, datastore, path);
    });
}

std::string amount(std::uint64_t done, std::uint64_t all) {
    constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    double size = 1;
    for (; unit + 1 < units.size() && static_cast<double>(all) >= size * 1024; ++unit) {
        size *= 1024;
    }
    return fmt::format("{:.{}f} of {:.{}f} {}", static_cast<double>(done) / size, unit == 0 ? 0 : 1,
                       static_cast<double>(all) / size, unit == 0 ? 0 : 1, units.at(unit));
}

/// How far it is, in words, from time to time.
class Teller {
public:
    Teller(std::string reference, std::function<void(const std::string&)> tell)
        : reference_(std::move(reference)), tell_(std::move(tell)) {}

    void begin(const Listing& listing) {
        done_files_ = 0;
        done_bytes_ = 0;
        bytes_ = 0;
        files_ = listing.files.size();
        for (const RemoteFile& file : listing.files) {
            bytes_ += file.content.size;
        }
    }
    void reading(const Look& look) {
        say(fmt::format("waiting for data '{}', which the coordinator reads for the first time: {} of {} files, {}",
                        reference_, look.known_files, look.files, amount(look.known_bytes, look.bytes)));
    }
    void more(std::int64_t bytes) {
        done_bytes_ += static_cast<std::uint64_t>(bytes); // a negative number wraps around and back
        fetching();
    }
    void file_done() {
        ++done_files_;
        fetching();
    }

private:
    void fetching() {
        const auto now = steady_clock::now();
        if (now >= next_) {
            next_ = now + between_words;
            say(fmt::format("fetching data '{}': {} of {} files, {}", reference_, done_files_, files_,
                            amount(done_bytes_, bytes_)));
        }
    }
    void say(const std::string& words) const {
        if (tell_) {
            tell_(words);
        }
    }

    std::string reference_;
    std::function<void(const std::string&)> tell_;
    steady_clock::time_point next_;
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t done_files_ = 0;
    std::uint64_t done_bytes_ = 0;
};

/// One order under way.
class Bringing : public std::enable_shared_from_this<Bringing> {
public:
    Bringing(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, DataCache& cache, RemoteDataOrder order,
             CancelToken cancel)
        : pool_(pool),
          coordinator_(std::move(coordinator)),
          cache_(cache),
          order_(std::move(order)),
          outer_(std::move(cancel)),
          teller_(order_.reference, order_.progress) {}

    asio::awaitable<Result<void>> run() {
        const auto self = shared_from_this();
        const DataCache::Use use(cache_);
        for (bool again = false;; again = true) {
            auto listing = co_await list();
            if (!listing) {
                co_return listing.error().within("list datastore '" + order_.datastore + "'");
            }
            listing_ = std::move(*listing);
            auto brought = co_await bring();
            // what differs from the list has changed since then: a second look says
            if (brought || brought.error().code() != Errc::conflict || outer_.cancelled()) {
                co_return brought;
            }
            if (again) {
                co_return Error(Errc::conflict, brought.error().detail() +
                                                    ", twice: it is written to all the time, or spoilt on its way");
            }
        }
    }

private:
    asio::awaitable<Result<Listing>> list() {
        for (;;) {
            auto look = co_await persist<Look>([coordinator = coordinator_, pool = &pool_, store = order_.datastore,
                                                path = order_.path] { return ask(coordinator, pool, store, path); },
                                               outer_);
            if (!look) {
                co_return look.error();
            }
            if (look->listing) {
                co_return std::move(*look->listing);
            }
            if (outer_.cancelled()) {
                co_return Error(Errc::conflict, "preparing data was cancelled");
            }
            teller_.reading(*look);
        }
    }

    asio::awaitable<Result<void>> bring() {
        if (!listing_.obstacles.empty()) {
            co_return Error(Errc::invalid_argument,
                            "datastore '" + order_.datastore + "' has what can't be brought to another node: " +
                                listing_.obstacles.front() + " (remove it, or refer to a path without it)");
        }
        single_ = listing_.files.size() == 1 && listing_.files.front().name == order_.path;
        teller_.begin(listing_);
        missing_.clear();
        next_ = 0;
        kept_ = 0;
        if (auto ready = co_await on_pool(pool_, [self = shared_from_this()] { return self->make_ready(); }); !ready) {
            co_return ready;
        }
        for (std::size_t at = 0; at < listing_.files.size() && !outer_.cancelled();) {
            const std::size_t end = std::min(at + given_at_once, listing_.files.size());
            const auto given =
                co_await on_pool(pool_, [self = shared_from_this(), at, end] { return self->give_kept(at, end); });
            if (!given) {
                co_return given.error();
            }
            count(at, end, *given);
            at = end;
        }
        co_return co_await fetch_missing();
    }

    void count(std::size_t at, std::size_t end, const std::vector<std::size_t>& missing) {
        missing_.insert(missing_.end(), missing.begin(), missing.end());
        for (; at < end; ++at) {
            if (!std::ranges::binary_search(missing, at)) {
                teller_.more(static_cast<std::int64_t>(listing_.files[at].content.size));
                teller_.file_done();
            }
        }
    }

    asio::awaitable<Result<void>> fetch_missing() {
        stop_ = CancelToken();
        failure_.reset();
        const auto hook = outer_.on_cancel([stop = stop_] { stop.cancel(); });
        const auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < std::min<int>(transfers_at_once, static_cast<int>(missing_.size())); ++i) {
            ++workers_;
            asio::co_spawn(executor, work(), [self = shared_from_this()](const std::exception_ptr& bug) {
                if (bug) {
                    spdlog::critical("fetching data ended by an exception");
                    std::abort(); // the run's task is made anew by the next start
                }
                --self->workers_;
                self->ended_.notify();
            });
        }
        while (workers_ > 0) {
            co_await ended_.wait();
        }
        if (failure_) {
            co_return *failure_;
        }
        if (outer_.cancelled()) {
            co_return Error(Errc::conflict, "preparing data was cancelled");
        }
        if (kept_ > 0 && order_.warn) {
            order_.warn(words_of_kept_files(kept_, order_.reference, order_.to));
        }
        co_return Result<void>();
    }

    asio::awaitable<void> work() {
        while (next_ < missing_.size() && !stop_.cancelled()) {
            const RemoteFile& file = listing_.files[missing_[next_++]];
            const auto fetched = co_await cache_.fetch(
                file, place_for(file), [this](std::int64_t bytes) { teller_.more(bytes); }, stop_);
            if (!fetched) {
                if (!failure_ && !stop_.cancelled()) {
                    failure_ =
                        fetched.error().within("fetch '" + file.name + "' of datastore '" + file.datastore + "'");
                }
                stop_.cancel();
                co_return;
            }
            ours_[file.name] = file.content.sha256;
            teller_.file_done();
        }
    }

    // ---- on the pool; nothing else touches what they change ---------------------------------------------------------

    Result<void> make_ready() {
        if (order_.existing == Existing::impossible) {
            ours_.clear();
            std::error_code ec;
            fs::remove_all(order_.to, ec);
            if (ec) {
                return Error(Errc::internal, "remove '" + order_.to.string() + "': " + ec.message());
            }
        }
        return single_ ? make_folders(order_.to.parent_path()) : make_folders(order_.to);
    }

    /// Which of the files from..to have to be fetched.
    Result<std::vector<std::size_t>> give_kept(std::size_t from, std::size_t to) {
        std::vector<std::size_t> missing;
        for (; from < to; ++from) {
            const RemoteFile& file = listing_.files[from];
            const auto mine = ours_.find(file.name);
            if (mine != ours_.end() && mine->second == file.content.sha256) {
                continue; // from the first look
            }
            const ContentFolder::Place place = place_for(file);
            std::error_code ec;
            if (place.existing == Existing::kept && fs::exists(fs::symlink_status(place.path, ec))) {
                ++kept_;
                continue;
            }
            const auto given = cache_.give_kept(file, place);
            if (!given) {
                return given.error();
            }
            if (*given) {
                ours_[file.name] = file.content.sha256;
            } else {
                missing.push_back(from);
            }
        }
        return missing;
    }

    [[nodiscard]] ContentFolder::Place place_for(const RemoteFile& file) const {
        const fs::path path =
            single_ ? order_.to
                    : order_.to / (order_.path.empty() ? file.name : file.name.substr(order_.path.size() + 1));
        const bool mine = order_.existing == Existing::kept && ours_.contains(file.name);
        return {path, order_.share, mine ? Existing::replaced : order_.existing};
    }

    asio::thread_pool& pool_;
    std::shared_ptr<Coordinator> coordinator_;
    DataCache& cache_;
    RemoteDataOrder order_;
    CancelToken outer_;
    CancelToken stop_; // that, or one of the workers has failed
    Teller teller_;
    Listing listing_;
    bool single_ = false;
    std::vector<std::size_t> missing_;
    std::size_t next_ = 0;
    std::map<std::string, std::string> ours_; // what we have put to its place, and its hash
    std::size_t kept_ = 0;
    std::optional<Error> failure_;
    int workers_ = 0;
    Signal ended_;
};

} // namespace

std::string words_of_kept_files(std::size_t count, const std::string& reference, const fs::path& place) {
    return fmt::format("warning: data '{}': of its files {} at '{}' already and {} (overwrite is off)", reference,
                       count == 1 ? "1 was" : std::to_string(count) + " were", place.string(),
                       count == 1 ? "stays as it is" : "stay as they are");
}

asio::awaitable<Result<void>> bring_data(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator,
                                         DataCache& cache, RemoteDataOrder order, CancelToken cancel) {
    co_return co_await std::make_shared<Bringing>(pool, std::move(coordinator), cache, std::move(order),
                                                  std::move(cancel))
        ->run();
}

} // namespace linarite::agent
