// server/store/metric_rows.hpp: what runs logged, as metrics.db keeps it.
#pragma once

#include "common/clock.hpp"
#include "common/ids.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace linarite::store {

/// Rows that one run may have in all its series.
inline constexpr std::int64_t metric_rows_per_run = 10'000'000;
/// Columns of one series: a row is given back with all of them.
inline constexpr std::size_t metric_columns = 250;

/// "int", "double", "string", "bool", "none", or a word of the client's own ("Artifact"), by column.
using ColumnTypes = std::map<std::string, std::string>;

/// One logged value or row. What it says is either `value` (of SeriesRow::value_column) or `data`.
struct PointRow {
    std::int64_t sequence = 0; // in its series, from 1 without a gap; the store gives it
    std::string id;            // the client's: the same one a second time is the same point
    PreciseTime at;
    std::optional<std::int64_t> step;
    std::optional<double> value;
    std::string data; // an object as JSON, with bare NaN and Infinity where JSON has no word
};

/// All that one run logged under one name.
struct SeriesRow {
    std::int64_t id = 0;
    RunId run;
    std::string name;
    std::string kind; // "scalar", "list", "table", "image", ...: fixed by the first use
    ColumnTypes columns;
    std::string value_column; // what PointRow::value stands for; "": there are none
    std::int64_t points = 0;  // also the sequence of the last
};

/// Points for one series. Each has its data, and beside it the value if that says the same of `value_column`.
struct NewPoints {
    std::string name;
    std::string kind;
    ColumnTypes columns;
    std::string value_column;
    std::vector<PointRow> points;
};

struct SeriesWithLast {
    SeriesRow series;
    std::optional<PointRow> last;
};

/// Arrival: nothing is missed by who follows a series. Time: as the run logged them, though clients send side by side.
enum class PointOrder { arrival, time };

/// Which points of a series.
struct PointRange {
    PointOrder order = PointOrder::arrival;
    std::int64_t after = 0; // a sequence
    PreciseTime after_time; // in the order of time: with `after` the last point that was seen
    int limit = 500;
    std::size_t bytes = std::numeric_limits<std::size_t>::max(); // of data; one point is given whatever its size
    std::optional<PreciseTime> from;                             // inclusive, both
    std::optional<PreciseTime> to;
};

struct SeriesPoints {
    SeriesRow series;
    std::vector<PointRow> points;
    bool more = false; // there may be further ones
};

} // namespace linarite::store
