#include "server/service/metric_points.hpp"

#include "common/files.hpp"
#include "proto/relaxed_json.hpp"

#include <algorithm>
#include <cmath>

namespace linarite::service {
namespace {

constexpr std::size_t longest_name = 256;
constexpr double exact_integers = 9007199254740992.0; // 2^53: beyond it doubles skip some

bool has_controls(const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    });
}

Result<void> check_name(const std::string& text, const std::string& what) {
    if (text.empty() || text.size() > longest_name || has_controls(text) || !is_utf8(text)) {
        return Error(Errc::invalid_argument, what + " must have 1 to " + std::to_string(longest_name) +
                                                 " bytes of UTF-8, without control characters");
    }
    return {};
}

/// "" for what is no single value.
std::string type_of(const proto::Json& value) {
    switch (value.type()) {
    case proto::Json::value_t::null: return "none";
    case proto::Json::value_t::boolean: return "bool";
    case proto::Json::value_t::number_integer:
    case proto::Json::value_t::number_unsigned: return "int";
    case proto::Json::value_t::number_float: return "double";
    case proto::Json::value_t::string: return "string";
    case proto::Json::value_t::object:
    case proto::Json::value_t::array:
    case proto::Json::value_t::binary:
    case proto::Json::value_t::discarded: return "";
    }
    return "";
}

// What clients call a type, in one spelling; their own words ("Artifact") stay as they are.
std::string canonical(const std::string& type) {
    std::string lower = type;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "float") {
        return "double";
    }
    for (const char* known : {"int", "double", "string", "bool", "none"}) {
        if (lower == known) {
            return lower;
        }
    }
    return type;
}

// The number if a double of SQLite's keeps it as it is.
std::optional<double> exact_double(const proto::Json& value) {
    if (value.is_number_float()) {
        const auto number = value.get<double>();
        const bool negative_zero = number == 0 && std::signbit(number);
        return std::isnan(number) || negative_zero ? std::nullopt : std::optional(number);
    }
    if (!value.is_number()) {
        return std::nullopt;
    }
    const auto number = value.is_number_unsigned() ? static_cast<double>(value.get<std::uint64_t>())
                                                   : static_cast<double>(value.get<std::int64_t>());
    return std::abs(number) < exact_integers ? std::optional(number) : std::nullopt;
}

// Columns that were declared wrongly or not at all get their type from what is in them.
Result<void> add_types(const proto::Json& data, store::ColumnTypes& columns) {
    if (!data.is_object() || data.empty()) {
        return Error(Errc::invalid_argument, "a value must be an object with the values of its columns");
    }
    for (const auto& [name, value] : data.items()) {
        const std::string found = type_of(value);
        if (found.empty()) {
            return Error(Errc::invalid_argument, "column '" + name + "' must be a number, a text, a boolean or null");
        }
        const auto [declared, fresh] = columns.try_emplace(name, found);
        if (!fresh && declared->second == "int" && found == "double") {
            declared->second = "double";
        }
        if (auto named = fresh ? check_name(name, "a column's name") : Result<void>(); !named) {
            return named;
        }
    }
    return {};
}

Result<store::PointRow> to_row(const MetricPoint& point, const std::string& value_column, Time now) {
    if (point.id.size() > longest_name || has_controls(point.id)) {
        return Error(Errc::invalid_argument, "a value's id must have at most 256 bytes, without control characters");
    }
    store::PointRow row;
    row.id = point.id.empty() ? random_guid() : point.id;
    row.at = point.at.value_or(now);
    row.step = point.step;
    row.data = proto::print_relaxed_json(point.data);
    if (point.data.size() == 1 && point.data.begin().key() == value_column) {
        row.value = exact_double(point.data.front());
    }
    return row;
}

proto::Json number_of(const std::string& type, double value) {
    // an integer that is back from a column that widened later is a double like the others
    if (type == "int" && std::abs(value) < exact_integers && std::trunc(value) == value) {
        return static_cast<std::int64_t>(value);
    }
    return value;
}

} // namespace

Result<store::NewPoints> to_new_points(const MetricSeries& given, Time now) {
    store::NewPoints points{given.name, given.kind, {}, "", {}};
    if (auto named = check_name(given.name, "a metric's name"); !named) {
        return named.error();
    }
    if (auto named = check_name(given.kind, "a metric's type"); !named) {
        return named.error();
    }
    for (const auto& [name, type] : given.columns) {
        auto named = check_name(name, "a column's name");
        if (named) {
            named = check_name(type, "a column's type");
        }
        if (!named) {
            return named.error();
        }
        points.columns[name] = canonical(type);
    }
    for (const MetricPoint& point : given.points) {
        if (auto fits = add_types(point.data, points.columns); !fits) {
            return fits.error();
        }
    }
    points.value_column = points.columns.size() == 1 ? points.columns.begin()->first : "";
    points.points.reserve(given.points.size());
    for (const MetricPoint& point : given.points) {
        auto row = to_row(point, points.value_column, now);
        if (!row) {
            return row.error();
        }
        points.points.push_back(std::move(*row));
    }
    return points;
}

MetricPoint to_point(const store::SeriesRow& series, const store::PointRow& row) {
    MetricPoint point{row.sequence, row.id, row.at, row.step, proto::Json::object()};
    if (row.value) {
        const auto column = series.columns.find(series.value_column);
        point.data[series.value_column] = number_of(column == series.columns.end() ? "" : column->second, *row.value);
    } else if (auto data = proto::parse_relaxed_json(row.data); data && data->is_object()) {
        point.data = std::move(*data);
    }
    for (const auto& [name, type] : series.columns) {
        point.data.emplace(name, nullptr); // only if it is not there
    }
    return point;
}

} // namespace linarite::service
