// proto/snapshot.hpp: the manifest of a source tree.
#pragma once

#include "common/error.hpp"
#include "common/ids.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::proto {

struct SnapshotFile {
    std::string path;
    std::uint64_t size = 0;
    std::string sha256;
    bool executable = false;
    bool operator==(const SnapshotFile&) const = default;
};

/// What a source tree consists of, sorted by path.
struct Manifest {
    std::vector<SnapshotFile> files;
    bool operator==(const Manifest&) const = default;
};

/// 300 MiB, as the v1 client's own limit.
inline constexpr std::uint64_t default_snapshot_limit = std::uint64_t{300} << 20U;

nlohmann::json print(const Manifest& manifest);
/// Checks paths, hashes and sizes, sorts by path, refuses a path named twice or one that is also a folder of another.
/// All faults at once.
Result<Manifest> parse_manifest(const nlohmann::json& document);
/// SHA-256 of the canonical form: the manifest sorted by path, as JSON on one line with sorted keys.
SnapshotId snapshot_id(const Manifest& manifest);
/// The sum of all sizes; the largest number there is, if it would be more.
std::uint64_t total_bytes(const Manifest& manifest);
/// too_large with the ten largest paths and their sizes if the tree is over `limit` bytes.
Result<void> check_size(const Manifest& manifest, std::uint64_t limit);

} // namespace linarite::proto
