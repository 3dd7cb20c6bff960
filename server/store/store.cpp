#include "server/store/store.hpp"

#include "server/store/lanes.hpp"

namespace linarite::store {
namespace {

/// The store over one file, or over memory.
class SqliteStore final : public Store {
public:
    explicit SqliteStore(std::unique_ptr<Lanes> lanes)
        : lanes_(std::move(lanes)), writing_(lanes_->writer()), reading_(lanes_->reader()) {}
    ~SqliteStore() override { lanes_->stop(); }
    SqliteStore(const SqliteStore&) = delete;
    SqliteStore& operator=(const SqliteStore&) = delete;

    asio::awaitable<void> flushed() override { return lanes_->flushed(); }
    asio::awaitable<Result<void>> backup(std::string path) override { return lanes_->backup(std::move(path)); }
    [[nodiscard]] Counters counters() const override {
        const auto [commits, works] = lanes_->counters();
        return {commits, works};
    }

protected:
    asio::awaitable<Result<void>> enqueue_write(Job job) override {
        return lanes_->enqueue_write([this, job = std::move(job)] { return job(writing_); });
    }
    asio::awaitable<Result<void>> enqueue_read(Job job) override {
        return lanes_->enqueue_read([this, job = std::move(job)] { return job(reading_); });
    }

private:
    std::unique_ptr<Lanes> lanes_;
    Tables writing_; // each on its connection and its thread
    Tables reading_;
};

} // namespace

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
    auto lanes = Lanes::open(path, history_schema());
    if (!lanes) {
        return lanes.error();
    }
    return std::unique_ptr<Store>(std::make_unique<SqliteStore>(std::move(*lanes)));
}

} // namespace linarite::store
