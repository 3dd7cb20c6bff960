#include "agent/capture/data.hpp"
#include "agent/capture/uploader.hpp"
#include "proto/json_reader.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"
#include "support/tiny_http.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>

namespace linarite::agent {
namespace {

using proto::DataMode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A datastore called "store" behind HTTP and, where a test says so, on the same host.
class DataTest : public testing::Test {
protected:
    DataTest() {
        scratch.write("store/digits/train.csv", "1,2,3\n");
        scratch.write("store/digits/deep/test.csv", "4\n");
        scratch.write("store/digits2/x", "5\n");
        settings.host_id = "here";
        settings.coordinator_host_id = "here";
        settings.work_dir = scratch / "wd";
        settings.scratch = scratch / "scratch";
        settings.warn = [this](const std::string& line) { warnings.push_back(line); };
    }
    ~DataTest() override { pool.join(); }

    test::TinyHttp::Answer answer(const test::TinyHttp::Question& question) {
        const std::string files = "/api/v1/agent/datastores/store/files";
        const std::string& target = question.target;
        if (target.starts_with(files + "?")) {
            proto::Json list = proto::Json::array();
            for (const auto& entry : fs::recursive_directory_iterator(scratch / "store")) {
                if (entry.is_regular_file()) {
                    const std::string name = entry.path().lexically_relative(scratch / "store");
                    list.push_back({{"path", name}, {"size", entry.file_size()}});
                }
            }
            return {200, proto::Json{{"files", list}}.dump()};
        }
        const std::string name = target.substr(files.size() + 1);
        if (question.method == "PUT") {
            put[name] = question.body;
            return {201, "{}"};
        }
        const auto text = read_file(scratch / "store" / name);
        return text ? test::TinyHttp::Answer{200, *text} : test::TinyHttp::Answer{404, "{}"};
    }
    proto::DataReference& refer(DataMode mode, const std::string& path) {
        proto::DesiredData data;
        data.reference.name = "ref";
        data.reference.datastore = "store";
        data.reference.mode = mode;
        data.reference.path_on_datastore = path;
        data.datastore_path = (scratch / "store").string();
        settings.data = {data};
        return settings.data[0].reference;
    }
    Result<std::string> prepare() {
        DataReferences references(pool, coordinator, settings);
        const auto got = test::run(io, references.prepare(CancelToken()));
        return got ? Result<std::string>(got->at("ref")) : got.error();
    }

    test::Scratch scratch;
    DataSettings settings;
    std::vector<std::string> warnings;
    std::map<std::string, std::string> put;
    test::TinyHttp server{[this](const auto& question) { return answer(question); }};
    asio::io_context io;
    asio::thread_pool pool{1};
    std::shared_ptr<Coordinator> coordinator =
        std::make_shared<Coordinator>(io.get_executor(), [this]() -> Result<client::Address> {
            return client::Address{server.url(), "t", ""};
        });
};

TEST_F(DataTest, AMountOnTheSameHostIsTheFolderItself) {
    refer(DataMode::mount, "digits/");

    EXPECT_EQ(*prepare(), scratch / "store/digits");
}

TEST_F(DataTest, ASharedDatastoreIsMountedOnAnyHost) {
    settings.host_id = "elsewhere";
    refer(DataMode::mount, "digits/train.csv");
    settings.data[0].shared = true;

    EXPECT_EQ(*prepare(), scratch / "store/digits/train.csv");
}

TEST_F(DataTest, AMountOnAnotherHostIsACopyOfExactlyThatPath) {
    settings.host_id = "elsewhere";
    refer(DataMode::mount, "digits");

    const auto path = prepare();

    ASSERT_TRUE(path) << path.error().detail();
    EXPECT_EQ(*path, scratch / "scratch/store/digits");
    EXPECT_EQ(*read_file(*path + "/train.csv"), "1,2,3\n");
    EXPECT_EQ(*read_file(*path + "/deep/test.csv"), "4\n");
    EXPECT_FALSE(fs::exists(scratch / "scratch/store/digits2"));
}

TEST_F(DataTest, ASingleFileComesAsAFile) {
    settings.host_id = "elsewhere";
    refer(DataMode::download, "digits/train.csv");

    EXPECT_EQ(*prepare(), scratch / "wd/store/digits/train.csv");
    EXPECT_EQ(*read_file(scratch / "wd/store/digits/train.csv"), "1,2,3\n");
}

TEST_F(DataTest, ADownloadOnTheSameHostIsACopy) {
    refer(DataMode::download, "digits");

    EXPECT_EQ(*prepare(), scratch / "wd/store/digits");
    scratch.write("wd/store/digits/train.csv", "changed");
    EXPECT_EQ(*read_file(scratch / "store/digits/train.csv"), "1,2,3\n");
}

TEST_F(DataTest, FilesThatAreThereStayUnlessOverwriteIsSet) {
    for (const char* host : {"here", "elsewhere"}) {
        settings.host_id = host;
        scratch.write("wd/mine/train.csv", "mine");
        auto& reference = refer(DataMode::download, "digits");
        reference.path_on_compute = "mine";
        ASSERT_TRUE(prepare());
        EXPECT_EQ(*read_file(scratch / "wd/mine/train.csv"), "mine") << host;
        reference.overwrite = true;
        ASSERT_TRUE(prepare());
        EXPECT_EQ(*read_file(scratch / "wd/mine/train.csv"), "1,2,3\n") << host;
    }
}

TEST_F(DataTest, AMissingPathIsNamedWithItsDatastore) {
    for (const char* host : {"here", "elsewhere"}) {
        settings.host_id = host;
        refer(DataMode::mount, "nothing/here");
        const auto got = prepare();
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error().code(), Errc::not_found);
        EXPECT_THAT(got.error().detail(), HasSubstr("'nothing/here' is not on datastore 'store'"));
    }
}

TEST_F(DataTest, NothingLeadsOutOfTheDatastore) {
    fs::create_directory_symlink("/etc", scratch / "store/link");
    for (const char* path : {"../x", "digits/../../x", "link", "link/passwd"}) {
        refer(DataMode::mount, path);
        const auto got = prepare();
        ASSERT_FALSE(got) << path;
        EXPECT_EQ(got.error().code(), Errc::invalid_argument) << path;
    }
    refer(DataMode::download, "");
    EXPECT_EQ(prepare().error().code(), Errc::invalid_argument); // a link within
}

TEST_F(DataTest, WhatWasWrittenForAnUploadIsSentBackAtTheEnd) {
    auto& reference = refer(DataMode::upload, "results");
    reference.path_on_compute = "to-store";
    reference.overwrite = true;
    ASSERT_EQ(*prepare(), scratch / "wd/to-store");
    scratch.write("wd/to-store/a.txt", "a");
    scratch.write("wd/to-store/sub/b c.txt", "b");
    fs::create_symlink("/etc/passwd", scratch / "wd/to-store/link");

    DataReferences after_a_restart(pool, coordinator, settings);
    ASSERT_TRUE(test::run(io, after_a_restart.finish(CancelToken())));

    EXPECT_THAT(put, ElementsAre(Pair("results/a.txt", "a"), Pair("results/sub/b%20c.txt", "b")));
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("link")));
}

