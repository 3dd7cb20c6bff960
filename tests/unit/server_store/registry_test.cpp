#include "rows.hpp"
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

} // namespace
} // namespace linarite::store
