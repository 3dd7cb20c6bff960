// The artifact service: links to send and fetch the files of runs.
#include "common/files.hpp"
#include "component/server/blob_fixture.hpp"

namespace linarite::test {
namespace {

using ::testing::HasSubstr;

class ArtifactTest : public BlobFixture {
protected:
    [[nodiscard]] static std::string service(const std::string& rest) {
        return "/artifact/v2.0" + scope + "/artifacts" + rest;
    }
    /// A link to send the file to.
    asio::awaitable<std::string> upload_target(std::string run, std::string path) {
        const Json answer = co_await must(200, "POST", service("/batch/metadata/ExperimentRun/dcid." + run),
                                          Json{{"paths", Json::array({Json{{"path", path}}})}});
        EXPECT_EQ(answer.at("artifacts").at(path).at("artifactId"), "ExperimentRun/dcid." + run + "/" + path);
        EXPECT_TRUE(answer.at("errors").empty());
        co_return target_of(answer.at("artifactContentInformation").at(path).at("contentUri"));
    }
    asio::awaitable<std::string> read_target(std::string run, std::string path) {
        const Json info = co_await must(200, "GET", service("/contentinfo/ExperimentRun/dcid." + run + "/" + path));
        co_return target_of(info.value("contentUri", ""));
    }
};

TEST_F(ArtifactTest, AFileIsSentByLinkListedAndFetched) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const std::string target = co_await upload_target("r1", "outputs/a b+ü.txt");

        const Response stored = co_await put(target, "hello world", {{"If-None-Match", "*"}});
        EXPECT_EQ(stored.status, 201) << stored.body;
        const Response head = co_await raw("HEAD", target);
        EXPECT_EQ(head.status, 200) << "who sends may look whether all has arrived";
        EXPECT_EQ(head.headers.at("content-length"), "11");
        const Response peek = co_await raw("GET", target);
        EXPECT_EQ(peek.status, 403) << "but not read";

        const Json list = co_await must(200, "GET", service("/ExperimentRun/dcid.r1"));
        EXPECT_EQ(list.at("value").size(), 1U);
        EXPECT_EQ(list.at("value")[0].at("path"), "outputs/a b+ü.txt");
        EXPECT_TRUE(list.at("continuationToken").is_null());
        const std::string link = co_await read_target("r1", "outputs/a%20b+%C3%BC.txt");
        const Response part = co_await raw("GET", link, "", {{"x-ms-range", "bytes=0-4"}});
        EXPECT_EQ(part.status, 206);
        EXPECT_EQ(part.body, "hello");
        const Response write = co_await put(link, "evil");
        EXPECT_EQ(write.status, 403) << "a link to read is none to write";
        const Json native = co_await must(200, "GET", "/api/v1/runs/r1/files");
        EXPECT_EQ(native.at("files")[0].at("sha256"), sha256_hex("hello world"));
    });
}

TEST_F(ArtifactTest, TheSameNameTwiceIsAConflictEvenThroughAnotherLink) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const std::string first = co_await upload_target("r1", "x");
        const std::string second = co_await upload_target("r1", "x");
        EXPECT_NE(first, second);
        const Response stored = co_await put(first, "one", {{"If-None-Match", "*"}});
        EXPECT_EQ(stored.status, 201);
        const Response again = co_await put(second, "two", {{"If-None-Match", "*"}});
        EXPECT_EQ(again.status, 409);
        EXPECT_EQ(again.headers.at("x-ms-error-code"), "BlobAlreadyExists");
        const Response block = co_await put(second + "&comp=block&blockid=QUFB", "two");
        EXPECT_EQ(block.status, 201) << block.body;
        const Response list = co_await put(second + "&comp=blocklist", "<BlockList><Latest>QUFB</Latest></BlockList>",
                                           {{"If-None-Match", "*"}});
        EXPECT_EQ(list.status, 409);
    });
}

