// Queries over runs by conditions that clients write.
#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

#include <algorithm>
#include <charconv>

namespace linarite::store {
namespace {

using Field = RunCondition::Field;
using Operator = RunCondition::Operator;

/// The text of a condition, and what its '?' stand for.
struct Clause {
    std::string sql;
    std::vector<std::string> values;
};

std::string_view column_of(Field field) {
    switch (field) {
    case Field::id: return "id";
    case Field::parent: return "parent";
    case Field::root: return "root";
    case Field::status: return "status";
    case Field::kind: return "kind";
    case Field::target: return "target";
    case Field::created: return "created";
    case Field::tag: return "tags";
    case Field::property: return "properties";
    case Field::never: return "NULL";
    }
    return "NULL";
}

std::string_view sign_of(Operator op) {
    switch (op) {
    case Operator::eq: return " = ";
    case Operator::ne: return " <> ";
    case Operator::lt: return " < ";
    case Operator::le: return " <= ";
    case Operator::gt: return " > ";
    case Operator::ge: return " >= ";
    }
    return " = ";
}

// Keys may hold dots and quotes, so they are compared as values, never written into a JSON path.
void append_label(const RunCondition& condition, Clause& clause) {
    clause.sql += "EXISTS (SELECT 1 FROM json_each(";
    clause.sql += column_of(condition.field);
    clause.sql += ") AS label WHERE label.key = ? AND label.value";
    clause.values.push_back(condition.key);
    if (condition.value) {
        clause.sql.append(sign_of(condition.op)).append("?)");
        clause.values.push_back(*condition.value);
    } else {
        clause.sql += condition.op == Operator::eq ? " IS NULL)" : " IS NOT NULL)";
    }
}

void append_comparison(const RunCondition& condition, Clause& clause) {
    if (condition.field == Field::tag || condition.field == Field::property) {
        append_label(condition, clause);
        return;
    }
    clause.sql += column_of(condition.field);
    if (!condition.value) {
        clause.sql += condition.op == Operator::eq ? " IS NULL" : " IS NOT NULL";
        return;
    }
    clause.sql.append(sign_of(condition.op));
    clause.sql += condition.field == Field::created ? "CAST(? AS INTEGER)" : "?";
    clause.values.push_back(*condition.value);
}

void append(const RunCondition& condition, Clause& clause) { // NOLINT(misc-no-recursion): as deep as the filter
    if (condition.kind == RunCondition::Kind::compare) {
        return append_comparison(condition, clause);
    }
    const bool all = condition.kind == RunCondition::Kind::all;
    clause.sql += "(";
    bool first = true;
    for (const RunCondition& part : condition.parts) {
        clause.sql += first ? "" : all ? " AND " : " OR ";
        append(part, clause);
        first = false;
    }
    clause.sql += first ? (all ? "1)" : "0)") : ")";
}

} // namespace

Result<std::vector<RunRow>> Tables::query_runs(const RunQuery& query) {
    std::vector<RunId> ids;
    auto found = guarded("query runs", [&]() -> Result<void> {
        Clause clause{"SELECT id FROM runs WHERE workspace = ?", {query.workspace}};
        if (!query.experiment.empty()) {
            clause.sql += " AND experiment = ?";
            clause.values.push_back(query.experiment);
        }
        if (query.condition) {
            clause.sql += " AND ";
            append(*query.condition, clause);
        }
        clause.sql += query.oldest_first ? " ORDER BY created, id" : " ORDER BY created DESC, id DESC";
        clause.sql += " LIMIT ? OFFSET ?";
        // the texts have no end: this one is not kept
        StatementCache once(db_);
        Use select(once, clause.sql);
        for (const std::string& value : clause.values) {
            select.bind(value);
        }
        select.bind(std::clamp(query.limit, 1, 501), query.skip);
        while (select.next()) {
            ids.emplace_back(select.text());
        }
        return {};
    });
    if (!found) {
        return found.error();
    }
    std::vector<RunRow> rows;
    rows.reserve(ids.size());
    for (const RunId& id : ids) {
        auto row = find_run(id);
        if (!row) {
            return row.error();
        }
        rows.push_back(std::move(*row));
    }
    return rows;
}

} // namespace linarite::store
