// server/store/metric_tables.hpp: the SQL of metrics.db, over one connection.
#pragma once

#include "common/error.hpp"
#include "server/store/metric_rows.hpp"

#include <memory>
#include <string>
#include <vector>

namespace SQLite { // NOLINT(readability-identifier-naming): the library's name
class Database;
} // namespace SQLite

namespace linarite::store {

class MetricTables {
public:
    explicit MetricTables(SQLite::Database& db);
    ~MetricTables();
    MetricTables(const MetricTables&) = delete;
    MetricTables& operator=(const MetricTables&) = delete;

    /// For each element what is wrong with it, or "": a kind that is not the series', a column of another type, no room
    /// left. The others are stored. Needs a transaction.
    Result<std::vector<std::string>> append(const RunId& run, const std::vector<NewPoints>& points);
    /// In the order of their first use; those after the series with id `after`.
    Result<std::vector<SeriesWithLast>> list(const RunId& run, std::int64_t after, int limit);
    /// not_found if the run has no such series.
    Result<SeriesPoints> read(const RunId& run, const std::string& name, const PointRange& range);

private:
    struct Statements;
    struct Batch;
    SeriesRow& open_series(Batch& batch, const NewPoints& points);
    std::string append_one(Batch& batch, const NewPoints& points);
    void update_counts(const Batch& batch);
    std::unique_ptr<Statements> statements_;
};

/// Adds `incoming` to the columns of a series: new ones, and int that becomes double. What cannot be is said, and
/// changes nothing; "" if all is well.
std::string merge_columns(ColumnTypes& columns, const ColumnTypes& incoming);

} // namespace linarite::store
