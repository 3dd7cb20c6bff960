// The blob dialect over HTTP: signatures, whole blobs, blocks, lists.
#include "component/server/blob_fixture.hpp"
#include "server/blob/shared_key.hpp"

namespace linarite::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class BlobTest : public BlobFixture {
protected:
    /// Of a blob of the default datastore.
    [[nodiscard]] std::string at(const std::string& name, const std::string& query = "") const {
        return container + "/" + name + "?" + query + (query.empty() ? "" : "&") + sas();
    }
    [[nodiscard]] static std::string code(const Response& answer) {
        const auto found = answer.headers.find("x-ms-error-code");
        return found == answer.headers.end() ? "" : found->second;
    }
    static const Headers blob_marks;
};
const BlobFixture::Headers BlobTest::blob_marks{{"x-ms-version", "2021-08-06"}};

TEST_F(BlobTest, ABlobIsPutLookedAtReadAndDeleted) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response stored = co_await put(at("up/a%20b.txt"), "hello world", {{"x-ms-client-request-id", "me"}});
        EXPECT_EQ(stored.status, 201) << stored.body;
        EXPECT_EQ(stored.headers.at("x-ms-request-server-encrypted"), "true");
        EXPECT_EQ(stored.headers.at("x-ms-version"), "2021-08-06");
        EXPECT_EQ(stored.headers.at("x-ms-client-request-id"), "me");
        EXPECT_TRUE(stored.headers.contains("last-modified") && stored.headers.contains("x-ms-request-id"));
        const std::string etag = stored.headers.at("etag");
        EXPECT_TRUE(etag.starts_with("\"0x") && etag.ends_with('"')) << etag;
        EXPECT_EQ(read_file(folder_.root() / "datastores/workspaceblobstore/up/a b.txt").value(), "hello world");

        const Response head = co_await raw("HEAD", at("up/a%20b.txt"));
        EXPECT_EQ(head.status, 200);
        EXPECT_EQ(head.headers.at("content-length"), "11");
        EXPECT_EQ(head.headers.at("etag"), etag);
        EXPECT_EQ(head.headers.at("x-ms-blob-type"), "BlockBlob");
        EXPECT_EQ(head.headers.at("x-ms-lease-state"), "available");
        EXPECT_EQ(head.headers.at("x-ms-lease-status"), "unlocked");
        EXPECT_TRUE(head.headers.contains("x-ms-creation-time"));

        const Response part = co_await raw("GET", at("up/a%20b.txt"), "", {{"x-ms-range", "bytes=6-33554431"}});
        EXPECT_EQ(part.status, 206);
        EXPECT_EQ(part.body, "world");
        EXPECT_EQ(part.headers.at("content-range"), "bytes 6-10/11");
        const Response changed = co_await raw("GET", at("up/a%20b.txt"), "", {{"If-Match", "\"0x1\""}});
        EXPECT_EQ(changed.status, 412);

        const Response removed = co_await raw("DELETE", at("up/a%20b.txt"));
        EXPECT_EQ(removed.status, 202) << removed.body;
        const Response gone = co_await raw("GET", at("up/a%20b.txt"));
        EXPECT_EQ(gone.status, 404);
        EXPECT_EQ(code(gone), "BlobNotFound");
        EXPECT_THAT(gone.body, HasSubstr("<Error><Code>BlobNotFound</Code>"));
        const Response gone_head = co_await raw("HEAD", at("up/a%20b.txt"));
        EXPECT_EQ(gone_head.status, 404);
        EXPECT_EQ(code(gone_head), "BlobNotFound");
    });
}

TEST_F(BlobTest, AnEmptyBlobHasNoRange) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response stored = co_await put(at("empty"), "");
        EXPECT_EQ(stored.status, 201) << stored.body;
        const Response part = co_await raw("GET", at("empty"), "", {{"x-ms-range", "bytes=0-33554431"}});
        EXPECT_EQ(part.status, 416);
        EXPECT_EQ(code(part), "InvalidRange");
        const Response whole = co_await raw("GET", at("empty"));
        EXPECT_EQ(whole.status, 200);
        EXPECT_EQ(whole.body, "");
    });
}

