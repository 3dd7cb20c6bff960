#include "cli/metric_pages.hpp"

#include "cli/fields.hpp"
#include "cli/run_lookup.hpp"
#include "cli/table.hpp"
#include "client/http_client.hpp"

#include <algorithm>

namespace linarite::cli {
namespace {

// A text as it is, all else as JSON; null is nothing.
std::string cell_of(const Json& value) {
    return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
}

// "0.93", or "epoch=3 loss=0.1" if there are several.
std::string value_of(const Json& point) {
    const Json& data = member(point, "data");
    if (data.size() == 1) {
        return cell_of(data.front());
    }
    std::vector<std::string> words;
    for (const auto& [name, value] : data.items()) {
        words.push_back(name + "=" + cell_of(value));
    }
    return join(words, " ");
}

std::string point_target(const Json& run, const std::string& name, const std::string& query) {
    return run_target(run, "/metrics/" + client::encode_path(name) + query);
}

/// Asks for page after page, from the one behind `after` to the last; the list below `key` gets longer.
Result<Json> fetch_all(Connection& connection, const std::string& target, const char* key, std::int64_t after) {
    Json all;
    do {
        const auto page = connection.get(after == 0 ? target : target + "?after=" + std::to_string(after));
        if (!page) {
            return page.error();
        }
        if (all.is_null()) {
            all = *page;
        } else {
            const Json& more = member(*page, key);
            all[key].insert(all[key].end(), more.begin(), more.end());
        }
        after = number(*page, "next");
    } while (after != 0);
    all.erase("next");
    return all;
}

} // namespace

Result<Json> fetch_metrics(Connection& connection, const Json& run) {
    return fetch_all(connection, run_target(run, "/metrics"), "metrics", 0);
}

Result<Json> fetch_points(Connection& connection, const Json& run, const std::string& name, std::int64_t tail) {
    std::int64_t after = 0;
    if (tail > 0) {
        const auto first = connection.get(point_target(run, name, "?limit=1"));
        if (!first) {
            return first.error();
        }
        after = std::max(number(*first, "count") - tail, std::int64_t{0}); // sequences have no gaps
    }
    return fetch_all(connection, point_target(run, name, ""), "points", after);
}

std::string render_metrics(const Json& metrics, const Terminal& terminal) {
    Table table({{"METRIC"}, {"KIND"}, {"POINTS", Table::Align::right}, {"LAST"}});
    for (const Json& series : metrics) {
        table.add({{text(series, "name")},
                   {text(series, "kind")},
                   {std::to_string(number(series, "count"))},
                   {value_of(member(series, "last"))}});
    }
    return table.render(terminal);
}

std::string render_points(const Json& series, const Terminal& terminal) {
    const Json& points = member(series, "points");
    const bool steps =
        std::any_of(points.begin(), points.end(), [](const Json& point) { return !member(point, "step").is_null(); });
    std::vector<Table::Column> columns{{"TIME"}};
    if (steps) {
        columns.push_back({"STEP", Table::Align::right});
    }
    for (const auto& [name, type] : member(series, "columns").items()) {
        const bool right = type == "int" || type == "double";
        columns.push_back({printable(name), right ? Table::Align::right : Table::Align::left});
    }
    Table table(columns);
    for (const Json& point : points) {
        std::vector<Cell> row{{text(point, "time")}};
        if (steps) {
            row.push_back({cell_of(member(point, "step"))});
        }
        for (const auto& [name, type] : member(series, "columns").items()) {
            row.push_back({cell_of(member(member(point, "data"), name.c_str()))});
        }
        table.add(std::move(row));
    }
    return table.render(terminal);
}

} // namespace linarite::cli
