#include "server/store/schema.hpp"

#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Transaction.h>

#include <algorithm>

namespace linarite::store {

Result<void> migrate(SQLite::Database& db, const Schema& schema) {
    return migrate_up_to(db, schema, static_cast<int>(schema.steps.size()));
}

Result<void> migrate_up_to(SQLite::Database& db, const Schema& schema, int last) {
    return guarded("migrate the database", [&]() -> Result<void> {
        const int newest = static_cast<int>(schema.steps.size());
        const int found = db.execAndGet("PRAGMA user_version").getInt();
        if (found > newest) {
            return Error(Errc::conflict, "the database has schema " + std::to_string(found) +
                                             ", this program knows up to " + std::to_string(newest) +
                                             ": it is from a newer version");
        }
        for (int step = std::max(found, 0); step < last; ++step) {
            SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
            db.exec(schema.steps[static_cast<std::size_t>(step)]);
            db.exec("PRAGMA user_version = " + std::to_string(step + 1));
            transaction.commit();
        }
        return {};
    });
}

} // namespace linarite::store
