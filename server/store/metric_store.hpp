// server/store/metric_store.hpp: what runs logged, in a file and on threads of its own: a flood of metrics never queues
// before a submit.
#pragma once

#include "server/store/lanes.hpp"
#include "server/store/metric_tables.hpp"

#include <memory>
#include <string>
#include <vector>

namespace linarite::store {

/// The only door from coroutines to metrics.db; see Lanes for how works are grouped and answered. An answered append
/// outlives this process.
class MetricStore {
public:
    /// Opens and migrates. Errors name the file.
    static Result<std::unique_ptr<MetricStore>> open(const std::string& path);
    ~MetricStore();
    MetricStore(const MetricStore&) = delete;
    MetricStore& operator=(const MetricStore&) = delete;

    // as in MetricTables
    asio::awaitable<Result<std::vector<std::string>>> append(RunId run, std::vector<NewPoints> batch);
    asio::awaitable<Result<std::vector<SeriesWithLast>>> list(RunId run, std::int64_t after, int limit);
    asio::awaitable<Result<SeriesPoints>> read(RunId run, std::string name, PointRange range);

    asio::awaitable<void> flushed() { return lanes_->flushed(); }
    asio::awaitable<Result<void>> backup(std::string path) { return lanes_->backup(std::move(path)); }

private:
    explicit MetricStore(std::unique_ptr<Lanes> lanes);
    std::unique_ptr<Lanes> lanes_;
    MetricTables writing_; // each on its connection and its thread
    MetricTables reading_;
};

} // namespace linarite::store
