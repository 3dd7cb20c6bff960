#include "server/store/metric_store.hpp"

namespace linarite::store {

Result<std::unique_ptr<MetricStore>> MetricStore::open(const std::string& path) {
    auto lanes = Lanes::open(path, metric_schema());
    if (!lanes) {
        return lanes.error();
    }
    return std::unique_ptr<MetricStore>(new MetricStore(std::move(*lanes)));
}

MetricStore::MetricStore(std::unique_ptr<Lanes> lanes)
    : lanes_(std::move(lanes)), writing_(lanes_->writer()), reading_(lanes_->reader()) {}

MetricStore::~MetricStore() {
    lanes_->stop();
}

asio::awaitable<Result<std::vector<std::string>>> MetricStore::append(RunId run, std::vector<NewPoints> batch) {
    auto work = [this, run = std::move(run), batch = std::move(batch)] { return writing_.append(run, batch); };
    return lanes_->write(std::move(work));
}

asio::awaitable<Result<std::vector<SeriesWithLast>>> MetricStore::list(RunId run, std::int64_t after, int limit) {
    auto work = [this, run = std::move(run), after, limit] { return reading_.list(run, after, limit); };
    return lanes_->read(std::move(work));
}

asio::awaitable<Result<SeriesPoints>> MetricStore::read(RunId run, std::string name, PointRange range) {
    auto work = [this, run = std::move(run), name = std::move(name), range] { return reading_.read(run, name, range); };
    return lanes_->read(std::move(work));
}

} // namespace linarite::store
