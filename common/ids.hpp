// common/ids.hpp: ids as distinct types, so that a node name never passes for a run id.
#pragma once

#include "common/error.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace linarite {

template <class Tag>
class Id {
public:
    Id() = default;
    explicit Id(std::string text) : text_(std::move(text)) {}
    [[nodiscard]] const std::string& str() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
    auto operator<=>(const Id&) const = default;

private:
    std::string text_;
};

using RunId = Id<struct RunTag>;
using NodeName = Id<struct NodeTag>;
using SnapshotId = Id<struct SnapshotTag>; // lower-case hex SHA-256 of the canonical manifest

/// One placement of one run. Never repeats and never goes back: whoever writes for a run names it.
using Fence = std::uint64_t;

/// A name that is safe as a directory name and in a URL: 1 to 128 characters of letters, digits, '_', '-' and '.',
/// the first one a letter, a digit or '_'. `what` names it in the error ("run id").
Result<std::string> parse_name(std::string_view text, std::string_view what);

/// `bytes` random bytes from the kernel as lower-case hex.
std::string random_hex(std::size_t bytes);

/// A random GUID of version 4 in lower case.
std::string random_guid();

/// "<experiment>_<unix seconds>_<8 hex>", the shape that the v1 SDK gives its run ids.
RunId make_run_id(std::string_view experiment, std::int64_t unix_seconds);

} // namespace linarite

template <class Tag>
struct std::hash<linarite::Id<Tag>> {
    std::size_t operator()(const linarite::Id<Tag>& id) const noexcept { return std::hash<std::string>()(id.str()); }
};
