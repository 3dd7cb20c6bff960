#include "cli/run_lookup.hpp"
#include "cli/snapshot_upload.hpp"
#include "cli/transfer.hpp"
#include "common/hash.hpp"
#include "fake_connection.hpp"
#include "proto/frames.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RemoteFile remote(const std::string& name, const std::string& content) {
    return {"/files/" + name, name, content.size(), sha256_hex(content), ""};
}

std::vector<std::string> entries(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        names.push_back(entry.path().lexically_relative(folder).string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

TEST(DownloadTest, FilesKeepTheirNamesBelowTheFolderAndReplaceOldOnes) {
    TempFolder folder;
    folder.write("outputs/a.txt", "old");
    FakeConnection connection;
    connection.streams.push_back({{"ne", "w"}, {}});

    const auto places = download_files(connection, {remote("outputs/a.txt", "new")}, folder.path(), Terminal());

    ASSERT_TRUE(places) << places.error().detail();
    EXPECT_THAT(*places, ElementsAre(folder.path() / "outputs/a.txt"));
    EXPECT_EQ(folder.read("outputs/a.txt"), "new");
    EXPECT_THAT(entries(folder.path()), ElementsAre("outputs", "outputs/a.txt"));
}

TEST(DownloadTest, DamagedOrHalfFilesLeaveNothingBehind) {
    TempFolder folder;
    FakeConnection connection;
    connection.streams.push_back({{"bad"}, {}});
    connection.streams.push_back({{"ne"}, Error(Errc::unavailable, "broke")});

    EXPECT_THAT(download_files(connection, {remote("a", "new")}, folder.path(), Terminal()).error().detail(),
                HasSubstr("SHA-256"));
    EXPECT_EQ(download_files(connection, {remote("a", "new")}, folder.path(), Terminal()).error().code(),
              Errc::unavailable);
    EXPECT_THAT(entries(folder.path()), ElementsAre());
}

RemoteFile replaceable(const std::string& name, const std::string& content) {
    RemoteFile file = remote(name, content);
    file.list = "/list";
    return file;
}

Json list_of(const std::string& name, const std::string& content) {
    return {{"files", Json::array({{{"path", name + "2"}, {"size", 1}, {"sha256", sha256_hex("x")}},
                                   {{"path", name}, {"size", content.size()}, {"sha256", sha256_hex(content)}}})}};
}

TEST(DownloadTest, AFileThatWasReplacedSinceItWasListedIsTakenAsItIs) {
    TempFolder folder;
    FakeConnection connection;
    connection.streams.push_back({{"newer"}, {}});
    connection.answers["GET /list"].push_back(list_of("a", "newer"));

    const auto places = download_files(connection, {replaceable("a", "new")}, folder.path(), Terminal());

    ASSERT_TRUE(places) << places.error().detail();
    EXPECT_EQ(folder.read("a"), "newer");
    EXPECT_EQ(connection.pauses, 0);
}

TEST(DownloadTest, AFileIsDownloadedAgainUntilItIsTheListedOne) {
    TempFolder folder;
    FakeConnection connection;
    connection.streams.push_back({{"newer"}, {}}); // of which the list does not tell yet
    connection.streams.push_back({{"newer"}, {}});
    connection.answers["GET /list"].push_back(list_of("a", "new"));
    connection.answers["GET /list"].push_back(list_of("a", "newer"));

    const auto places = download_files(connection, {replaceable("a", "new")}, folder.path(), Terminal());

    ASSERT_TRUE(places) << places.error().detail();
    EXPECT_EQ(folder.read("a"), "newer");
    EXPECT_EQ(connection.pauses, 1);
}

TEST(DownloadTest, AFileThatNeverIsTheListedOneIsGivenUp) {
    TempFolder folder;
    FakeConnection connection;
    for (int i = 0; i < 21; ++i) {
        connection.streams.push_back({{"bad"}, {}});
    }
    connection.answers["GET /list"].push_back(list_of("a", "new"));
    EXPECT_THAT(download_files(connection, {replaceable("a", "new")}, folder.path(), Terminal()).error().detail(),
                HasSubstr("damaged"));
    connection.answers["GET /list"] = {list_of("a", "newer")};
    EXPECT_THAT(download_files(connection, {replaceable("a", "new")}, folder.path(), Terminal()).error().detail(),
                HasSubstr("replaced again and again"));
    connection.answers["GET /list"] = {list_of("b", "new")};
    EXPECT_THAT(download_files(connection, {replaceable("a", "new")}, folder.path(), Terminal()).error().detail(),
                HasSubstr("was removed"));
    EXPECT_THAT(entries(folder.path()), ElementsAre());
}

TEST(DownloadTest, NamesThatWouldLeaveTheFolderAreRefused) {
    TempFolder folder;
    TempFolder elsewhere;
    fs::create_directory_symlink(elsewhere.path(), folder.path() / "link");

    EXPECT_FALSE(place_below(folder.path(), "../a"));
    EXPECT_FALSE(place_below(folder.path(), "/etc/passwd"));
    EXPECT_FALSE(place_below(folder.path(), "a/../../b"));
    EXPECT_THAT(place_below(folder.path(), "link/a").error().detail(), HasSubstr("symbolic link"));
    EXPECT_EQ(place_below(folder.path(), "x/y/z").value(), folder.path() / "x/y/z");
    EXPECT_THAT(entries(elsewhere.path()), ElementsAre());
}

TEST(DownloadTest, ANameMeansAFileOrAWholeFolder) {
    EXPECT_TRUE(is_or_is_below("outputs/a", "outputs"));
    EXPECT_TRUE(is_or_is_below("outputs/a", "outputs/a"));
    EXPECT_FALSE(is_or_is_below("outputs2/a", "outputs"));
    EXPECT_TRUE(is_or_is_below("anything", ""));
}

TEST(UploadTest, AFolderIsNamedBelowItsPrefixAndAFileByItsOwnName) {
    TempFolder folder;
    folder.write("b.csv", "22");
    folder.write("x/a.csv", "1");

    const auto tree = list_local(folder.path(), "digits").value();
    const auto into = list_local(folder.path() / "b.csv", "digits/").value();
    const auto as = list_local(folder.path() / "b.csv", "digits/c.csv").value();

    ASSERT_EQ(tree.size(), 2);
    EXPECT_EQ(tree[0].name, "digits/b.csv");
    EXPECT_EQ(tree[0].size, 2);
    EXPECT_EQ(tree[1].name, "digits/x/a.csv");
    EXPECT_EQ(into[0].name, "digits/b.csv");
    EXPECT_EQ(as[0].name, "digits/c.csv");
    EXPECT_EQ(list_local(folder.path() / "none", "").error().code(), Errc::invalid_argument);
    EXPECT_EQ(list_local(folder.path() / "b.csv", "../x").error().code(), Errc::invalid_argument);
}

TEST(UploadTest, EachFileIsPutUnderItsEncodedName) {
    TempFolder folder;
    folder.write("a b.txt", "content");
    FakeConnection connection;
    connection.answers["PUT /store/x/a%20b.txt"] = {Json()};

    const auto files = list_local(folder.path(), "x").value();

    ASSERT_TRUE(upload_files(connection, files, "/store/", Terminal()));
    EXPECT_EQ(connection.uploaded, "content");
}

TEST(SnapshotUploadTest, SendsOnlyWhatIsMissingAndAsksAgain) {
    TempFolder folder;
    folder.write("a.py", "aaa");
    folder.write("b.py", "bbb");
    folder.write("empty", "");
    const SourceTree tree = read_source_tree(folder.path(), Terminal()).value();
    FakeConnection connection;
    connection.answers["POST /api/v1/snapshots"] = {
        Json{{"id", "s1"}, {"missing", {sha256_hex("bbb"), sha256_hex("")}}}, Json{{"id", "s1"}}};
    connection.answers["POST /api/v1/snapshots/blobs"] = {Json{{"stored", 2}}};

    const auto id = send_snapshot(connection, tree, Terminal());

    ASSERT_TRUE(id) << id.error().detail();
    EXPECT_EQ(*id, "s1");
    EXPECT_THAT(connection.asked,
                ElementsAre("POST /api/v1/snapshots", "POST /api/v1/snapshots/blobs", "POST /api/v1/snapshots"));
    proto::FrameReader reader;
    reader.feed(connection.uploaded);
    std::vector<std::string> sent;
    while (const auto piece = reader.next().value()) {
        if (piece->is_header) {
            sent.push_back(reader.header().sha256 == reader.header().path ? reader.header().path : "bad");
        } else {
            EXPECT_EQ(piece->bytes, "bbb");
        }
    }
    EXPECT_TRUE(reader.at_boundary());
    EXPECT_THAT(sent, ElementsAre(sha256_hex("bbb"), sha256_hex("")));
}

TEST(SnapshotUploadTest, AFileThatChangedMeanwhileIsNamed) {
    TempFolder folder;
    folder.write("a.py", "aaa");
    const SourceTree tree = read_source_tree(folder.path(), Terminal()).value();
    folder.write("a.py", "xxx");
    FakeConnection connection;
    connection.answers["POST /api/v1/snapshots"] = {Json{{"id", "s1"}, {"missing", {sha256_hex("aaa")}}}};

    EXPECT_THAT(send_snapshot(connection, tree, Terminal()).error().detail(), HasSubstr("a.py' changed"));
}

class FindRunTest : public testing::Test {
protected:
    static Json run(const std::string& id) { return Json{{"run_id", id}, {"status", "Running"}}; }

    FakeConnection connection_;
};

TEST_F(FindRunTest, TakesAWholeIdWithoutSearching) {
    connection_.answers["GET /api/v1/runs/r1"] = {run("r1")};

    EXPECT_EQ(find_run(connection_, "r1").value()["run_id"], "r1");
    EXPECT_THAT(connection_.asked, ElementsAre("GET /api/v1/runs/r1"));
}

TEST_F(FindRunTest, TakesAPartThatOnlyOneHas) {
    connection_.answers["GET /api/v1/runs?limit=100&text=3f"] = {Json{{"runs", {run("mnist_1_3f2a"), run("other")}}}};

    EXPECT_EQ(find_run(connection_, "3f").value()["run_id"], "mnist_1_3f2a");
}

TEST_F(FindRunTest, NamesTheCandidatesOfAnAmbiguousPart) {
    connection_.answers["GET /api/v1/runs?limit=100&text=mnist"] = {Json{{"runs", {run("mnist_1"), run("mnist_2")}}}};

    const auto found = find_run(connection_, "mnist");

    EXPECT_EQ(found.error().code(), Errc::invalid_argument);
    EXPECT_THAT(found.error().detail(), HasSubstr("mnist_1\n  mnist_2"));
}

TEST_F(FindRunTest, SaysThatThereIsNone) {
    connection_.answers["GET /api/v1/runs?limit=100&text=x%2Fy"] = {Json{{"runs", Json::array()}}};

    EXPECT_EQ(find_run(connection_, "x/y").error().code(), Errc::not_found);
    EXPECT_EQ(find_run(connection_, "").error().code(), Errc::invalid_argument);
}

} // namespace
} // namespace linarite::cli