TEST_F(ArtifactTest, WhatTheNodeIsWritingIsServedByLinesAndNotWrittenOver) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1");
        co_await submit("r1");
        const proto::SyncAnswer wanted = co_await sync(*agent, picture("n1"));
        EXPECT_EQ(wanted.runs.size(), 1U);
        const Fence fence = wanted.runs.at(0).fence;
        const std::string log = "azureml-logs/70_driver_log.txt";
        const Response brought = co_await bring(*agent, "r1", fence, log, "line one\nline tw");
        EXPECT_EQ(brought.status, 200) << brought.body;
        co_await bring(*agent, "r1", fence, "logs/x.bin", "half a li");

        const std::string link = co_await read_target("r1", log);
        const Response lines = co_await raw("GET", link);
        EXPECT_EQ(lines.body, "line one\n");
        const std::string other = co_await read_target("r1", "logs/x.bin");
        const Response bytes = co_await raw("GET", other);
        EXPECT_EQ(bytes.body, "half a li") << "no log that a client prints line by line";
        const std::string target = co_await upload_target("r1", log);
        const Response over = co_await put(target, "evil");
        EXPECT_EQ(over.status, 409) << over.body;

        const std::string whole = "line one\nline two";
        const Response finished = co_await bring(*agent, "r1", fence, log, "o", 16, sha256_hex(whole));
        EXPECT_EQ(finished.status, 200) << finished.body;
        const Response all = co_await raw("GET", link);
        EXPECT_EQ(all.body, whole);
    });
}

TEST_F(ArtifactTest, AFileThatIsBeingReplacedIsServedWholeBeforeItsRowFollows) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const std::string target = co_await upload_target("r1", "outputs/state.json");
        co_await put(target, "{\"step\": 10}");
        const std::string native = "/api/v1/runs/r1/files/outputs/state.json";
        const std::string link = co_await read_target("r1", "outputs/state.json");
        const std::string etag = (co_await raw("GET", link)).headers.at("etag");

        for (const std::string now : {"{\"step\": 100}", "{\"step\": 1}", "{\"step\": 99}"}) {
            // it has its name already, and no row tells of it: as on the way of an upload
            EXPECT_TRUE(write_file_durably(folder_ / "runs/r1/outputs/state.json", now));

            const Response by_link = co_await raw("GET", link);
            EXPECT_EQ(by_link.body, now);
            EXPECT_NE(by_link.headers.at("etag"), etag);
            const Response by_name = co_await ask("GET", native);
            EXPECT_EQ(by_name.body, now);
            const Response part = co_await raw("GET", link, "", {{"If-Match", etag}, {"x-ms-range", "bytes=2-3"}});
            EXPECT_EQ(part.status, 412) << "the first part was of another file";
        }
    });
}

TEST_F(ArtifactTest, ListsByPrefixAndSaysWhatIsMissing) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        for (const char* path : {"user_logs/std_log.txt", "user_logs2/x", "outputs/m"}) {
            const std::string target = co_await upload_target("r1", path);
            const Response stored = co_await put(target, path);
            EXPECT_EQ(stored.status, 201);
        }
        const std::string prefix = service("/prefix/contentinfo/ExperimentRun/dcid.r1");
        const Json logs = co_await must(200, "GET", prefix + "/user_logs/");
        EXPECT_EQ(logs.at("value").size(), 1U) << logs.dump();
        const Json open = co_await must(200, "GET", prefix + "/user_logs");
        EXPECT_EQ(open.at("value").size(), 2U);
        const Json all = co_await must(200, "GET", prefix);
        EXPECT_EQ(all.at("value").size(), 3U);
        const Response read = co_await raw("GET", target_of(all.at("value")[0].at("contentUri")));
        EXPECT_EQ(read.body, "outputs/m");
        const Json none = co_await must(200, "GET", prefix + "/system_logs");
        EXPECT_TRUE(none.at("value").empty());

        const Response missing = co_await ask("GET", service("/contentinfo/ExperimentRun/dcid.r1/outputs/none"));
        EXPECT_EQ(missing.status, 404);
        EXPECT_THAT(missing.body, HasSubstr("Artifact ExperimentRun/dcid.r1/outputs/none not found"));
        const Json meta = co_await must(200, "GET", service("/metadata/ExperimentRun/dcid.r1/outputs/m"));
        EXPECT_EQ(meta.at("path"), "outputs/m");
    });
}

TEST_F(ArtifactTest, APercentSignInANameMayComeUnescaped) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const std::string target = co_await upload_target("r1", "outputs/a%20b/c");
        const Response stored = co_await put(target, "x");
        EXPECT_EQ(stored.status, 201);
        const Json raw_name = co_await must(200, "GET", service("/contentinfo/ExperimentRun/dcid.r1/outputs/a%20b/c"));
        EXPECT_EQ(raw_name.at("path"), "outputs/a%20b/c");
        const Json escaped = co_await must(200, "GET", service("/contentinfo/ExperimentRun/dcid.r1/outputs/a%2520b/c"));
        EXPECT_EQ(escaped.at("path"), "outputs/a%20b/c");
    });
}

