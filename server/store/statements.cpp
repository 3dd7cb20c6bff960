#include "server/store/statements.hpp"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Database.h>
#include <nlohmann/json.hpp>

#include <sqlite3.h>

namespace linarite::store {

SQLite::Statement& StatementCache::prepared(std::string_view sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) {
        return found->second;
    }
    std::string text(sql);
    SQLite::Statement statement(db_, text);
    return statements_.emplace(std::move(text), std::move(statement)).first->second;
}

std::string Use::text() {
    return statement_.getColumn(column_++).getString();
}

std::int64_t Use::number() {
    return statement_.getColumn(column_++).getInt64();
}

double Use::real() {
    return statement_.getColumn(column_++).getDouble();
}

bool Use::skip_null() {
    const bool null = statement_.isColumnNull(column_);
    column_ += null ? 1 : 0;
    return null;
}

std::optional<Time> Use::maybe_time() {
    if (skip_null()) {
        return std::nullopt;
    }
    return time();
}

std::optional<Millis> Use::maybe_span() {
    if (skip_null()) {
        return std::nullopt;
    }
    return Millis(number());
}

core::RunStatus Use::status() {
    const std::string word = text();
    const auto status = core::status_from_wire(word);
    if (!status) {
        throw SQLite::Exception("unknown run status '" + word + "'", SQLITE_CORRUPT);
    }
    return *status;
}

std::optional<core::RunStatus> Use::maybe_status() {
    if (skip_null()) {
        return std::nullopt;
    }
    return status();
}

Error to_error(const SQLite::Exception& failure) {
    switch (failure.getExtendedErrorCode()) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_TRIGGER: return Error(Errc::conflict, failure.what());
    case SQLITE_CONSTRAINT_FOREIGNKEY: return Error(Errc::not_found, failure.what());
    default: break;
    }
    switch (failure.getErrorCode() & 0xFF) {
    case SQLITE_FULL: return Error(Errc::no_space, failure.what());
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Error(Errc::unavailable, failure.what());
    default: return Error(Errc::internal, failure.what());
    }
}

std::string to_json_array(const std::vector<std::string>& words) {
    // labels come from agents and may hold any bytes
    return nlohmann::json(words).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string to_json_object(const Labels& labels) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& [name, value] : labels) {
        object[name] = value ? nlohmann::json(*value) : nlohmann::json();
    }
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Labels from_json_object(const std::string& text) {
    Labels labels;
    const auto object = nlohmann::json::parse(text, nullptr, false);
    if (object.is_object()) {
        for (const auto& [name, value] : object.items()) {
            labels[name] = value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
        }
    }
    return labels;
}

std::vector<std::string> from_json_array(const std::string& text) {
    std::vector<std::string> words;
    const auto array = nlohmann::json::parse(text, nullptr, false);
    for (const auto& word : array) {
        if (word.is_string()) {
            words.push_back(word.get<std::string>());
        }
    }
    return words;
}

} // namespace linarite::store
