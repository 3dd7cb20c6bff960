#include "agent/capture/mirror.hpp"

#include "agent/capture/placing.hpp"
#include "async/async.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

namespace linarite::agent {

namespace {

constexpr std::size_t most_files = 500; // in one request
constexpr std::uint64_t most_bytes = std::uint64_t{8} << 20U;
constexpr int most_attempts = 5; // for files of which other bytes arrive than were told

bool is_below(const std::vector<RunTree>& trees, const std::string& path) {
    return std::ranges::any_of(trees, [&](const RunTree& tree) { return path.starts_with(tree.prefix + "/"); });
}

// Each name once, at the place of its last mention, as it was then.
std::vector<GangFile> newest_of(std::vector<GangFile> files) {
    std::map<std::string, std::size_t> last;
    for (std::size_t i = 0; i < files.size(); ++i) {
        last[files[i].path] = i;
    }
    std::vector<GangFile> out;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (last[files[i].path] == i) {
            out.push_back(std::move(files[i]));
        }
    }
    return out;
}

// The end of the batch that begins at `from`: what fits into one request.
std::size_t end_of_batch(const std::vector<GangFile>& files, std::size_t from) {
    std::uint64_t bytes = 0;
    std::size_t at = from;
    while (at < files.size() && at - from < most_files) {
        bytes += files[at].size;
        if (at > from && bytes > most_bytes) {
            break;
        }
        ++at;
    }
    return at;
}

asio::awaitable<Result<void>> take_piece(asio::thread_pool* pool, std::shared_ptr<Arrivals> arrivals,
                                         std::string_view piece) {
    co_return co_await on_pool(*pool, [arrivals, bytes = std::string(piece)] { return arrivals->feed(bytes); });
}

} // namespace

struct Mirror::Core : std::enable_shared_from_this<Mirror::Core> {
    Core(asio::any_io_executor on, asio::thread_pool& file_pool, std::shared_ptr<GangSource> from, MirrorSettings what)
        : executor(std::move(on)), pool(file_pool), source(std::move(from)), settings(std::move(what)) {}

    using Stamps = std::vector<std::optional<Stamp>>;

    asio::any_io_executor executor;
    asio::thread_pool& pool;
    std::shared_ptr<GangSource> source;
    MirrorSettings settings;
    std::uint64_t wanted = 0;               // version that the coordinator has
    std::uint64_t known = 0;                // version that we have
    std::map<std::string, Arrived> waiting; // arrived, for a page that is not complete yet
    int attempts = 0;
    bool running = false;
    bool stopped = false;
    bool in_trouble = false;
    bool warned = false;
    Signal changed;

    static asio::awaitable<void> run(std::shared_ptr<Core> self);
    static asio::awaitable<Result<void>> take_page(std::shared_ptr<Core> self);
    static asio::awaitable<std::vector<GangFile>> select(std::shared_ptr<Core> self, std::vector<GangFile> files);
    static asio::awaitable<Result<void>> fetch(std::shared_ptr<Core> self, std::vector<GangFile> files);
    [[nodiscard]] bool has(const GangFile& file) const;
    static asio::awaitable<Result<void>> place(std::shared_ptr<Core> self, std::vector<Arrived> arrived);
    [[nodiscard]] std::optional<Stamp> stamp(const std::string& name) const;
    asio::awaitable<void> pause(Millis span);
    void warn_once(const std::string& what);
    void begin();
};

void Mirror::Core::begin() {
    if (running || stopped) {
        return;
    }
    running = true;
    asio::co_spawn(executor, run(shared_from_this()), [self = shared_from_this()](std::exception_ptr bug) {
        self->running = false;
        if (bug) {
            self->stopped = true;
            spdlog::error("mirror: bringing other nodes' files ended unexpectedly");
        } else if (self->known < self->wanted) {
            self->begin(); // it was told of more in the very end
        }
    });
}

asio::awaitable<void> Mirror::Core::run(std::shared_ptr<Core> self) {
    Millis span = self->settings.first_retry;
    while (!self->stopped && self->known < self->wanted) {
        const auto done = co_await take_page(self);
        if (done) {
            span = self->settings.first_retry;
            self->in_trouble = false;
            continue;
        }
        if (is_over(done.error().code())) {
            self->stopped = true; // another placement has the run
            co_return;
        }
        if (!self->in_trouble) {
            self->in_trouble = true;
            spdlog::warn("mirror: other nodes' files cannot be had now: {}", done.error().detail());
            if (done.error().code() != Errc::unavailable) {
                self->warn_once("other nodes' files cannot be had now: " + done.error().detail());
            }
        }
        co_await self->pause(span);
        span = std::min(span * 2, self->settings.last_retry);
    }
}

asio::awaitable<void> Mirror::Core::pause(Millis span) {
    const auto until = std::chrono::steady_clock::now() + span;
    while (!stopped && std::chrono::steady_clock::now() < until) {
        co_await changed.wait(std::chrono::ceil<Millis>(until - std::chrono::steady_clock::now()));
    }
}

void Mirror::Core::warn_once(const std::string& what) {
    if (!stopped && !warned && settings.warn) { // whoever takes it may be gone once we are stopped
        settings.warn("warning: " + what);
    }
    warned = true;
}

std::optional<Stamp> Mirror::Core::stamp(const std::string& name) const {
    const auto* file = settings.foreign->find(name);
    return file == nullptr ? std::nullopt : std::optional(file->stamp);
}

