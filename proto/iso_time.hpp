// proto/iso_time.hpp: times as other programs write them.
#pragma once

#include "common/clock.hpp"

#include <optional>
#include <string_view>

namespace linarite::proto {

/// "2026-11-23T15:13:31.685528Z", with an offset ("+01:00") or without either, which is UTC; any number of digits
/// behind the point. Nothing if it is no such time.
std::optional<PreciseTime> parse_precise_iso_time(std::string_view text);
/// The same, down to the millisecond before.
std::optional<Time> parse_iso_time(std::string_view text);

} // namespace linarite::proto
