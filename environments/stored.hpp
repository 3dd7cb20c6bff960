// environments/stored.hpp: what a cache folder holds, as its markers say.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "environments/layout.hpp"
#include "proto/json_reader.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace linarite::environments {

/// One environment of a cache.
struct Stored {
    std::string key;
    fs::path folder;
    bool whole = true; // false: somebody began to build it and ended in the middle, or is building it now
    std::string provider;
    std::string python; // version
    std::string interpreter;
    std::vector<std::string> requirements;
    std::string lock;
    std::map<std::string, std::string> variables; // that programs in it need to be given
    Time created{};
    Time last_used{};
    std::optional<std::uint64_t> bytes; // on disk when it was published; markers of earlier versions do not say it
};

/// What the marker says, and its mtime. not_found if there is none: the environment is not whole.
Result<Stored> read_stored(const fs::path& environment);
/// All environments of the cache, those that are not whole too; nothing if there is no such folder.
std::vector<Stored> list_stored(const fs::path& cache);
/// It is used now. Fails silently where the cache is another user's: the order of removal suffers, nothing else.
void touch_marker(const fs::path& environment);

} // namespace linarite::environments