// All files of a page are fetched before the first one is put into its place: one that was written anew meanwhile is
// listed after those that came after its former bytes, and whoever sees them counts on it.
asio::awaitable<Result<void>> Mirror::Core::take_page(std::shared_ptr<Core> self) {
    const std::uint64_t told = self->wanted;
    auto list = co_await self->source->list(self->known);
    if (!list) {
        co_return list.error();
    }
    const auto files = co_await select(self, newest_of(std::move(list->files)));
    if (auto fetched = co_await fetch(self, files); !fetched) {
        co_return fetched;
    }
    std::vector<Arrived> arrived;
    for (const GangFile& file : files) {
        if (self->has(file)) {
            arrived.push_back(self->waiting.at(file.path));
        }
    }
    // what was written anew while it was fetched is listed so soon; should it not be, we go on without it
    if (arrived.size() < files.size() && ++self->attempts < most_attempts) {
        co_return Error(Errc::unavailable, "files of other nodes changed while they were fetched");
    }
    self->attempts = 0;
    self->waiting.clear();
    if (auto placed = co_await place(self, std::move(arrived)); !placed) {
        co_return placed;
    }
    const bool at_end = list->version <= self->known; // nothing newer is there, whatever we were told
    self->known = at_end ? told : list->version;
    co_return Result<void>{};
}

bool Mirror::Core::has(const GangFile& file) const {
    const auto found = waiting.find(file.path);
    return found != waiting.end() && found->second.file.sha256 == file.sha256;
}

asio::awaitable<Result<void>> Mirror::Core::fetch(std::shared_ptr<Core> self, std::vector<GangFile> files) {
    std::erase_if(files, [&](const GangFile& file) { return self->has(file); });
    for (std::size_t at = 0; at < files.size() && !self->stopped;) {
        const std::size_t end = end_of_batch(files, at);
        std::vector<GangFile> batch(files.begin() + static_cast<std::ptrdiff_t>(at),
                                    files.begin() + static_cast<std::ptrdiff_t>(end));
        const auto arrivals = std::make_shared<Arrivals>(self->settings.arrivals, batch);
        auto sink = [pool = &self->pool, arrivals](std::string_view piece) {
            return take_piece(pool, arrivals, piece);
        };
        const auto fetched = co_await self->source->fetch(std::move(batch), std::move(sink));
        for (Arrived& each : arrivals->take()) {
            self->waiting.insert_or_assign(each.file.name, std::move(each));
        }
        if (!fetched) {
            co_return fetched;
        }
        at = end;
    }
    co_return Result<void>{};
}

// What we have not got, and may put into its place.
asio::awaitable<std::vector<GangFile>> Mirror::Core::select(std::shared_ptr<Core> self, std::vector<GangFile> files) {
    std::erase_if(files, [&](const GangFile& file) {
        const auto* had = self->settings.foreign->find(file.path);
        return !is_below(self->settings.trees, file.path) || (had != nullptr && had->sha256 == file.sha256);
    });
    Stamps stamps;
    for (const GangFile& file : files) {
        stamps.push_back(self->stamp(file.path));
    }
    auto look = [files, stamps, work_dir = self->settings.work_dir] {
        std::vector<GangFile> out;
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (look_at_place(work_dir, files[i].path, stamps[i]) != Place::own) {
                out.push_back(files[i]);
            }
        }
        return out;
    };
    co_return co_await on_pool(self->pool, std::move(look));
}

asio::awaitable<Result<void>> Mirror::Core::place(std::shared_ptr<Core> self, std::vector<Arrived> arrived) {
    Stamps stamps;
    std::vector<ForeignFiles::File> former;
    std::vector<ForeignFiles::File> files;
    for (const Arrived& each : arrived) {
        const auto* had = self->settings.foreign->find(each.file.name);
        former.push_back(had == nullptr ? ForeignFiles::File{each.file.name, "", {}} : *had);
        stamps.push_back(self->stamp(each.file.name));
        files.push_back(each.file);
    }
    // noted first: a file in its place that is not noted would be this node's own
    if (auto noted = self->settings.foreign->add(files); !noted) {
        co_return noted;
    }
    auto work = [arrived, stamps, from = self->settings.arrivals, work_dir = self->settings.work_dir] {
        std::vector<Result<bool>> out;
        for (std::size_t i = 0; i < arrived.size(); ++i) {
            out.push_back(put_in_place(from, arrived[i], work_dir, stamps[i]));
        }
        return out;
    };
    const std::vector<Result<bool>> placed = co_await on_pool(self->pool, std::move(work));
    std::vector<ForeignFiles::File> back; // what stands there is as foreign as it was
    for (std::size_t i = 0; i < placed.size(); ++i) {
        if (!placed[i] || !*placed[i]) {
            back.push_back(former[i]);
        }
        if (!placed[i]) { // the script may have made its folders so; the others' files shall not wait for that
            self->warn_once("'" + files[i].name + "' of another node is missing here: " + placed[i].error().detail());
        }
    }
    co_return back.empty() ? Result<void>() : self->settings.foreign->add(back);
}

Mirror::Mirror(asio::any_io_executor executor, asio::thread_pool& pool, std::shared_ptr<GangSource> source,
               MirrorSettings settings)
    : core_(std::make_shared<Core>(std::move(executor), pool, std::move(source), std::move(settings))) {}

Mirror::~Mirror() {
    core_->stopped = true;
    core_->settings.warn = nullptr; // what is under way may end later than our owner
    core_->changed.notify();
}

void Mirror::update(std::uint64_t version) {
    if (version > core_->wanted) {
        core_->wanted = version;
        core_->begin();
    }
}

std::uint64_t Mirror::version() const {
    return core_->known;
}

} // namespace linarite::agent
