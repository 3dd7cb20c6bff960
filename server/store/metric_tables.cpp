#include "server/store/metric_tables.hpp"

#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

#include <functional>

namespace linarite::store {
namespace {

constexpr std::string_view series_columns = "series.id, series.name, kind, columns, value_column, points";

std::string print_columns(const ColumnTypes& columns) {
    Labels labels;
    for (const auto& [name, type] : columns) {
        labels[name] = type;
    }
    return to_json_object(labels);
}

ColumnTypes parse_columns(const std::string& text) {
    ColumnTypes columns;
    for (const auto& [name, type] : from_json_object(text)) {
        columns[name] = type.value_or("none");
    }
    return columns;
}

SeriesRow read_series(Use& use, const RunId& run) {
    SeriesRow row;
    row.id = use.number();
    row.run = run;
    row.name = use.text();
    row.kind = use.text();
    row.columns = parse_columns(use.text());
    row.value_column = use.text();
    row.points = use.number();
    return row;
}

PointRow read_point(Use& use) {
    PointRow row;
    row.sequence = use.number();
    row.id = use.text();
    row.at = use.precise_time();
    if (!use.skip_null()) {
        row.step = use.number();
    }
    if (!use.skip_null()) {
        row.value = use.real();
    }
    if (!use.skip_null()) {
        row.data = use.text();
    }
    return row;
}

bool is_number(const std::string& type) {
    return type == "int" || type == "double";
}

} // namespace

std::string merge_columns(ColumnTypes& columns, const ColumnTypes& incoming) {
    ColumnTypes merged = columns;
    for (const auto& [name, type] : incoming) {
        std::string& known = merged.try_emplace(name, type).first->second;
        if (known == type || type == "none") {
            continue;
        }
        if (known == "none") {
            known = type;
        } else if (is_number(known) && is_number(type)) {
            known = "double";
        } else {
            std::string words = "column '" + name;
            words.append("' has type ").append(known).append(" since its first use, not ").append(type);
            return words;
        }
    }
    if (merged.size() > metric_columns) {
        return "more than " + std::to_string(metric_columns) + " columns";
    }
    columns = std::move(merged);
    return "";
}

struct MetricTables::Statements : StatementCache {
    using StatementCache::StatementCache;
};

/// The series that a batch touches, each read once and written once.
struct MetricTables::Batch {
    const RunId& run;
    std::int64_t total = 0; // rows of the run
    std::map<std::string, SeriesRow, std::less<>> series;
};

MetricTables::MetricTables(SQLite::Database& db) : statements_(std::make_unique<Statements>(db)) {}
MetricTables::~MetricTables() = default;

SeriesRow& MetricTables::open_series(Batch& batch, const NewPoints& points) {
    const auto [at, fresh] = batch.series.try_emplace(points.name);
    if (!fresh) {
        return at->second;
    }
    static const std::string find = "SELECT " + std::string(series_columns) + " FROM series WHERE run = ? AND name = ?";
    Use use(*statements_, find);
    use.bind(batch.run, points.name);
    if (use.next()) {
        at->second = read_series(use, batch.run);
    } else {
        at->second = SeriesRow{0, batch.run, points.name, points.kind, {}, points.value_column, 0};
    }
    return at->second;
}

std::string MetricTables::append_one(Batch& batch, const NewPoints& points) {
    SeriesRow& series = open_series(batch, points);
    if (series.kind != points.kind) {
        return "it is a " + series.kind + " since its first use, not a " + points.kind;
    }
    if (std::string wrong = merge_columns(series.columns, points.columns); !wrong.empty()) {
        return wrong;
    }
    if (series.id == 0) {
        Use use(*statements_, "INSERT INTO series (run, name, kind, columns, value_column, points) VALUES (?, ?, ?, ?, "
                              "?, 0) RETURNING id");
        use.bind(batch.run, series.name, series.kind, print_columns(series.columns), series.value_column);
        use.next();
        series.id = use.number();
    }
    const bool values_fit = !series.value_column.empty() && series.value_column == points.value_column;
    for (const PointRow& point : points.points) {
        if (batch.total >= metric_rows_per_run) {
            return "the run has " + std::to_string(metric_rows_per_run) + " metric rows, more are not kept";
        }
        const bool as_value = values_fit && point.value;
        Use use(*statements_, "INSERT INTO points (series, sequence, id, time, step, value, data) VALUES (?, ?, ?, ?, "
                              "?, ?, ?) ON CONFLICT (series, id) DO NOTHING");
        use.bind(series.id, series.points + 1, point.id, point.at, point.step, as_value ? point.value : std::nullopt,
                 as_value ? std::nullopt : std::optional(point.data));
        const int stored = use.run();
        series.points += stored;
        batch.total += stored;
    }
    return "";
}

void MetricTables::update_counts(const Batch& batch) {
    for (const auto& [name, series] : batch.series) {
        if (series.id != 0) {
            Use use(*statements_, "UPDATE series SET columns = ?, points = ? WHERE id = ?");
            use.bind(print_columns(series.columns), series.points, series.id).run();
        }
    }
    Use use(*statements_, "INSERT INTO totals (run, points) VALUES (?, ?) ON CONFLICT (run) DO UPDATE SET points = "
                          "excluded.points");
    use.bind(batch.run, batch.total).run();
}

Result<std::vector<std::string>> MetricTables::append(const RunId& run, const std::vector<NewPoints>& points) {
    return guarded("store metrics", [&]() -> Result<std::vector<std::string>> {
        Batch batch{run, 0, {}};
        {
            Use use(*statements_, "SELECT points FROM totals WHERE run = ?");
            batch.total = use.bind(run).next() ? use.number() : 0;
        }
        std::vector<std::string> wrong;
        wrong.reserve(points.size());
        for (const NewPoints& each : points) {
            wrong.push_back(append_one(batch, each));
        }
        update_counts(batch);
        return wrong;
    });
}

Result<std::vector<SeriesWithLast>> MetricTables::list(const RunId& run, std::int64_t after, int limit) {
    static const std::string sql =
        "SELECT " + std::string(series_columns) +
        ", sequence, points.id, time, step, value, data FROM series LEFT JOIN points ON points.series = series.id AND "
        "points.sequence = series.points WHERE run = ? AND series.id > ? ORDER BY series.id LIMIT ?";
    return guarded("list metrics", [&]() -> Result<std::vector<SeriesWithLast>> {
        Use use(*statements_, sql);
        use.bind(run, after, limit);
        std::vector<SeriesWithLast> rows;
        while (use.next()) {
            SeriesWithLast row{read_series(use, run), std::nullopt};
            if (!use.skip_null()) {
                row.last = read_point(use);
            }
            rows.push_back(std::move(row));
        }
        return rows;
    });
}

Result<SeriesPoints> MetricTables::read(const RunId& run, const std::string& name, const PointRange& range) {
    static const std::string find = "SELECT " + std::string(series_columns) + " FROM series WHERE run = ? AND name = ?";
    static const std::string some = "SELECT sequence, id, time, step, value, data FROM points WHERE series = ?1 AND "
                                    "(?3 IS NULL OR time >= ?3) AND (?4 IS NULL OR time <= ?4) AND ";
    static const std::string by_arrival = some + "sequence > ?2 ORDER BY sequence";
    static const std::string by_time = some + "(time, sequence) > (?5, ?2) ORDER BY time, sequence";
    return guarded("read a metric", [&]() -> Result<SeriesPoints> {
        SeriesPoints found;
        {
            Use use(*statements_, find);
            if (!use.bind(run, name).next()) {
                return Error(Errc::not_found, "run '" + run.str() + "' has no metric '" + name + "'");
            }
            found.series = read_series(use, run);
        }
        Use use(*statements_, range.order == PointOrder::time ? by_time : by_arrival);
        use.bind(found.series.id, range.after, range.from, range.to);
        if (range.order == PointOrder::time) {
            use.bind(range.after_time);
        }
        std::size_t bytes = 0;
        while (use.next()) {
            if (found.points.size() >= static_cast<std::size_t>(range.limit) || bytes > range.bytes) {
                found.more = true;
                break;
            }
            found.points.push_back(read_point(use));
            bytes += found.points.back().data.size();
        }
        return found;
    });
}

} // namespace linarite::store
