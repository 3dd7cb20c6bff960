// server/store/statements.hpp: prepared statements, and how rows go in and out of them.
#pragma once

#include "server/store/tables.hpp"

#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

namespace linarite::store {

/// The statements of one connection, each prepared when it is first needed and kept.
class StatementCache {
public:
    explicit StatementCache(SQLite::Database& db) : db_(db) {}
    /// Throws SQLite::Exception if `sql` does not compile.
    SQLite::Statement& prepared(std::string_view sql);

private:
    SQLite::Database& db_;
    std::map<std::string, SQLite::Statement, std::less<>> statements_;
};

struct Tables::Statements : StatementCache {
    using StatementCache::StatementCache;
};

/// One use of a prepared statement: parameters go in and columns come out one after the other. Resets the statement on
/// every path, since one that is left in the middle pins a read snapshot. Throws SQLite::Exception.
class Use {
public:
    Use(StatementCache& cache, std::string_view sql) : statement_(cache.prepared(sql)) { statement_.tryReset(); }
    ~Use() { statement_.tryReset(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    /// Binds the next parameters.
    template <class... T>
    Use& bind(const T&... values) {
        (bind_one(values), ...);
        return *this;
    }
    /// The next row, if there is one.
    bool next() {
        column_ = 0;
        return statement_.executeStep();
    }
    /// Runs a statement that gives no rows; how many rows it changed.
    int run() { return statement_.exec(); }

    // the next column of the row -----------------------------------------------------------------------------------
    std::string text();
    std::int64_t number();
    double real();
    int integer() { return static_cast<int>(number()); }
    bool flag() { return number() != 0; }
    /// All 64 bits, kept in SQLite's signed integer.
    std::uint64_t bits() { return static_cast<std::uint64_t>(number()); }
    Time time() { return from_ms(number()); }
    std::optional<Time> maybe_time();
    PreciseTime precise_time() { return PreciseTime(std::chrono::microseconds(number())); }
    std::optional<Millis> maybe_span();
    core::RunStatus status();
    std::optional<core::RunStatus> maybe_status();
    /// Whether the next column is NULL; goes past it only if so.
    bool skip_null();
    void skip(int columns) { column_ += columns; }

private:
    void bind_one(const std::string& value) { statement_.bind(++parameter_, value); }
    void bind_one(std::string_view value) { statement_.bind(++parameter_, std::string(value)); }
    void bind_one(const char* value) { statement_.bind(++parameter_, value); }
    void bind_one(double value) { statement_.bind(++parameter_, value); }
    void bind_one(Time value) { bind_one(to_ms(value)); }
    void bind_one(PreciseTime value) { bind_one(static_cast<std::int64_t>(value.time_since_epoch().count())); }
    void bind_one(Millis value) { bind_one(static_cast<std::int64_t>(value.count())); }
    void bind_one(core::RunStatus value) { bind_one(core::to_wire(value)); }
    void bind_one(std::nullopt_t) { statement_.bind(++parameter_); }
    template <class Tag>
    void bind_one(const Id<Tag>& value) {
        bind_one(value.str());
    }
    template <class T>
        requires std::is_integral_v<T>
    void bind_one(T value) {
        statement_.bind(++parameter_, static_cast<std::int64_t>(value));
    }
    template <class T>
    void bind_one(const std::optional<T>& value) {
        if (value) {
            bind_one(*value);
        } else {
            bind_one(std::nullopt);
        }
    }

    SQLite::Statement& statement_;
    int parameter_ = 0;
    int column_ = 0;
};

/// What a caller can do about a failure of SQLite: no_space for a full disk, conflict for a key that exists, not_found
/// for a foreign key without its row, unavailable for a lock that did not come free, internal for the rest.
Error to_error(const SQLite::Exception& failure);

/// Runs `body`, which returns a Result, and turns SQLite's exceptions into errors within `doing`.
template <class F>
std::invoke_result_t<F> guarded(const char* doing, F body) {
    try {
        return body();
    } catch (const SQLite::Exception& failure) {
        return to_error(failure).within(doing);
    }
}

/// A list of words as one JSON array in one column.
std::string to_json_array(const std::vector<std::string>& words);
/// Labels as a JSON object, and back.
std::string to_json_object(const Labels& labels);
Labels from_json_object(const std::string& text);
std::vector<std::string> from_json_array(const std::string& text);

} // namespace linarite::store