TEST_F(BlobTest, WhatMustBeNewIsNotWrittenOver) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response first = co_await put(at("x"), "one", {{"If-None-Match", "*"}});
        EXPECT_EQ(first.status, 201);
        const Response again = co_await put(at("x"), "two", {{"If-None-Match", "*"}});
        EXPECT_EQ(again.status, 409);
        EXPECT_EQ(code(again), "BlobAlreadyExists");
        const Response other = co_await put(at("x"), "two", {{"If-Match", "\"0x123\""}});
        EXPECT_EQ(other.status, 412);
        const Response over = co_await put(at("x"), "two", {{"If-Match", first.headers.at("etag")}});
        EXPECT_EQ(over.status, 201);
        const Response read = co_await raw("GET", at("x"));
        EXPECT_EQ(read.body, "two");
    });
}

TEST_F(BlobTest, ABodyWithOtherHashesIsNotKept) {
    with_coordinator([this]() -> asio::awaitable<void> {
        // of "abc", by md5sum and sha256sum
        const std::string md5 = "kAFQmDzST7DWlj99KOF/cg==";
        const std::string sha256 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        const Response good = co_await put(at("good"), "abc", {{"Content-MD5", md5}, {"Content-sha256", sha256}});
        EXPECT_EQ(good.status, 201) << good.body;
        EXPECT_EQ(good.headers.at("content-md5"), md5);
        const Response bad_md5 = co_await put(at("bad"), "abd", {{"Content-MD5", md5}});
        EXPECT_EQ(bad_md5.status, 400);
        const Response bad_sha = co_await put(at("bad"), "abd", {{"Content-sha256", sha256}});
        EXPECT_EQ(bad_sha.status, 400);
        const Response none = co_await raw("HEAD", at("bad"));
        EXPECT_EQ(none.status, 404);
    });
}

TEST_F(BlobTest, BlocksBecomeABlobInTheOrderOfTheList) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::string large(std::size_t{1} << 20U, 'x');
        const std::map<std::string, std::string> blocks{{"QUFB", "one,"}, {"QUFC", large}, {"QUFD", ",three"}};
        for (const auto& [id, bytes] : blocks) {
            const Response sent = co_await put(at("big", "comp=block&blockid=" + id), bytes);
            EXPECT_EQ(sent.status, 201) << sent.body;
        }
        const Response hidden = co_await raw("HEAD", at("big"));
        EXPECT_EQ(hidden.status, 404) << "blocks are no blob";
        const std::string unknown = "<BlockList><Latest>QUFB</Latest><Latest>WFla</Latest></BlockList>";
        const Response refused = co_await put(at("big", "comp=blocklist"), unknown);
        EXPECT_EQ(refused.status, 400);
        EXPECT_EQ(code(refused), "InvalidBlockList");

        const std::string list = "<?xml version='1.0' encoding='utf-8'?><BlockList><Latest>QUFB</Latest>"
                                 "<Latest>QUFC</Latest><Latest>QUFD</Latest></BlockList>";
        const Response done = co_await put(at("big", "comp=blocklist"), list);
        EXPECT_EQ(done.status, 201) << done.body;
        const Response read = co_await raw("GET", at("big"));
        EXPECT_EQ(read.body, "one," + large + ",three");
        EXPECT_TRUE(fs::is_empty(folder_.root() / "blocks")) << "what was put together is forgotten";
        const Response bad_id = co_await put(at("big", "comp=block&blockid=%21"), "x");
        EXPECT_EQ(bad_id.status, 400);
    });
}

