#include "agent/capture/data.hpp"
#include "agent/capture/uploader.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"
#include "support/tiny_http.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <sys/stat.h>
#include <utility>

namespace linarite::agent {
namespace {

using proto::DataMode;
using testing::_;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

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
        settings.scratch = scratch / "work/run1/data";
        settings.work = scratch / "work";
        settings.warn = [this](const std::string& line) { warnings.push_back(line); };
        settings.progress = [this](const std::string& words) { told.push_back(words); };
    }
    ~DataTest() override { pool.join(); }

    test::TinyHttp::Answer answer(const test::TinyHttp::Question& question) {
        const std::string base = "/api/v1/agent/datastores/store/";
        const std::string& target = question.target;
        if (target.starts_with(base + "contents?path=")) {
            const std::string rest = target.substr((base + "contents?path=").size());
            return contents(rest.substr(0, rest.find('&')));
        }
        if (target.starts_with(base + "files?")) {
            proto::Json list = proto::Json::array();
            for (const auto& entry : fs::recursive_directory_iterator(scratch / "store")) {
                if (entry.is_regular_file()) {
                    const std::string name = entry.path().lexically_relative(scratch / "store");
                    list.push_back({{"path", name}, {"size", entry.file_size()}});
                }
            }
            return {200, proto::Json{{"files", list}}.dump()};
        }
        const std::string name = target.substr((base + "files/").size());
        if (question.method == "PUT") {
            put[name] = question.body;
            conditions[name] = question.headers.contains("If-None-Match");
            return put_answer;
        }
        fetched.push_back(name);
        ++begun;
        return file(name, question);
    }
    // "digits%2Fdeep" is as the client encodes it
    virtual test::TinyHttp::Answer contents(std::string path) {
        ++listed;
        for (std::size_t at = path.find("%2F"); at != std::string::npos; at = path.find("%2F")) {
            path.replace(at, 3, "/");
        }
        const fs::path place = scratch / "store" / path;
        if (!path.empty() && !fs::exists(place)) {
            return {404, proto::Json{{"error", {{"message", "'" + path + "' is not on datastore 'store'"}}}}.dump()};
        }
        proto::Json list = proto::Json::array();
        const auto add = [&](const fs::path& found) {
            const std::string text = *read_file(found);
            list.push_back({{"path", found.lexically_relative(scratch / "store").string()},
                            {"size", text.size()},
                            {"sha256", sha256_hex(text)}});
        };
        if (fs::is_regular_file(place)) {
            add(place);
        } else {
            for (const auto& entry : fs::recursive_directory_iterator(place)) {
                if (entry.is_regular_file()) {
                    add(entry.path());
                }
            }
        }
        return {200, proto::Json{{"files", list}, {"obstacles", obstacles}}.dump()};
    }
    virtual test::TinyHttp::Answer file(const std::string& name, const test::TinyHttp::Question& /*question*/) {
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
    proto::DataReference& refer_from_elsewhere(DataMode mode, const std::string& path) {
        settings.host_id = "elsewhere";
        return refer(mode, path);
    }
    Result<std::string> prepare(CancelToken cancel = {}) {
        DataReferences references(pool, coordinator, cache, settings);
        const auto got = test::run(io, references.prepare(cancel));
        return got ? Result<std::string>(got->at("ref")) : got.error();
    }
    // As a later run, in folders of its own.
    Result<std::string> prepare_run(const std::string& run) {
        settings.scratch = scratch / "work" / run / "data";
        settings.work_dir = scratch / "work" / run / "wd";
        return prepare();
    }
    Result<void> finish() {
        DataReferences references(pool, coordinator, cache, settings);
        return test::run(io, references.finish(CancelToken()));
    }
    std::vector<std::string> take_fetched() { return std::exchange(fetched, {}); }
    std::size_t kept_files() const {
        std::size_t count = 0;
        std::error_code ec;
        for (const auto& entry : fs::recursive_directory_iterator(scratch / "cache/sha256", ec)) {
            count += entry.is_regular_file() ? 1 : 0;
        }
        return count;
    }

    test::Scratch scratch;
    DataSettings settings;
    std::vector<std::string> warnings;
    std::vector<std::string> told;
    std::vector<std::string> fetched; // names of files that went over the network
    std::vector<std::string> obstacles;
    std::map<std::string, std::string> put;
    std::map<std::string, bool> conditions; // of those, which must be new
    test::TinyHttp::Answer put_answer{201, "{}"};
    std::atomic<int> begun = 0; // transfers
    int listed = 0;
    test::TinyHttp server{[this](const auto& question) { return answer(question); }};
    asio::io_context io;
    asio::thread_pool pool{2};
    std::shared_ptr<Coordinator> coordinator =
        std::make_shared<Coordinator>(io.get_executor(), [this]() -> Result<client::Address> {
            return client::Address{server.url(), "t", ""};
        });
    DataCache cache{pool, coordinator, scratch / "cache", 1'000'000};
};

// ---- where the node sees the datastore ------------------------------------------------------------------------------

TEST_F(DataTest, AMountOnTheSameHostIsTheFolderItself) {
    refer(DataMode::mount, "digits/");

    EXPECT_EQ(*prepare(), scratch / "store/digits");
}

TEST_F(DataTest, ASharedDatastoreIsMountedOnAnyHost) {
    refer_from_elsewhere(DataMode::mount, "digits/train.csv");
    settings.data[0].shared = true;

    EXPECT_EQ(*prepare(), scratch / "store/digits/train.csv");
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
        warnings.clear();
        scratch.write("wd/mine/train.csv", "mine");
        auto& reference = refer(DataMode::download, "digits");
        reference.path_on_compute = "mine";
        ASSERT_TRUE(prepare());
        EXPECT_EQ(*read_file(scratch / "wd/mine/train.csv"), "mine") << host;
        EXPECT_EQ(*read_file(scratch / "wd/mine/deep/test.csv"), "4\n") << host;
        EXPECT_THAT(warnings, ElementsAre(HasSubstr("of its files 1 was at"))) << host;
        reference.overwrite = true;
        ASSERT_TRUE(prepare());
        EXPECT_EQ(*read_file(scratch / "wd/mine/train.csv"), "1,2,3\n") << host;
        fs::remove_all(scratch / "wd");
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
    for (const char* path : {"../x", "digits/../../x", "link", "link/passwd", "digits//x", "a\nb"}) {
        refer(DataMode::mount, path);
        const auto got = prepare();
        ASSERT_FALSE(got) << path;
        EXPECT_EQ(got.error().code(), Errc::invalid_argument) << path;
    }
    refer(DataMode::download, "");
    EXPECT_EQ(prepare().error().code(), Errc::invalid_argument); // a link within
}

// ---- where it has to come over the network --------------------------------------------------------------------------

TEST_F(DataTest, AMountOnAnotherHostIsATreeOfExactlyThatPathAndReadOnly) {
    refer_from_elsewhere(DataMode::mount, "digits");

    const auto path = prepare();

    ASSERT_TRUE(path) << path.error().detail();
    EXPECT_EQ(*path, scratch / "work/run1/data/ref/store/digits");
    EXPECT_EQ(*read_file(*path + "/train.csv"), "1,2,3\n");
    EXPECT_EQ(*read_file(*path + "/deep/test.csv"), "4\n");
    EXPECT_FALSE(fs::exists(scratch / "work/run1/data/ref/store/digits2"));
    EXPECT_EQ(fs::status(*path + "/train.csv").permissions(), fs::perms(0444));
}

TEST_F(DataTest, ASingleFileComesAsAFile) {
    refer_from_elsewhere(DataMode::download, "digits/train.csv");
    EXPECT_EQ(*prepare(), scratch / "wd/store/digits/train.csv");
    EXPECT_EQ(*read_file(scratch / "wd/store/digits/train.csv"), "1,2,3\n");

    refer(DataMode::mount, "digits/train.csv");
    EXPECT_EQ(*prepare(), scratch / "work/run1/data/ref/store/digits/train.csv");
    EXPECT_EQ(*read_file(scratch / "work/run1/data/ref/store/digits/train.csv"), "1,2,3\n");
}

TEST_F(DataTest, ASecondRunFetchesNothingButTheList) {
    refer_from_elsewhere(DataMode::mount, "digits");
    ASSERT_TRUE(prepare());
    EXPECT_THAT(take_fetched(), UnorderedElementsAre("digits/train.csv", "digits/deep/test.csv"));

    const auto second = prepare_run("run2");

    ASSERT_TRUE(second) << second.error().detail();
    EXPECT_EQ(*read_file(*second + "/train.csv"), "1,2,3\n");
    refer(DataMode::download, "");
    const auto third = prepare_run("run3");
    ASSERT_TRUE(third) << third.error().detail();
    EXPECT_EQ(*read_file(*third + "/digits/deep/test.csv"), "4\n");
    EXPECT_THAT(fetched, ElementsAre("digits2/x")) << "what only the whole store has";
}

TEST_F(DataTest, AnotherAgentProcessFindsWhatTheFirstOneFetched) {
    refer_from_elsewhere(DataMode::mount, "digits");
    ASSERT_TRUE(prepare());
    take_fetched();

    DataCache anew(pool, coordinator, scratch / "cache", 1'000'000);
    test::run(io, [&]() -> asio::awaitable<bool> {
        co_await anew.open();
        co_return true;
    }());
    settings.scratch = scratch / "work/run2/data";
    DataReferences references(pool, coordinator, anew, settings);
    ASSERT_TRUE(test::run(io, references.prepare(CancelToken())));

    EXPECT_THAT(fetched, IsEmpty());
}

TEST_F(DataTest, OnlyWhatHasChangedIsFetchedAnew) {
    refer_from_elsewhere(DataMode::mount, "digits");
    ASSERT_TRUE(prepare());
    take_fetched();
    scratch.write("store/digits/train.csv", "7,8,9\n"); // as long as before

    const auto second = prepare_run("run2");

    EXPECT_EQ(*read_file(*second + "/train.csv"), "7,8,9\n");
    EXPECT_EQ(*read_file(scratch / "work/run1/data/ref/store/digits/train.csv"), "1,2,3\n");
    EXPECT_THAT(fetched, ElementsAre("digits/train.csv"));
}

TEST_F(DataTest, WhatARunDoesToItsCopyIsNotSeenByTheNext) {
    refer_from_elsewhere(DataMode::download, "digits");
    ASSERT_TRUE(prepare_run("run1"));
    scratch.write("work/run1/wd/store/digits/train.csv", "spoilt");

    ASSERT_TRUE(prepare_run("run2"));

    EXPECT_EQ(*read_file(scratch / "work/run2/wd/store/digits/train.csv"), "1,2,3\n");
}

TEST_F(DataTest, AMountThatARunWroteIntoAllTheSameIsFetchedAnew) {
    refer_from_elsewhere(DataMode::mount, "digits/train.csv");
    const auto first = prepare();
    ASSERT_TRUE(first);
    fs::permissions(*first, fs::perms(0644));
    std::ofstream(*first, std::ios::in | std::ios::out) << "X"; // in place

    const auto second = prepare_run("run2");

    ASSERT_TRUE(second) << second.error().detail();
    EXPECT_EQ(*read_file(*second), "1,2,3\n");
}

TEST_F(DataTest, RunsThatWantTheSameAtOnceShareOneTransfer) {
    refer_from_elsewhere(DataMode::mount, "digits");
    int done = 0;
    std::vector<std::unique_ptr<DataReferences>> runs;
    for (const char* run : {"run1", "run2", "run3"}) {
        settings.scratch = scratch / "work" / run / "data";
        runs.push_back(std::make_unique<DataReferences>(pool, coordinator, cache, settings));
        asio::co_spawn(io, runs.back()->prepare(CancelToken()),
                       [&](std::exception_ptr, const auto& got) { done += got ? 1 : 100; });
    }

    ASSERT_TRUE(test::run_until(io, [&] { return done >= 3; }));

    EXPECT_EQ(done, 3);
    EXPECT_THAT(fetched, UnorderedElementsAre("digits/train.csv", "digits/deep/test.csv"));
    EXPECT_EQ(*read_file(scratch / "work/run3/data/ref/store/digits/deep/test.csv"), "4\n");
}

TEST_F(DataTest, WhatWasUnusedForLongestGoesWhenTheCacheIsFull) {
    for (const char* name : {"a", "b", "c"}) {
        scratch.write(std::string("store/") + name, std::string(400'000, *name));
    }
    settings.host_id = "elsewhere";
    int run = 0;
    const auto use = [&](const char* name) {
        refer(DataMode::mount, name);
        const auto path = prepare_run("r" + std::to_string(++run));
        ASSERT_TRUE(path) << path.error().detail();
        EXPECT_EQ(*read_file(*path), std::string(400'000, *name));
    };
    use("a");
    use("b");
    use("a");
    use("c"); // too much: b goes
    EXPECT_THAT(take_fetched(), ElementsAre("a", "b", "c"));

    use("a");
    use("c");
    EXPECT_THAT(fetched, IsEmpty());
    use("b");
    EXPECT_THAT(fetched, ElementsAre("b"));
    EXPECT_EQ(*read_file(scratch / "work/r2/data/ref/store/b"), std::string(400'000, 'b')) << "a run keeps what it has";
}

TEST_F(DataTest, MoreThanTheCacheHoldsIsGivenWholeAndKeptInPart) {
    for (const char* name : {"a", "b", "c", "d"}) {
        scratch.write(std::string("store/big/") + name, std::string(400'000, *name));
    }
    refer_from_elsewhere(DataMode::mount, "big");
    const auto first = prepare_run("r1");
    ASSERT_TRUE(first) << first.error().detail();
    for (const char* name : {"a", "b", "c", "d"}) {
        EXPECT_EQ(*read_file(*first + "/" + name), std::string(400'000, *name));
    }
    EXPECT_EQ(take_fetched().size(), 4U);
    EXPECT_EQ(kept_files(), 2U);

    ASSERT_TRUE(prepare_run("r2"));
    EXPECT_EQ(fetched.size(), 2U) << "what is kept is not thrown away for the rest";
}

TEST_F(DataTest, WhatIsInTheWayOfACompleteTreeIsSaid) {
    refer_from_elsewhere(DataMode::mount, "digits");
    obstacles = {"'digits/latest': it is a link"};

    const auto got = prepare();

    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), Errc::invalid_argument);
    EXPECT_THAT(got.error().detail(), HasSubstr("'digits/latest': it is a link (remove it"));
    EXPECT_THAT(fetched, IsEmpty());
}

TEST_F(DataTest, AnEmptyStoreIsAnEmptyFolder) {
    fs::remove_all(scratch / "store");
    fs::create_directories(scratch / "store");
    refer_from_elsewhere(DataMode::mount, "");

    EXPECT_TRUE(fs::is_directory(*prepare()));
}

// ---- a coordinator that is not to be trusted, and a network that breaks ---------------------------------------------

class OddCoordinator : public DataTest {
protected:
    test::TinyHttp::Answer contents(std::string path) override {
        if (!instead.empty()) {
            auto answer = instead.front();
            if (instead.size() > 1) {
                instead.erase(instead.begin());
            }
            if (answer.status != 0) {
                return answer;
            }
        }
        return DataTest::contents(path);
    }
    test::TinyHttp::Answer file(const std::string& name, const test::TinyHttp::Question& question) override {
        const auto range = question.headers.find("Range");
        ranges.push_back(range == question.headers.end() ? "" : range->second);
        if (cut_next > 0) {
            auto answer = DataTest::file(name, question);
            answer.cut = std::exchange(cut_next, 0);
            return answer;
        }
        if (!served.empty()) {
            const std::string text = served.front();
            if (served.size() > 1) {
                served.erase(served.begin());
            }
            return {200, text};
        }
        auto answer = DataTest::file(name, question);
        if (range != question.headers.end()) {
            answer.body = answer.body.substr(std::stoul(range->second.substr(6)));
            answer.status = 206;
        }
        return answer;
    }
    // "" among the texts is what the real one would list.
    void list_instead(std::vector<proto::Json> files) {
        for (proto::Json& list : files) {
            const proto::Json body{{"files", std::move(list)}, {"obstacles", proto::Json::array()}};
            instead.push_back({200, body.dump()});
        }
    }
    static proto::Json entry(const std::string& path, const std::string& text) {
        return {{"path", path}, {"size", text.size()}, {"sha256", sha256_hex(text)}};
    }

    std::vector<test::TinyHttp::Answer> instead;
    std::vector<std::string> served;
    std::vector<std::string> ranges;
    std::size_t cut_next = 0;
};

TEST_F(OddCoordinator, NamesThatLeadOutAreNotWritten) {
    for (const char* name : {"../evil", "/etc/evil", "digits/../../evil", "digits/a//b", "digits/a\nb", "digits2/x",
                             "digits", "digits/./x"}) {
        instead.clear();
        CancelToken cancel; // or it would be asked again for minutes
        cancel.cancel();
        refer_from_elsewhere(DataMode::download, "digits");
        list_instead({proto::Json::array({entry(name, "evil"), entry("digits/x", "x")})});
        served = {"evil"};

        const auto got = prepare(cancel);

        ASSERT_FALSE(got) << name;
        EXPECT_THAT(fetched, IsEmpty()) << name;
    }
    EXPECT_FALSE(fs::exists(scratch / "evil"));
}

TEST_F(OddCoordinator, AHashThatIsNoneIsNotBelieved) {
    CancelToken cancel;
    cancel.cancel();
    refer_from_elsewhere(DataMode::mount, "digits");
    list_instead({proto::Json::array({{{"path", "digits/x"}, {"size", 1}, {"sha256", "../../../../etc/passwd"}}})});

    EXPECT_EQ(prepare(cancel).error().code(), Errc::unavailable);
    EXPECT_THAT(fetched, IsEmpty());
}

TEST_F(OddCoordinator, OtherBytesThanListedAreFetchedOnceMoreAndThenRefused) {
    refer_from_elsewhere(DataMode::mount, "digits/train.csv");
    served = {"6,6,6\n"};

    const auto got = prepare();

    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), Errc::conflict);
    EXPECT_THAT(got.error().detail(), HasSubstr("'digits/train.csv' of datastore 'store'"));
    EXPECT_THAT(got.error().detail(), HasSubstr("other bytes than its SHA-256 says, twice"));
    EXPECT_THAT(fetched, ElementsAre("digits/train.csv", "digits/train.csv"));
    EXPECT_EQ(listed, 2);
    EXPECT_EQ(kept_files(), 0U);
    EXPECT_TRUE(fs::is_empty(scratch / "cache/incoming"));
}

TEST_F(OddCoordinator, AFileThatChangedSinceItWasListedComesAsItIsNow) {
    for (const DataMode mode : {DataMode::mount, DataMode::download}) {
        fs::remove_all(scratch / "cache");
        refer_from_elsewhere(mode, "digits");
        list_instead({proto::Json::array(
            {entry("digits/train.csv", "longer than it is now"), entry("digits/deep/test.csv", "4\n")})});
        instead.push_back({0, ""}); // then the truth

        const auto got = prepare();

        ASSERT_TRUE(got) << got.error().detail();
        EXPECT_EQ(*read_file(*got + "/train.csv"), "1,2,3\n");
        EXPECT_EQ(*read_file(*got + "/deep/test.csv"), "4\n");
        instead.clear();
    }
}

TEST_F(OddCoordinator, AFileThatIsGoneSinceItWasListedIsNoError) {
    refer_from_elsewhere(DataMode::mount, "digits");
    list_instead({proto::Json::array({entry("digits/gone", "gone")})});
    instead.push_back({0, ""});

    const auto got = prepare();

    ASSERT_TRUE(got) << got.error().detail();
    EXPECT_FALSE(fs::exists(*got + "/gone"));
    EXPECT_EQ(*read_file(*got + "/train.csv"), "1,2,3\n");
}

TEST_F(OddCoordinator, ATransferThatBreaksGoesOnWhereItWas) {
    const std::string text(500'000, 'x');
    scratch.write("store/digits/large", text + "end");
    refer_from_elsewhere(DataMode::mount, "digits/large");
    cut_next = 300'000;

    const auto got = prepare();

    ASSERT_TRUE(got) << got.error().detail();
    EXPECT_EQ(*read_file(*got), text + "end");
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_EQ(ranges[0], "");
    EXPECT_THAT(ranges[1], testing::StartsWith("bytes="));
}

TEST_F(OddCoordinator, WhileTheCoordinatorReadsItIsWaitedForInWords) {
    refer_from_elsewhere(DataMode::mount, "digits");
    instead = {{202, R"({"files":12,"bytes":4294967296,"known_files":3,"known_bytes":1288490189})"}, {0, ""}};

    ASSERT_TRUE(prepare());

    EXPECT_THAT(told, Contains(HasSubstr("data 'ref', which the coordinator reads for the first time: 3 of 12 files, "
                                         "1.2 of 4.0 GiB")));
    EXPECT_THAT(told, Contains(HasSubstr("fetching data 'ref': ")));
}

TEST_F(OddCoordinator, ACancelledRunLeavesNothingAndDoesNotStopAnotherOne) {
    const std::string text(3'000'000, 'x');
    scratch.write("store/digits/large", text);
    DataCache large(pool, coordinator, scratch / "cache", 100'000'000);
    refer_from_elsewhere(DataMode::mount, "digits/large");
    DataReferences first(pool, coordinator, large, settings);
    settings.scratch = scratch / "work/run2/data";
    DataReferences second(pool, coordinator, large, settings);
    CancelToken cancel;
    std::optional<Result<std::map<std::string, std::string>>> ends[2];
    asio::co_spawn(io, first.prepare(cancel), [&](std::exception_ptr, auto got) { ends[0].emplace(std::move(got)); });
    ASSERT_TRUE(test::run_until(io, [&] { return begun > 0; }));
    asio::co_spawn(io, second.prepare({}), [&](std::exception_ptr, auto got) { ends[1].emplace(std::move(got)); });
    cancel.cancel();

    ASSERT_TRUE(test::run_until(io, [&] { return ends[0] && ends[1]; }));

    ASSERT_TRUE(*ends[1]) << ends[1]->error().detail();
    EXPECT_EQ(*read_file((*ends[1])->at("ref")), text);
    EXPECT_TRUE(fs::is_empty(scratch / "cache/incoming"));
}

// ---- names that the user gives --------------------------------------------------------------------------------------

TEST_F(DataTest, AMountHasAlsoTheNameThatTheUserGaveIt) {
    for (const char* host : {"here", "elsewhere"}) {
        settings.host_id = host;
        refer(DataMode::mount, "digits").path_on_compute = "my/data";

        const auto path = prepare();

        ASSERT_TRUE(path) << path.error().detail();
        EXPECT_EQ(*read_file(scratch / "wd/my/data/train.csv"), "1,2,3\n") << host;
        EXPECT_EQ(fs::canonical(scratch / "wd/my/data"), fs::canonical(*path));
        fs::remove_all(scratch / "wd");
    }
}

TEST_F(DataTest, AnAbsoluteNameOfAMountIsTakenOverFromARunThatIsOver) {
    const std::string name = scratch / "place";
    settings.host_id = "elsewhere";
    refer(DataMode::mount, "digits").path_on_compute = name;
    ASSERT_TRUE(prepare_run("run1"));
    refer(DataMode::mount, "digits2").path_on_compute = name;
    EXPECT_EQ(prepare_run("run2").error().code(), Errc::conflict) << "run1 uses it";

    fs::remove_all(scratch / "work/run1");
    const auto path = prepare_run("run2");

    ASSERT_TRUE(path) << path.error().detail();
    EXPECT_EQ(*read_file(name + "/x"), "5\n");
}

TEST_F(DataTest, DataDoesNotGoIntoTheSystemsFolders) {
    for (const DataMode mode : {DataMode::mount, DataMode::download, DataMode::upload}) {
        for (const char* host : {"here", "elsewhere"}) {
            settings.host_id = host;
            auto& reference = refer(mode, "digits");
            reference.path_on_compute = "/etc/linarite-test-data";
            reference.overwrite = true;
            const auto got = prepare();
            ASSERT_FALSE(got);
            EXPECT_EQ(got.error().code(), Errc::invalid_argument);
            EXPECT_THAT(got.error().detail(), HasSubstr("a folder of the system"));
        }
    }
    EXPECT_FALSE(fs::exists("/etc/linarite-test-data"));
}

TEST_F(DataTest, ADownloadToAnAbsolutePathKeepsWhatIsThere) {
    for (const char* host : {"here", "elsewhere"}) {
        settings.host_id = host;
        scratch.write("absolute/train.csv", "precious");
        refer(DataMode::download, "digits").path_on_compute = (scratch / "absolute").string();

        EXPECT_EQ(*prepare(), scratch / "absolute");

        EXPECT_EQ(*read_file(scratch / "absolute/train.csv"), "precious") << host;
        EXPECT_EQ(*read_file(scratch / "absolute/deep/test.csv"), "4\n") << host;
        fs::remove_all(scratch / "absolute");
    }
}

TEST_F(DataTest, ALinkInThePlaceOfAFileIsNotWrittenThrough) {
    for (const char* host : {"here", "elsewhere"}) {
        settings.host_id = host;
        scratch.write("victim", "precious");
        fs::create_directories(scratch / "wd/mine");
        fs::create_symlink(scratch / "victim", scratch / "wd/mine/train.csv");
        auto& reference = refer(DataMode::download, "digits");
        reference.path_on_compute = "mine";
        ASSERT_TRUE(prepare());
        reference.overwrite = true;
        ASSERT_TRUE(prepare());
        EXPECT_EQ(*read_file(scratch / "victim"), "precious") << host;
        fs::remove_all(scratch / "wd");
    }
}

// ---- what goes back -------------------------------------------------------------------------------------------------

TEST_F(DataTest, WhatWasWrittenForAnUploadIsSentBackAtTheEnd) {
    auto& reference = refer(DataMode::upload, "results");
    reference.path_on_compute = "to-store";
    reference.overwrite = true;
    ASSERT_EQ(*prepare(), scratch / "wd/to-store");
    scratch.write("wd/to-store/a.txt", "a");
    scratch.write("wd/to-store/sub/b c.txt", "b");
    scratch.write("wd/to-store/odd\nname", "c");
    fs::create_symlink("/etc/passwd", scratch / "wd/to-store/link");
    fs::create_directory_symlink("/etc", scratch / "wd/to-store/folder-link");
    ASSERT_EQ(::mkfifo((scratch / "wd/to-store/pipe").c_str(), 0644), 0);

    ASSERT_TRUE(finish()); // by one that is made anew after a restart

    EXPECT_THAT(put, ElementsAre(Pair("results/a.txt", "a"), Pair("results/odd%250Aname", "c"),
                                 Pair("results/sub/b%20c.txt", "b")));
    EXPECT_THAT(conditions, Each(Pair(_, false)));
    EXPECT_THAT(warnings,
                UnorderedElementsAre(HasSubstr("'data/link': it is a link"),
                                     HasSubstr("'data/folder-link': it is a link"), HasSubstr("'data/pipe'")));
}

TEST_F(DataTest, AnUploadWithoutOverwriteLeavesWhatIsThere) {
    auto& reference = refer(DataMode::upload, "digits");
    reference.path_on_compute = "to-store";
    ASSERT_TRUE(prepare());
    scratch.write("wd/to-store/train.csv", "new");
    scratch.write("wd/to-store/other.csv", "new");

    ASSERT_TRUE(finish());

    EXPECT_THAT(put, ElementsAre(Pair("digits/other.csv", "new")));
    EXPECT_THAT(conditions, Each(Pair(_, true)));
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("'digits/train.csv'")));
}

TEST_F(DataTest, WhatCameThereMeanwhileStaysToo) {
    refer(DataMode::upload, "results").path_on_compute = "to-store";
    ASSERT_TRUE(prepare());
    scratch.write("wd/to-store/a", "new");
    put_answer = {409, R"({"error":{"message":"'results/a' exists already"}})"};

    ASSERT_TRUE(finish());

    EXPECT_THAT(warnings, ElementsAre(HasSubstr("'results/a' is on datastore 'store' already")));
}

// In a container the run sees other things by these names than the agent does.
TEST_F(DataTest, ARunThatPutsLinksOnTheWaySendsNothingOfWhatTheyLeadTo) {
    scratch.write("outside/b/secret", "secret");
    refer(DataMode::upload, "results").path_on_compute = "a/b";
    ASSERT_TRUE(prepare());
    fs::remove_all(scratch / "wd/a");
    fs::create_directory_symlink(scratch / "outside", scratch / "wd/a");

    ASSERT_TRUE(finish());
    fs::remove(scratch / "wd/a");
    fs::create_directories(scratch / "wd/a");
    fs::create_directory_symlink(scratch / "outside/b", scratch / "wd/a/b");
    ASSERT_TRUE(finish());

    EXPECT_THAT(put, IsEmpty());
    EXPECT_THAT(warnings, Each(HasSubstr("link")));
    EXPECT_EQ(warnings.size(), 2U);
}

TEST_F(DataTest, AFolderThatTheRunRemovedIsEmpty) {
    refer(DataMode::upload, "results").path_on_compute = "to-store";
    ASSERT_TRUE(prepare());
    fs::remove_all(scratch / "wd");

    EXPECT_TRUE(finish());
    EXPECT_THAT(put, IsEmpty());
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
