#include "server/service/metrics.hpp"

#include "server/service/metric_points.hpp"

#include <algorithm>

namespace linarite::service {
namespace {

constexpr std::size_t runs_remembered = 4'096;

MetricSeries to_series(const store::SeriesRow& row) {
    MetricSeries series;
    series.name = row.name;
    series.kind = row.kind;
    series.columns = row.columns;
    series.count = row.points;
    return series;
}

std::size_t points_of(const std::vector<MetricSeries>& batch) {
    std::size_t count = 0;
    for (const MetricSeries& each : batch) {
        count += each.points.size();
    }
    return count;
}

} // namespace

Metrics::Metrics(store::MetricStore& store, Runs& runs, const Clock& clock)
    : store_(store), runs_(runs), clock_(clock) {}

asio::awaitable<Result<std::string>> Metrics::workspace_of(RunId run) {
    if (const auto known = workspaces_.find(run); known != workspaces_.end()) {
        co_return known->second;
    }
    const auto row = co_await runs_.find(run);
    if (!row) {
        co_return row.error();
    }
    if (workspaces_.size() >= runs_remembered) {
        workspaces_.clear();
    }
    workspaces_[run] = row->workspace;
    co_return row->workspace;
}

asio::awaitable<Result<std::vector<MetricFault>>> Metrics::append(RunId run, std::vector<MetricSeries> batch) {
    if (points_of(batch) > metric_points_per_call) {
        co_return Error(Errc::invalid_argument,
                        "more than " + std::to_string(metric_points_per_call) + " values in one call");
    }
    if (const auto there = co_await workspace_of(run); !there) {
        co_return there.error();
    }
    std::vector<MetricFault> faults;
    std::vector<store::NewPoints> good;
    std::vector<std::size_t> indices; // of the good ones in the batch
    for (std::size_t i = 0; i < batch.size(); ++i) {
        auto points = to_new_points(batch[i], clock_.now());
        if (!points) {
            faults.push_back({i, points.error().detail()});
        } else if (!points->points.empty()) {
            good.push_back(std::move(*points));
            indices.push_back(i);
        }
    }
    if (good.empty()) {
        co_return faults;
    }
    const auto wrong = co_await store_.append(run, std::move(good));
    if (!wrong) {
        co_return wrong.error();
    }
    for (std::size_t i = 0; i < wrong->size(); ++i) {
        if (const std::string& message = wrong->at(i); !message.empty()) {
            faults.push_back({indices[i], "metric '" + batch[indices[i]].name + "': " + message});
        }
    }
    std::sort(faults.begin(), faults.end(),
              [](const MetricFault& left, const MetricFault& right) { return left.index < right.index; });
    co_return faults;
}

asio::awaitable<Result<MetricList>> Metrics::list(RunId run, std::int64_t after, int limit) {
    if (const auto there = co_await workspace_of(run); !there) {
        co_return there.error();
    }
    const auto rows = co_await store_.list(run, after, limit);
    if (!rows) {
        co_return rows.error();
    }
    MetricList found;
    for (const store::SeriesWithLast& row : *rows) {
        found.series.push_back(to_series(row.series));
        if (row.last) {
            found.series.back().points.push_back(to_point(row.series, *row.last));
        }
    }
    if (static_cast<int>(rows->size()) == limit) {
        found.next = rows->back().series.id;
    }
    co_return found;
}

asio::awaitable<Result<MetricSeries>> Metrics::read(RunId run, std::string name, store::PointRange range) {
    if (const auto there = co_await workspace_of(run); !there) {
        co_return there.error();
    }
    const auto rows = co_await store_.read(run, std::move(name), range);
    if (!rows) {
        co_return rows.error();
    }
    MetricSeries found = to_series(rows->series);
    for (const store::PointRow& row : rows->points) {
        found.points.push_back(to_point(rows->series, row));
    }
    if (rows->more) {
        found.next = rows->points.back().sequence;
    }
    co_return found;
}

} // namespace linarite::service
