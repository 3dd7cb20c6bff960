#include "agent/trash.hpp"
#include "common/files.hpp"
#include "support/processes.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace linarite::agent {
namespace {

using test::eventually;

class TrashTest : public testing::Test {
public:
    TrashTest() {
        std::string name = "/tmp/linarite-trash-XXXXXX";
        folder_ = ::mkdtemp(name.data());
    }
    ~TrashTest() override {
        std::error_code ec;
        fs::remove_all(folder_, ec);
    }

protected:
    [[nodiscard]] fs::path run(const std::string& name) const {
        fs::create_directories(folder_ / "work" / name / "wd/outputs");
        EXPECT_TRUE(write_file_durably(folder_ / "work" / name / "wd/outputs/model", "bytes"));
        return folder_ / "work" / name;
    }
    [[nodiscard]] bool is_empty() const { return fs::is_empty(folder_ / "trash"); }

    fs::path folder_;
};

TEST_F(TrashTest, AFolderLeavesItsPlaceAtOnceAndTheDiskSoon) {
    Trash trash(folder_ / "trash");
    const fs::path place = run("r1");

    ASSERT_TRUE(trash.put(place));

    EXPECT_FALSE(fs::exists(place));
    EXPECT_TRUE(eventually([&] { return is_empty(); }));
}

TEST_F(TrashTest, TheSameRunMayComeAndGoAgain) {
    Trash trash(folder_ / "trash");

    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(trash.put(run("r1")));
    }

    EXPECT_TRUE(eventually([&] { return is_empty(); }));
}

TEST_F(TrashTest, WhatAFormerAgentLeftIsRemoved) {
    fs::create_directories(folder_ / "trash");
    fs::rename(run("r1"), folder_ / "trash/r1.1234");

    const Trash trash(folder_ / "trash");

    EXPECT_TRUE(eventually([&] { return is_empty(); }));
}

TEST_F(TrashTest, AFolderThatIsNotThereIsAnError) {
    Trash trash(folder_ / "trash");

    EXPECT_FALSE(trash.put(folder_ / "work/nothing"));
}

} // namespace
} // namespace linarite::agent
