// server/service/metrics.hpp: use cases on what runs log, whichever dialect asks.
#pragma once

#include "proto/json_reader.hpp"
#include "server/service/runs.hpp"
#include "server/store/metric_store.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace linarite::service {

/// Of one call.
inline constexpr std::size_t metric_points_per_call = 10'000;
/// A page, if the dialect has no measure of its own.
inline constexpr int metric_page = 500;

/// One logged value ({"acc": 0.9}) or row ({"epoch": 1, "loss": 0.2}). Doubles may be NaN or infinite.
struct MetricPoint {
    std::int64_t sequence = 0;     // in its series, from 1; given by the store
    std::string id;                // the same one again is the same point; "": one is made
    std::optional<PreciseTime> at; // nothing: now
    std::optional<std::int64_t> step;
    proto::Json data;
};

/// A piece of a series, or all of it.
struct MetricSeries {
    std::string name;
    std::string kind; // "scalar", "list", "table", "image", ...: the first use of a name fixes it
    store::ColumnTypes columns;
    std::vector<MetricPoint> points;
    std::int64_t count = 0; // of all its points
    std::int64_t next = 0;  // what `after` is for the next page, beside its last point's time; 0: there is none
};

struct MetricList {
    std::vector<MetricSeries> series; // with the last point each
    std::int64_t next = 0;
};

/// What is wrong with one element of a batch. The others are stored.
struct MetricFault {
    std::size_t index = 0;
    std::string message;
};

class Metrics {
public:
    Metrics(store::MetricStore& store, Runs& runs, const Clock& clock);

    /// Adds points to the run's series; each element needs name, kind and points, and columns as far as they are known.
    /// What was answered outlives this process. not_found if there is no such run, invalid_argument if there are too
    /// many points; a fault of one element is not an error of the call.
    asio::awaitable<Result<std::vector<MetricFault>>> append(RunId run, std::vector<MetricSeries> batch);
    /// In the order of their first use.
    asio::awaitable<Result<MetricList>> list(RunId run, std::int64_t after = 0, int limit = metric_page);
    /// Every point has every column of the series: null where it said nothing of it.
    asio::awaitable<Result<MetricSeries>> read(RunId run, std::string name, store::PointRange range);
    /// The id of the workspace that the run is in; not_found if there is no such run. Cheap after the first time.
    asio::awaitable<Result<std::string>> workspace_of(RunId run);

private:
    store::MetricStore& store_;
    Runs& runs_;
    const Clock& clock_;
    std::map<RunId, std::string> workspaces_; // of runs that were asked for lately: a run never moves
};

} // namespace linarite::service