TEST_F(DataTest, AnUploadWithoutOverwriteLeavesWhatIsThere) {
    auto& reference = refer(DataMode::upload, "digits");
    reference.path_on_compute = "to-store";
    ASSERT_TRUE(prepare());
    scratch.write("wd/to-store/train.csv", "new");
    scratch.write("wd/to-store/other.csv", "new");

    DataReferences references(pool, coordinator, settings);
    ASSERT_TRUE(test::run(io, references.finish(CancelToken())));

    EXPECT_THAT(put, ElementsAre(Pair("digits/other.csv", "new")));
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("'digits/train.csv'")));
}

TEST_F(DataTest, AnEmptyStoreIsAnEmptyFolder) {
    settings.host_id = "elsewhere";
    fs::remove_all(scratch / "store");
    fs::create_directories(scratch / "store");
    refer(DataMode::mount, "");

    EXPECT_TRUE(fs::is_directory(*prepare()));
}

class HttpUploaderTest : public testing::Test {
protected:
    Result<std::optional<LengthConflict>> send(test::TinyHttp::Answer with, std::shared_ptr<Frames> frames) {
        test::TinyHttp server([&](const test::TinyHttp::Question& question) {
            seen = question;
            return with;
        });
        auto coordinator = std::make_shared<Coordinator>(io.get_executor(), [&]() -> Result<client::Address> {
            return client::Address{server.url(), "t", ""};
        });
        return test::run(io, make_http_uploader(coordinator, RunId("r 1"), 7)->send(frames));
    }
    asio::io_context io;
    test::Scratch scratch;
    test::TinyHttp::Question seen;
};

TEST_F(HttpUploaderTest, FramesGoAsHeadersAndBytesFromMemoryAndFromFiles) {
    const fs::path path = scratch.write("f", std::string(700'000, 'x'));
    auto frames = std::make_shared<Frames>(2);
    (*frames)[0].header = {"a", 3, 2, false, "", ""};
    (*frames)[0].bytes = "hi";
    (*frames)[1].header = {"b", 0, 700'000, false, std::string(64, '0'), ""};
    (*frames)[1].file = std::make_shared<UniqueFd>(::open(path.c_str(), O_RDONLY | O_CLOEXEC));

    const auto answer = send({200, "{}"}, frames);

    ASSERT_TRUE(answer);
    EXPECT_FALSE(*answer);
    EXPECT_EQ(seen.target, "/api/v1/agent/runs/r%201/files?fence=7");
    EXPECT_EQ(seen.body, proto::print_frame_header((*frames)[0].header) + "hi" +
                             proto::print_frame_header((*frames)[1].header) + std::string(700'000, 'x'));
}

TEST_F(HttpUploaderTest, AConflictAboutALengthIsAnAnswerAndOneAboutTheFenceAnError) {
    const auto length = send({409, R"({"error":{"code":"Conflict","message":"m"},"path":"a","length":5})"},
                             std::make_shared<Frames>(1));
    ASSERT_TRUE(length && *length);
    EXPECT_EQ((*length)->path, "a");
    EXPECT_EQ((*length)->length, 5U);

    const auto fence =
        send({409, R"({"error":{"code":"Conflict","message":"stale fence 7"}})"}, std::make_shared<Frames>(1));
    EXPECT_EQ(fence.error().code(), Errc::conflict);
    EXPECT_EQ(fence.error().detail(), "stale fence 7");
}

} // namespace
} // namespace linarite::agent
