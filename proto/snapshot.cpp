#include "proto/snapshot.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "fmt/core.h"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::uint64_t file_limit = std::numeric_limits<std::int64_t>::max();

bool by_path(const SnapshotFile& a, const SnapshotFile& b) {
    return a.path < b.path;
}

SnapshotFile read_file_entry(JsonReader& in) {
    SnapshotFile file;
    file.path = in.required_text("path");
    file.size = in.unsigned_integer("size", 0);
    file.sha256 = in.required_text("sha256");
    file.executable = in.boolean("executable", false);
    if (const auto path = parse_relative_path(file.path, "path"); !path && !file.path.empty()) {
        in.fault("path", path.error().detail());
    }
    if (!in.has("size")) {
        in.fault("size", "is needed");
    } else if (file.size > file_limit) {
        in.fault("size", "is more than a file can hold");
    }
    if (!file.sha256.empty() && !is_sha256_hex(file.sha256)) {
        in.fault("sha256", "must be 64 lower-case hex digits");
    }
    return file;
}

/// Entries that cannot be in one tree: the same name twice, or a file where another entry needs a folder.
void check_tree(const std::vector<SnapshotFile>& files, std::vector<Fault>& faults) {
    const auto fault = [&faults](std::size_t index, std::string message) {
        if (faults.size() < 100) { // a hostile manifest must not be answered with a longer error
            faults.push_back({fmt::format("/files/{}/path", index), std::move(message)});
        }
    };
    std::unordered_set<std::string_view> names;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (!names.insert(files[i].path).second) {
            fault(i, fmt::format("'{}' is there twice", files[i].path));
        }
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string_view path = files[i].path;
        for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
            if (names.contains(path.substr(0, slash))) {
                fault(i, fmt::format("'{}' lies below '{}', which is a file", path, path.substr(0, slash)));
            }
        }
    }
}

std::string format_bytes(std::uint64_t bytes) {
    constexpr std::uint64_t step = 1024;
    constexpr std::array<std::string_view, 5> units = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    auto size = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (size >= step && unit + 1 < units.size()) {
        size /= step;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", size, units.at(unit));
}

} // namespace

nlohmann::json print(const Manifest& manifest) {
    Json files = Json::array();
    for (const SnapshotFile& file : manifest.files) {
        files.push_back(
            {{"path", file.path}, {"size", file.size}, {"sha256", file.sha256}, {"executable", file.executable}});
    }
    return {{"files", std::move(files)}};
}

Result<Manifest> parse_manifest(const nlohmann::json& document) {
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);
    Manifest manifest;
    if (document.is_object() && !in.has("files")) {
        in.fault("files", "is needed");
    }
    in.objects("files", [&manifest](JsonReader& entry) { manifest.files.push_back(read_file_entry(entry)); });
    if (faults.empty()) { // entries without a name would all be the same one
        check_tree(manifest.files, faults);
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    std::sort(manifest.files.begin(), manifest.files.end(), by_path);
    return manifest;
}

SnapshotId snapshot_id(const Manifest& manifest) {
    if (std::is_sorted(manifest.files.begin(), manifest.files.end(), by_path)) {
        return SnapshotId(sha256_hex(print_json(print(manifest))));
    }
    Manifest sorted = manifest;
    std::sort(sorted.files.begin(), sorted.files.end(), by_path);
    return SnapshotId(sha256_hex(print_json(print(sorted))));
}

std::uint64_t total_bytes(const Manifest& manifest) {
    std::uint64_t total = 0;
    for (const SnapshotFile& file : manifest.files) {
        total += std::min(file.size, std::numeric_limits<std::uint64_t>::max() - total);
    }
    return total;
}

Result<void> check_size(const Manifest& manifest, std::uint64_t limit) {
    const std::uint64_t total = total_bytes(manifest);
    if (total <= limit) {
        return {};
    }
    std::vector<SnapshotFile> largest(std::min<std::size_t>(manifest.files.size(), 10));
    std::partial_sort_copy(manifest.files.begin(), manifest.files.end(), largest.begin(), largest.end(),
                           [](const SnapshotFile& a, const SnapshotFile& b) {
                               return a.size != b.size ? a.size > b.size : a.path < b.path;
                           });
    std::string names;
    for (const SnapshotFile& file : largest) {
        names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", file.path, format_bytes(file.size));
    }
    return Error(Errc::too_large,
                 fmt::format("the source tree has {} in {} files, and {} is the limit: name what the run does not need "
                             "in .amlignore, or put data into a datastore; the largest files are {}",
                             format_bytes(total), manifest.files.size(), format_bytes(limit), names));
}

} // namespace linarite::proto
