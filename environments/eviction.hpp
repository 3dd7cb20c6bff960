// environments/eviction.hpp: makes room in a cache folder, and never takes away what somebody uses.
#pragma once

#include "common/clock.hpp"
#include "environments/stored.hpp"
#include "environments/use_marks.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace linarite::environments {

/// What a cache may take.
struct Limits {
    std::uint64_t most_bytes = 0; // environments and package caches together; 0: no limit
    std::uint64_t least_free = 0; // bytes of its file system
    bool operator==(const Limits&) const = default;
};

/// What is to be removed. What was left half-built always is.
struct Wish {
    Limits limits;                    // idle environments in order of their last use, until these hold
    std::optional<Time> unused_since; // those that nobody has used since then
    bool all_environments = false;    // all that are idle
    /// Whether package caches may be removed: if limits do not hold otherwise, or at any rate.
    enum class Packages { keep, if_needed, all } packages = Packages::if_needed;
    bool dry_run = false; // says what it would do
};

/// What became of one environment or package cache that was to go.
struct Removal {
    enum class Fate {
        removed,
        in_use, // by `users`
        busy,   // it is being built, or looked at, or a build uses the package cache
        failed, // `error` says why
    };
    std::string name; // key, or name of the package cache
    std::string provider;
    std::uint64_t bytes = 0; // that it took on disk
    Time last_used{};
    std::string reason; // why it was to go, in words
    Fate fate = Fate::removed;
    std::vector<User> users;
    std::string error;
};

struct EvictionReport {
    std::vector<Removal> removals; // in the order in which they were looked at
    std::uint64_t freed = 0;       // bytes
    std::string trouble;           // why it could not even begin; "" if it could
};

/// Makes room. Blocks: for as long as another process makes room in the same cache, and while it deletes. A removal is
/// one rename under the environment's lock after a look at its marks; whoever is killed in the middle leaves either a
/// whole environment or something that nobody takes for one and the next call deletes. Ends early when `stop` is set.
EvictionReport make_room(const fs::path& cache, const Wish& wish, const std::atomic<bool>& stop);

/// A cache as a whole, for people.
struct Picture {
    struct Entry {
        Stored stored;
        std::vector<User> users;
        bool busy = false; // locked by somebody who builds or removes it
    };
    struct PackageCache {
        std::string name;
        std::uint64_t bytes = 0;
    };
    std::vector<Entry> environments; // the one that was used last comes first; all have `bytes`
    std::vector<PackageCache> packages;
    std::uint64_t total = 0; // bytes on disk, each file once
};
Picture look_at(const fs::path& cache);

} // namespace linarite::environments
