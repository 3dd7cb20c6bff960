#include "agent/capture/snapshot_cache.hpp"
#include "common/hash.hpp"
#include "proto/frames.hpp"
#include "proto/snapshot.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"
#include "support/tiny_http.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SnapshotCacheTest : public testing::Test {
protected:
    SnapshotCacheTest() {
        add("data/empty", "");
        add("run.sh", "#!/bin/sh\n", true);
        add("train.py", "print('hi')\n");
        id = proto::snapshot_id(manifest);
    }
    ~SnapshotCacheTest() override { pool.join(); }

    void add(const std::string& path, const std::string& text, bool executable = false) {
        manifest.files.push_back({path, text.size(), sha256_hex(text), executable});
        content += proto::print_frame_header({path, 0, text.size(), executable, sha256_hex(text), ""}) + text;
    }
    test::TinyHttp::Answer answer(const test::TinyHttp::Question& question) {
        ++questions;
        if (question.target == "/api/v1/agent/snapshots/" + id.str() + "/content") {
            return {200, content};
        }
        return {404, R"({"error":{"code":"NotFound","message":"no such snapshot"}})"};
    }
    std::vector<std::string> left_over() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::directory_iterator(scratch / "snapshots")) {
            out.push_back(entry.path().filename());
        }
        return out;
    }

    proto::Manifest manifest;
    std::string content;
    SnapshotId id;
    std::atomic<int> questions = 0;
    test::Scratch scratch;
    test::TinyHttp server{[this](const auto& question) { return answer(question); }};
    asio::io_context io;
    asio::thread_pool pool{1};
    std::shared_ptr<Coordinator> coordinator =
        std::make_shared<Coordinator>(io.get_executor(), [this]() -> Result<client::Address> {
            return client::Address{server.url(), "t", ""};
        });
    SnapshotCache cache{pool, coordinator, scratch / "snapshots"};
};

TEST_F(SnapshotCacheTest, FetchesOnceAndKeepsExecutableBits) {
    const auto first = test::run(io, cache.fetch(id));
    ASSERT_TRUE(first) << first.error().detail();
    const auto second = test::run(io, cache.fetch(id));

    EXPECT_EQ(*first, *second);
    EXPECT_EQ(questions, 1);
    EXPECT_EQ(*read_file(*first / "train.py"), "print('hi')\n");
    EXPECT_EQ(*read_file(*first / "data/empty"), "");
    EXPECT_NE(fs::status(*first / "run.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
    EXPECT_EQ(fs::status(*first / "train.py").permissions() & fs::perms::owner_exec, fs::perms::none);
    EXPECT_THAT(left_over(), ElementsAre(id.str()));
}

TEST_F(SnapshotCacheTest, ThoseWhoAskAtTheSameTimeShareOneDownload) {
    int done = 0;
    for (int i = 0; i < 3; ++i) {
        asio::co_spawn(io, cache.fetch(id), [&](std::exception_ptr, Result<fs::path> got) { done += got ? 1 : 0; });
    }

    ASSERT_TRUE(test::run_until(io, [&] { return done == 3; }));
    EXPECT_EQ(questions, 1);
}

TEST_F(SnapshotCacheTest, AWorkingDirectoryIsACopyWithOutputsAndLogs) {
    scratch.write("wd/stale", "from a former attempt");

    ASSERT_TRUE(test::run(io, cache.materialise(id, scratch / "wd")));

    EXPECT_TRUE(fs::is_directory(scratch / "wd/outputs"));
    EXPECT_TRUE(fs::is_directory(scratch / "wd/logs"));
    EXPECT_FALSE(fs::exists(scratch / "wd/stale"));
    scratch.write("wd/train.py", "changed");
    EXPECT_EQ(*read_file(scratch / "snapshots" / id.str() / "train.py"), "print('hi')\n");
}

TEST_F(SnapshotCacheTest, OtherBytesThanTheHashSaysAreNotTaken) {
    content.back() = 'x';
    CancelToken cancel; // or it would be tried again for minutes
    cancel.cancel();

    const auto got = test::run(io, cache.fetch(id, cancel));

    ASSERT_FALSE(got);
    EXPECT_THAT(got.error().detail(), HasSubstr("'train.py' arrived with other bytes"));
    EXPECT_THAT(left_over(), IsEmpty());
}

TEST_F(SnapshotCacheTest, AShortAnswerIsNotTaken) {
    content.resize(content.size() / 2);
    CancelToken cancel;
    cancel.cancel();

    EXPECT_EQ(test::run(io, cache.fetch(id, cancel)).error().code(), Errc::unavailable);
    EXPECT_THAT(left_over(), IsEmpty());
}

TEST_F(SnapshotCacheTest, AnUnknownSnapshotSaysWhatTheCoordinatorSays) {
    const auto got = test::run(io, cache.fetch(SnapshotId(std::string(64, 'a'))));

    EXPECT_EQ(got.error().code(), Errc::not_found);
    EXPECT_THAT(got.error().detail(), HasSubstr("no such snapshot"));
}

} // namespace
} // namespace linarite::agent
