#include "rows.hpp"
#include "server/store/schema.hpp"
#include "server/store/tables.hpp"

#include <SQLiteCpp/Database.h>
#include <gtest/gtest.h>

namespace linarite::store {
namespace {

class RegistryTest : public testing::Test {
protected:
    void SetUp() override {
        db_.exec("PRAGMA foreign_keys = ON");
        ASSERT_TRUE(migrate(db_));
        workspace_ = tables_.list_workspaces()->front().id;
    }
    EnvironmentRow environment(const std::string& version, const std::string& document) {
        return {workspace_, "e", version, document, t0};
    }

    SQLite::Database db_{":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    Tables tables_{db_};
    std::string workspace_;
};

TEST_F(RegistryTest, TheNewestEnvironmentIsTheOneStoredLast) {
    ASSERT_TRUE(tables_.put_environment(environment("10", "{}")));
    ASSERT_TRUE(tables_.put_environment(environment("9", R"({"a":1})")));

    EXPECT_EQ(tables_.find_environment(workspace_, "e", "")->version, "9");
    EXPECT_EQ(tables_.find_environment(workspace_, "e", "10")->document, "{}");
    EXPECT_EQ(tables_.find_environment(workspace_, "e", "1").error().code(), Errc::not_found);
    const auto listed = tables_.list_environments(workspace_);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().version, "9");
}

TEST_F(RegistryTest, AVersionIsWrittenOnce) {
    ASSERT_TRUE(tables_.put_environment(environment("1", "{}")));

    EXPECT_TRUE(tables_.put_environment(environment("1", "{}"))) << "the same again is no error";
    EXPECT_EQ(tables_.put_environment(environment("1", "[]")).error().code(), Errc::conflict);
}

TEST_F(RegistryTest, ComputeTargetsAreReplacedAndRemoved) {
    ASSERT_TRUE(tables_.put_compute_target({"b", "S1", 0, 1, "{}", t0}));
    ASSERT_TRUE(tables_.put_compute_target({"a", "S1", 0, 2, "{}", t0}));
    ASSERT_TRUE(tables_.put_compute_target({"b", "S2", 1, 4, "[]", t0 + Millis(5)}));

    const auto rows = tables_.list_compute_targets();
    ASSERT_EQ(rows->size(), 2U);
    EXPECT_EQ(rows->at(0).name, "a");
    EXPECT_EQ(rows->at(1).vm_size, "S2");
    EXPECT_EQ(rows->at(1).max_nodes, 4);
    EXPECT_EQ(rows->at(1).created, t0) << "it is as old as it is";
    EXPECT_TRUE(tables_.remove_compute_target("b"));
    EXPECT_EQ(tables_.remove_compute_target("b").error().code(), Errc::not_found);
}

TEST_F(RegistryTest, OneDatastoreIsTheDefault) {
    ASSERT_TRUE(tables_.put_datastore({"a", "/a", false, true, t0, "", ""}));
    ASSERT_TRUE(tables_.put_datastore({"b", "/b", false, false, t0, "acc", "con"}));

    ASSERT_TRUE(tables_.set_default_datastore("b"));
    EXPECT_FALSE(tables_.find_datastore("a")->is_default);
    EXPECT_TRUE(tables_.find_datastore("b")->is_default);
    EXPECT_EQ(tables_.set_default_datastore("c").error().code(), Errc::not_found);
    EXPECT_TRUE(tables_.find_datastore("b")->is_default) << "a name that is not there changes nothing";
    EXPECT_TRUE(tables_.remove_datastore("a"));
    EXPECT_EQ(tables_.remove_datastore("a").error().code(), Errc::not_found);
}

// ---- hashes of files ------------------------------------------------------------------------------------------------

FileHashRow hashed(const std::string& name, std::uint64_t size = 1) {
    return {name, {size, 2, 3, std::uint64_t{1} << 63U}, std::string(64, 'a')};
}

TEST_F(RegistryTest, HashesAreOfAFileOrOfAllBelowAFolder) {
    ASSERT_TRUE(
        tables_.put_file_hashes("/a", {hashed("d"), hashed("d/x"), hashed("d/y/z"), hashed("d0"), hashed("e")}));
    ASSERT_TRUE(tables_.put_file_hashes("/b", {hashed("d/x")}));
    ASSERT_TRUE(tables_.put_file_hashes("/a", {hashed("d/x", 9)}));

    const auto below = tables_.list_file_hashes("/a", "d");

    ASSERT_TRUE(below);
    EXPECT_EQ(*below, (std::vector{hashed("d"), hashed("d/x", 9), hashed("d/y/z")}));
    EXPECT_EQ(tables_.list_file_hashes("/a", "")->size(), 5U);
    EXPECT_EQ(tables_.list_file_hashes("/a", "d/x")->size(), 1U);
    ASSERT_TRUE(tables_.remove_file_hashes("/a", {"d", "d/x", "no such"}));
    EXPECT_EQ(*tables_.list_file_hashes("/a", "d"), (std::vector{hashed("d/y/z")}));
    EXPECT_EQ(tables_.list_file_hashes("/b", "")->size(), 1U);
}

TEST_F(RegistryTest, HashesMoveWithTheirDatastoreAndGoWithTheLastOne) {
    ASSERT_TRUE(tables_.put_datastore({"one", "/a", false, false, t0, "", ""}));
    ASSERT_TRUE(tables_.put_datastore({"two", "/a", false, false, t0, "", ""}));
    ASSERT_TRUE(tables_.put_file_hashes("/a", {hashed("x")}));

    ASSERT_TRUE(tables_.move_datastore("one", "/b"));
    ASSERT_TRUE(tables_.move_datastore("two", "/b"));
    EXPECT_EQ(*tables_.list_file_hashes("/b", ""), (std::vector{hashed("x")}));
    ASSERT_TRUE(tables_.remove_datastore("one"));
    EXPECT_EQ(tables_.list_file_hashes("/b", "")->size(), 1U);
    ASSERT_TRUE(tables_.remove_datastore("two"));
    EXPECT_EQ(tables_.list_file_hashes("/b", "")->size(), 0U);
}

TEST(FileHashesMigration, AHistoryOfBeforeGetsAnEmptyTableAndKeepsItsDatastores) {
    SQLite::Database db(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    ASSERT_TRUE(migrate_up_to(db, history_schema(), 4));
    db.exec("INSERT INTO datastores (name, path, shared, is_default, created) VALUES ('d', '/d', 0, 1, 0)");

    ASSERT_TRUE(migrate(db));

    Tables tables(db);
    EXPECT_EQ(tables.list_file_hashes("/d", "")->size(), 0U);
    EXPECT_EQ(tables.find_datastore("d")->path, "/d");
}

} // namespace
} // namespace linarite::store