TEST_F(BlobTest, ListsByPrefixPageAndFolder) {
    with_coordinator([this]() -> asio::awaitable<void> {
        for (const char* name : {"up/a", "up/b%26c", "up/sub/d", "up/sub/e", "other"}) {
            const Response stored = co_await put(at(name), "x");
            EXPECT_EQ(stored.status, 201) << name;
        }
        const std::string list = container + "?restype=container&comp=list&" + sas();
        const Response all = co_await raw("GET", list + "&prefix=up%2F");
        EXPECT_EQ(all.status, 200);
        EXPECT_EQ(all.headers.at("content-type"), "application/xml");
        EXPECT_THAT(all.body, HasSubstr("<Name>up/a</Name>"));
        EXPECT_THAT(all.body, HasSubstr("<Name>up/b&amp;c</Name>"));
        EXPECT_THAT(all.body, HasSubstr("<Name>up/sub/e</Name>"));
        EXPECT_THAT(all.body, Not(HasSubstr("other")));
        EXPECT_THAT(all.body, HasSubstr("<NextMarker/>"));

        const Response folders = co_await raw("GET", list + "&prefix=up%2F&delimiter=%2F");
        EXPECT_THAT(folders.body, HasSubstr("<BlobPrefix><Name>up/sub/</Name></BlobPrefix>"));
        EXPECT_THAT(folders.body, Not(HasSubstr("up/sub/d")));

        const Response first = co_await raw("GET", list + "&maxresults=2");
        EXPECT_THAT(first.body, HasSubstr("<Name>other</Name>"));
        EXPECT_THAT(first.body, HasSubstr("<Name>up/a</Name>"));
        EXPECT_THAT(first.body, Not(HasSubstr("up/b")));
        const std::size_t from = first.body.find("<NextMarker>") + 12;
        std::string marker = first.body.substr(from, first.body.find('<', from) - from);
        std::erase(marker, '\n');
        const Response second = co_await raw("GET", list + "&marker=" + marker);
        EXPECT_THAT(second.body, Not(HasSubstr("<Name>up/a</Name>")));
        EXPECT_THAT(second.body, HasSubstr("<Name>up/b&amp;c</Name>"));
        const Response bad = co_await raw("GET", list + "&maxresults=0");
        EXPECT_EQ(bad.status, 400);
    });
}

TEST_F(BlobTest, AContainerIsThereAndIsNotMadeTwice) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response shown = co_await signed_by_key("GET", container + "?restype=container");
        EXPECT_EQ(shown.status, 200) << shown.body;
        EXPECT_TRUE(shown.headers.contains("etag"));
        const Response made = co_await signed_by_key("PUT", container + "?restype=container");
        EXPECT_EQ(made.status, 409);
        EXPECT_EQ(code(made), "ContainerAlreadyExists");
        const Response unknown = co_await signed_by_key("GET", "/nowhere?restype=container");
        EXPECT_EQ(unknown.status, 404);
        EXPECT_EQ(code(unknown), "ContainerNotFound");
    });
}

TEST_F(BlobTest, TheAccountsKeyOpensItsContainersForTheSignedRequestAlone) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response stored = co_await signed_by_key("PUT", container + "/by%20key%2B.txt?timeout=30", "abc",
                                                       {{"x-ms-blob-type", "BlockBlob"}});
        EXPECT_EQ(stored.status, 201) << stored.body;
        const Response read = co_await signed_by_key("GET", container + "/by%20key%2B.txt");
        EXPECT_EQ(read.body, "abc");
        // an old request, and one whose signature is of another account
        const std::string old = blob::print_http_date(SystemClock().now() - std::chrono::hours(1));
        const Response late = co_await signed_by_key("GET", container + "/by%20key%2B.txt", "", {{"x-ms-date", old}});
        EXPECT_EQ(late.status, 403);
        EXPECT_EQ(code(late), "AuthenticationFailed");
        const std::string now = blob::print_http_date(SystemClock().now());
        const Headers forged{
            {"x-ms-version", "2021-08-06"}, {"x-ms-date", now}, {"Authorization", "SharedKey linarite:AAAA"}};
        const Response foreign = co_await raw("GET", container + "/by%20key%2B.txt", "", forged);
        EXPECT_EQ(foreign.status, 403);
        EXPECT_THAT(foreign.body, HasSubstr("<Code>AuthenticationFailed</Code>"));
    });
}