TEST_F(ArtifactTest, HostileNamesAndUnknownContainersAreRefused) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const Json paths =
            Json::array({Json{{"path", "../../token"}}, Json{{"path", "/etc/passwd"}}, Json{{"path", "ok"}}});
        const Json answer =
            co_await must(200, "POST", service("/batch/metadata/ExperimentRun/dcid.r1"), Json{{"paths", paths}});
        EXPECT_EQ(answer.at("errors").size(), 2U) << answer.dump();
        EXPECT_EQ(answer.at("artifacts").size(), 1U);
        for (const char* container : {"/ExperimentRun/dcid.none", "/ExperimentRun/r1"}) {
            const Response unknown = co_await ask("GET", service(container));
            EXPECT_EQ(unknown.status, 404) << container;
        }
        const Response other = co_await ask("GET", service("/Other/dcid.r1"));
        EXPECT_EQ(other.status, 400);
        EXPECT_NE(words(Json::parse(other.body)).find("origin ExperimentRun"), std::string::npos) << other.body;
    });
}

TEST_F(ArtifactTest, ARunReachesItsOwnFilesAlone) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1");
        co_await submit("r1");
        co_await submit("r2");
        const proto::SyncAnswer wanted = co_await sync(*agent, picture("n1"));
        EXPECT_EQ(wanted.runs.size(), 1U);
        HttpClient run(executor_, client::Address{url_, wanted.runs.at(0).variables.at("AZUREML_RUN_TOKEN"), ""});
        const Json paths{{"paths", Json::array({Json{{"path", "x"}}})}};
        for (const char* mine : {"/ExperimentRun/dcid.r1", "/prefix/contentinfo/ExperimentRun/dcid.r1/outputs"}) {
            const auto answer = co_await run.call("GET", service(mine));
            EXPECT_TRUE(answer) << mine << (answer ? "" : answer.error().detail());
        }
        const auto given = co_await run.call("POST", service("/batch/metadata/ExperimentRun/dcid.r1"), paths);
        EXPECT_TRUE(given);
        for (const char* other : {"/ExperimentRun/dcid.r2", "/prefix/contentinfo/ExperimentRun/dcid.r2",
                                  "/contentinfo/ExperimentRun/dcid.r2/x", "/metadata/ExperimentRun/dcid.none/x"}) {
            const auto answer = co_await run.call("GET", service(other));
            EXPECT_FALSE(answer) << other;
            EXPECT_EQ(answer.error().code(), Errc::not_found) << other;
        }
        const auto refused = co_await run.call("POST", service("/batch/metadata/ExperimentRun/dcid.r2"), paths);
        EXPECT_EQ(refused.error().code(), Errc::not_found);

        co_await send_snapshot("11111111-0000-4000-8000-000000000001", {{"secret.py", "1"}});
        const std::string zip = "/content/v2.0" + scope + "/snapshots/11111111-0000-4000-8000-000000000001/zip";
        const auto foreign = co_await run.call("POST", zip);
        EXPECT_EQ(foreign.error().code(), Errc::not_found) << "not the snapshot of this run";
    });
}

TEST_F(ArtifactTest, ALinkIsForItsFileItsRightAndItsTime) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await ready_node("n1");
        co_await submit("r1");
        const std::string target = co_await upload_target("r1", "x");
        const Response stored = co_await put(target, "x");
        EXPECT_EQ(stored.status, 201);
        const std::string link = co_await read_target("r1", "x");
        const std::string path = link.substr(0, link.find('?'));
        const std::string signature = link.substr(link.find("sig=") + 4);

        const std::string expired = path + "?sv=linarite-1&sp=r&se=1000000000&sig=" + signature;
        const Response late = co_await raw("GET", expired);
        EXPECT_EQ(late.status, 403);
        EXPECT_EQ(late.headers.at("x-ms-error-code"), "AuthenticationFailed");
        const std::string other = "/azureml-artifacts/cjEAdG9rZW4/0" + link.substr(link.find('?'));
        const Response foreign = co_await raw("GET", other);
        EXPECT_EQ(foreign.status, 403);
        std::string widened = link;
        widened.replace(widened.find("sp=r"), 4, "sp=w");
        const Response written = co_await put(widened, "evil");
        EXPECT_EQ(written.status, 403);
        const Response removed = co_await raw("DELETE", link);
        EXPECT_EQ(removed.status, 403);
    });
}

} // namespace
} // namespace linarite::test
