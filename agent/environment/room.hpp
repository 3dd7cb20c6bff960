// agent/environment/room.hpp: keeps the cache of environments within its limits.
#pragma once

#include "agent/environment/provider.hpp"
#include "common/files.hpp"
#include "environments/eviction.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <memory>

namespace linarite::agent {

/// Removes idle environments when they take too much. Works on a thread of its own that gives way to all others, as
/// counting and deleting files takes seconds. Each removal is a line in the agent's log.
class Room {
public:
    /// `pool` is for quick looks at the disk.
    Room(asio::thread_pool& pool, fs::path cache, environments::Limits limits);
    /// Ends what is under way; another agent, or the next start, goes on with it.
    ~Room();
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;

    /// Brings the cache within its limits some time soon.
    void tidy();
    /// The same before a build, and waits for it, but only if the file system has less free than it should.
    asio::awaitable<void> make_before_build(LogSink log);
    /// Builds by `attempt`. If the disk is full, idle environments are removed and it is tried again, and once more
    /// after removing the package caches if nobody else uses them; a step that frees nothing is no reason to try.
    /// no_space says which file system is full, how much is free and what holds the rest.
    asio::awaitable<Result<Built>> build(std::function<asio::awaitable<Result<Built>>()> attempt, LogSink log,
                                         CancelToken cancel);

private:
    struct State;
    asio::awaitable<environments::EvictionReport> remove(environments::Wish wish);
    [[nodiscard]] std::string describe_disk() const;
    std::shared_ptr<State> state_;
};

/// Whether these are the words of a full disk or quota, from us or from any tool.
bool says_no_space(std::string_view words);
/// Whether the error is one of those, or says so.
bool is_out_of_space(const Error& error);

/// Holds the package caches of the cache folder in their place (.packages.lock, shared): for a build. Blocks while one
/// of them is taken away, which is a rename.
Result<UniqueFd> hold_packages(const fs::path& cache);

} // namespace linarite::agent