TEST_F(BlobTest, ASignatureForAContainerAllowsWhatItsLettersSay) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::string x = container + "/x?";
        const Response created = co_await put(x + sas("c"), "one");
        EXPECT_EQ(created.status, 201) << created.body;
        const Response over = co_await put(x + sas("c"), "two");
        EXPECT_EQ(over.status, 409) << "creating is not writing over";
        for (const auto& [method, rights] : std::map<std::string, std::string>{{"GET", "wdl"}, {"DELETE", "rwl"}}) {
            const Response refused = co_await raw(method, x + sas(rights));
            EXPECT_EQ(refused.status, 403) << method;
            EXPECT_EQ(code(refused), "AuthorizationPermissionMismatch") << method;
        }
        const Response unlisted = co_await raw("GET", container + "?restype=container&comp=list&" + sas("rwd"));
        EXPECT_EQ(unlisted.status, 403);
        std::string widened = sas("r");
        widened.replace(widened.find("sp=r"), 4, "sp=rw");
        const Response forged = co_await put(x + widened, "three");
        EXPECT_EQ(forged.status, 403);
        EXPECT_EQ(code(forged), "AuthenticationFailed");
    });
}

TEST_F(BlobTest, WithoutASignatureNothingIsSaidOfWhatExists) {
    with_coordinator([this]() -> asio::awaitable<void> {
        for (const std::string& target :
             {container + "/x", std::string("/nowhere/x"), std::string("/azureml-artifacts/eA/0"),
              std::string("/azureml-snapshots/00")}) {
            const Response refused = co_await raw("GET", target, "", blob_marks);
            EXPECT_EQ(refused.status, 403) << target;
            EXPECT_EQ(code(refused), "AuthenticationFailed") << target;
        }
        const Response plain = co_await raw("GET", "/nowhere/x");
        EXPECT_EQ(plain.status, 401) << "no request of this dialect";
        const Response api = co_await raw("GET", "/api/v1/nowhere", "", blob_marks);
        EXPECT_EQ(api.status, 401) << "the API's paths are no containers";
        const Response with_token = co_await ask("GET", "/api/v1/nowhere");
        EXPECT_EQ(with_token.status, 404);
    });
}

TEST_F(BlobTest, NoNameLeadsOutOfTheDatastore) {
    with_coordinator([this]() -> asio::awaitable<void> {
        for (const char* name : {"../token", "..%2Ftoken", "a/../../token", "%2e%2e/%2e%2e/token", "a%00b", "a%5Cb",
                                 ".tmp-linarite-0123456789abcdef"}) {
            const Response stored = co_await put(at(name), "evil");
            EXPECT_THAT(stored.status, AnyOf(400, 403)) << name;
            const Response read = co_await raw("GET", at(name));
            EXPECT_THAT(read.status, AnyOf(400, 403)) << name;
        }
        EXPECT_NE(read_file(folder_ / "token").value().substr(0, 4), "evil");
        fs::create_symlink(folder_ / "token", folder_.root() / "datastores/workspaceblobstore/link");
        const Response linked = co_await raw("GET", at("link"));
        EXPECT_NE(linked.status, 200);
    });
}

TEST_F(BlobTest, OtherKindsOfBlobsAndOperationsAreRefused) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response append = co_await put(at("x"), "", {{"x-ms-blob-type", "AppendBlob"}});
        EXPECT_EQ(append.status, 400);
        const Response untyped = co_await raw("PUT", at("x"), "abc", blob_marks);
        EXPECT_EQ(code(untyped), "MissingRequiredHeader");
        const Response lease = co_await raw("PUT", at("x", "comp=lease"), "", blob_marks);
        EXPECT_EQ(lease.status, 400);
        EXPECT_EQ(code(lease), "UnsupportedQueryParameter");
    });
}

} // namespace
} // namespace linarite::test
