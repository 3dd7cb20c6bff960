// The content service: source trees from the SDK, and back as archives.
#include "component/server/blob_fixture.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h> // NOLINT(modernize-deprecated-headers): newlocale is POSIX

namespace linarite::test {
namespace {

using ::testing::HasSubstr;

constexpr const char* first_id = "11111111-0000-4000-8000-000000000001";
constexpr const char* second_id = "22222222-0000-4000-8000-000000000002";

class SnapshotTest : public BlobFixture {
protected:
    static std::string content(const std::string& version, const std::string& rest) {
        return "/content/" + version + scope + "/snapshots/" + rest;
    }
    /// What the archive of a snapshot holds.
    asio::awaitable<std::map<std::string, std::string>> unzip(std::string id) {
        const Json answer = co_await must(200, "POST", content("v2.0", id + "/zip"));
        const Response zip = co_await raw("GET", target_of(answer.at("zipSasUri")));
        EXPECT_EQ(zip.status, 200) << zip.body;
        co_return unpack(zip.body);
    }
    static std::map<std::string, std::string> unpack(const std::string& bytes) {
        std::map<std::string, std::string> files;
        const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr); // for names that are not ASCII
        const locale_t before = ::uselocale(utf8);
        archive* reader = archive_read_new();
        archive_read_support_format_zip(reader);
        EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
        archive_entry* entry = nullptr;
        while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
            std::string text(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
            archive_read_data(reader, text.data(), text.size());
            files[archive_entry_pathname(entry)] = text;
        }
        archive_read_free(reader);
        ::uselocale(before);
        ::freelocale(utf8);
        return files;
    }
    [[nodiscard]] std::size_t stored_blobs() const {
        const fs::recursive_directory_iterator all(folder_.root() / "snapshots/sha256");
        return static_cast<std::size_t>(
            std::count_if(begin(all), end(all), [](const auto& entry) { return entry.is_regular_file(); }));
    }
};

TEST_F(SnapshotTest, ThereIsNeverALatestOne) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json latest = co_await must(200, "GET", content("v1.0", "latest/metadata"));
        EXPECT_EQ(latest.at("id"), "00000000-0000-0000-0000-000000000000");
        EXPECT_EQ(latest.at("root").at("type"), "Directory");
        EXPECT_TRUE(latest.at("root").at("children").empty());
    });
}

TEST_F(SnapshotTest, ATreeIsSentAndComesBackWhole) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::map<std::string, std::string> files{{"train.py", "print('x')\n"},
                                                       {"pkg/__init__.py", ""},
                                                       {"daten/größe.txt", "ü"},
                                                       {"copy.py", "print('x')\n"}};
        const Response made = co_await send_snapshot(first_id, files);
        EXPECT_EQ(made.status, 200) << made.body;
        EXPECT_EQ(stored_blobs(), 3U) << "the same bytes are stored once";
        const auto back = co_await unzip(first_id);
        EXPECT_EQ(back, files);
        const Json shown = co_await must(200, "GET", content("v1.0", std::string(first_id) + "/metadata"));
        EXPECT_EQ(shown.at("root").at("children").at("pkg").at("children").at("__init__.py").at("type"), "File");
    });
}

TEST_F(SnapshotTest, WhatWasNotSentComesFromTheParentAndTheRestOfItIsLeft) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await send_snapshot(first_id, {{"train.py", "1"}, {"old.py", "2"}, {"pkg/a.py", "3"}});
        const Response made = co_await send_snapshot(second_id, {{"train.py", "new"}}, {"pkg/a.py"}, first_id);
        EXPECT_EQ(made.status, 200) << made.body;
        const std::map<std::string, std::string> expected{{"train.py", "new"}, {"pkg/a.py", "3"}};
        const auto back = co_await unzip(second_id);
        EXPECT_EQ(back, expected);
    });
}

TEST_F(SnapshotTest, TheSameAgainIsNoErrorAndOtherFilesAreAConflict) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await send_snapshot(first_id, {{"train.py", "1"}});
        const Response again = co_await send_snapshot(first_id, {{"train.py", "1"}});
        EXPECT_EQ(again.status, 200) << again.body;
        const Response other = co_await send_snapshot(first_id, {{"train.py", "2"}});
        EXPECT_EQ(other.status, 409) << other.body;
    });
}

TEST_F(SnapshotTest, AFileWithoutContentIsNamed) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response orphan = co_await send_snapshot(first_id, {{"train.py", "1"}}, {"pkg/lost.py"});
        EXPECT_EQ(orphan.status, 400);
        EXPECT_THAT(orphan.body, HasSubstr("pkg/lost.py"));
        const Response no_parent = co_await send_snapshot(first_id, {{"train.py", "1"}}, {"pkg/lost.py"}, second_id);
        EXPECT_EQ(no_parent.status, 400);
        EXPECT_THAT(no_parent.body, HasSubstr(second_id));
        const Json never{{"DirTreeNode", Json{{"children", Json{{"x.py", Json{{"name", "x.py"}, {"type", "File"}}}}}}},
                         {"FileRevisionList",
                          Json{{"FileNodes", Json::array({Json{{"FullName", "x.py"},
                                                               {"BlobUri", "https://h/azureml-snapshots/0123"}}})}}}};
        const Response unsent = co_await ask("POST", content("v2.0", first_id), never);
        EXPECT_EQ(unsent.status, 400);
        EXPECT_THAT(unsent.body, HasSubstr("'x.py' was never sent"));
        const Response zip = co_await ask("POST", content("v2.0", std::string(first_id) + "/zip"));
        EXPECT_EQ(zip.status, 404) << zip.body;
    });
}

TEST_F(SnapshotTest, MoreBytesThanASnapshotMayHaveAreRefusedAtOnce) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json given =
            co_await must(200, "POST", content("v2.0", "getblob"), Json{{"FileNames", Json::array({"big"})}});
        HttpClient::Request request;
        request.method = "PUT";
        request.target = target_of(given.at("fileNodes")[0].at("blobUri"));
        request.headers = {{"x-ms-blob-type", "BlockBlob"}};
        request.idempotent = false;
        auto source = []() -> Result<std::string> { return std::string(1024, 'x'); };
        const auto answer = co_await stranger_->upload(request, source, std::int64_t{301} << 20U);
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
        EXPECT_EQ(answer ? answer->status : 0, 413);
    });
}

} // namespace
} // namespace linarite::test
