// server/service/metric_points.hpp: logged values between what clients mean and what the store keeps.
#pragma once

#include "server/service/metrics.hpp"

namespace linarite::service {

/// Checks a client's element and makes it what the store keeps; `now` is for points without a time. invalid_argument
/// says what is wrong with it.
Result<store::NewPoints> to_new_points(const MetricSeries& given, Time now);

/// A point as it was logged, with every column of its series.
MetricPoint to_point(const store::SeriesRow& series, const store::PointRow& row);

} // namespace linarite::service
