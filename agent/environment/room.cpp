#include "agent/environment/room.hpp"

#include "async/async.hpp"
#include "common/files.hpp"
#include "environments/usage.hpp"

#include <boost/asio/post.hpp>
#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

namespace linarite::agent {

using environments::EvictionReport;
using environments::Removal;
using environments::Wish;

namespace {

constexpr int humble = 10; // niceness

std::string mebibytes(std::uint64_t bytes) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

void log_removals(const EvictionReport& report) {
    if (!report.trouble.empty()) {
        spdlog::warn("no room can be made among the environments: cause=\"{}\"", report.trouble);
    }
    for (const Removal& removal : report.removals) {
        const std::string last_used = removal.last_used == Time{} ? "" : format_time(removal.last_used);
        if (removal.fate == Removal::Fate::removed) {
            spdlog::info("environment removed: key={} bytes={} last_used={} reason=\"{}\"", removal.name, removal.bytes,
                         last_used, removal.reason);
        }
        if (!removal.error.empty() && removal.fate != Removal::Fate::busy) {
            spdlog::warn("an environment cannot be removed: key={} cause=\"{}\"", removal.name, removal.error);
        }
    }
}

} // namespace

struct Room::State {
    asio::thread_pool& pool;
    fs::path cache;
    environments::Limits limits;
    std::atomic<bool> ending{false};
    std::atomic<bool> tidying{false}; // one waits in the queue already
    asio::thread_pool thread{1};

    State(asio::thread_pool& quick, fs::path of, environments::Limits within)
        : pool(quick), cache(std::move(of)), limits(within) {
        asio::post(thread, [] { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), humble); });
    }
};

Room::Room(asio::thread_pool& pool, fs::path cache, environments::Limits limits)
    : state_(std::make_shared<State>(pool, std::move(cache), limits)) {}

Room::~Room() {
    state_->ending = true;
    state_->thread.stop();
    state_->thread.join();
}

void Room::tidy() {
    if (state_->tidying.exchange(true)) {
        return;
    }
    asio::post(state_->thread, [state = state_.get()] { // joined before the state goes
        state->tidying = false;
        Wish wish;
        wish.limits = state->limits;
        log_removals(environments::make_room(state->cache, wish, state->ending));
    });
}

asio::awaitable<EvictionReport> Room::remove(Wish wish) {
    const auto state = state_;
    auto work = [state, wish] { return environments::make_room(state->cache, wish, state->ending); };
    EvictionReport report = co_await on_pool(state->thread, std::move(work));
    log_removals(report);
    co_return report;
}

asio::awaitable<void> Room::make_before_build(LogSink log) {
    const auto state = state_;
    const auto space = co_await on_pool(state->pool, [state] { return environments::space_of(state->cache); });
    if (!space || space->free >= state->limits.least_free) {
        co_return;
    }
    Wish wish;
    wish.limits.least_free = state->limits.least_free;
    const EvictionReport report = co_await remove(wish);
    if (report.freed > 0) {
        log("the disk is nearly full: " + mebibytes(report.freed) + " of idle environments were removed");
    }
}

asio::awaitable<Result<Built>> Room::build(std::function<asio::awaitable<Result<Built>>()> attempt, LogSink log,
                                           CancelToken cancel) {
    const auto state = state_;
    auto built = co_await attempt();
    for (const bool packages : {false, true}) {
        if (built || !is_out_of_space(built.error()) || cancel.cancelled()) {
            break;
        }
        Wish wish;
        wish.all_environments = true;
        wish.packages = packages ? Wish::Packages::all : Wish::Packages::keep;
        const EvictionReport report = co_await remove(wish);
        if (report.freed == 0) {
            continue;
        }
        log("the disk is full: " + mebibytes(report.freed) + " of " +
            (packages ? "kept packages" : "idle environments") + " were removed, and it is tried again");
        built = co_await attempt();
    }
    if (!built && is_out_of_space(built.error())) {
        const std::string disk = co_await on_pool(state->thread, [this] { return describe_disk(); });
        co_return Error(Errc::no_space, disk + ": " + built.error().detail());
    }
    co_return built;
}

// What of the cache holds the bytes, and what of that could not go.
std::string Room::describe_disk() const {
    const environments::Picture picture = environments::look_at(state_->cache);
    const auto space = environments::space_of(state_->cache);
    std::uint64_t environments = 0;
    std::uint64_t in_use = 0;
    std::size_t used = 0;
    for (const auto& entry : picture.environments) {
        environments += entry.stored.bytes.value_or(0);
        in_use += entry.users.empty() ? 0 : entry.stored.bytes.value_or(0);
        used += entry.users.empty() ? 0 : 1;
    }
    std::uint64_t packages = 0;
    for (const auto& each : picture.packages) {
        packages += each.bytes;
    }
    return fmt::format("no space is left for the environment: the file system at '{}' has {} bytes free of {}; '{}' "
                       "has {} environments of {} bytes, of which {} of {} bytes are in use by runs, and kept packages "
                       "of {} bytes",
                       environments::mount_point_of(state_->cache).string(), space ? space->free : 0,
                       space ? space->size : 0, state_->cache.string(), picture.environments.size(), environments, used,
                       in_use, packages);
}

bool says_no_space(std::string_view words) {
    static constexpr std::array<std::string_view, 6> signs{"No space left on device", "os error 28)",  "[Errno 28]",
                                                           "Disk quota exceeded",     "os error 122)", "[Errno 122]"};
    return std::ranges::any_of(signs,
                               [&](std::string_view sign) { return words.find(sign) != std::string_view::npos; });
}

bool is_out_of_space(const Error& error) {
    return error.code() == Errc::no_space || says_no_space(error.detail());
}

Result<UniqueFd> hold_packages(const fs::path& cache) {
    const fs::path path = environments::packages_lock(cache);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    while (::flock(fd.get(), LOCK_SH) != 0) {
        if (errno != EINTR) {
            return errno_error("lock '" + path.string() + "'", errno);
        }
    }
    return fd;
}

} // namespace linarite::agent
