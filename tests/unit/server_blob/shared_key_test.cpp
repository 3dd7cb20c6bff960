#include "server/blob/shared_key.hpp"

#include <gtest/gtest.h>

namespace linarite::blob {
namespace {

http::RequestHead put_of_a_block() {
    http::RequestHead head;
    head.method = http::beast_http::verb::put;
    head.path = "/azureml-blobstore-x/up/a b.txt";
    head.target = "/azureml-blobstore-x/up/a%20b.txt?timeout=30&comp=block&blockid=QUFB";
    head.query = {{"timeout", "30"}, {"comp", "block"}, {"blockid", "QUFB"}};
    head.headers = {{"content-length", "5"},
                    {"content-type", "application/octet-stream"},
                    {"if-none-match", "*"},
                    {"host", "127.0.0.1:8443"},
                    {"x-ms-blob-type", "BlockBlob"},
                    {"x-ms-client-request-id", "11111111-2222-3333-4444-555555555555"},
                    {"x-ms-date", "Mon, 23 Nov 2026 15:12:51 GMT"},
                    {"x-ms-version", "2021-08-06"}};
    return head;
}

// base64(hmac_sha256(key, text)) with Python's hmac and base64: the text below with account "acct", the key 0x00..0x1f
constexpr const char* known_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr const char* known_signature = "HBM41yBxaPJ/1eqd+bUhSUTu51nfarvUOBa3f27gn54=";
constexpr const char* known_text = "PUT\n\n\n5\n\napplication/octet-stream\n\n\n\n*\n\n\n"
                                   "x-ms-blob-type:BlockBlob\n"
                                   "x-ms-client-request-id:11111111-2222-3333-4444-555555555555\n"
                                   "x-ms-date:Mon, 23 Nov 2026 15:12:51 GMT\n"
                                   "x-ms-version:2021-08-06\n"
                                   "/acct/azureml-blobstore-x/up/a%20b.txt\n"
                                   "blockid:QUFB\ncomp:block\ntimeout:30";

TEST(SharedKeyTest, SignsWhatAzureDefines) {
    const std::string text = string_to_sign(put_of_a_block(), "acct");

    EXPECT_EQ(text, known_text);
    EXPECT_EQ(sign(known_key, text), known_signature);
}

TEST(SharedKeyTest, AnEmptyBodyHasNoLengthAndADateOfItsOwnReplacesTheOther) {
    http::RequestHead head;
    head.target = "/c";
    head.headers = {{"content-length", "0"}, {"date", "Mon, 23 Nov 2026 15:12:51 GMT"}};
    EXPECT_EQ(string_to_sign(head, "a"), "GET\n\n\n\n\n\nMon, 23 Nov 2026 15:12:51 GMT\n\n\n\n\n\n/a/c");

    head.headers["x-ms-date"] = "now";

    EXPECT_EQ(string_to_sign(head, "a"), "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:now\n/a/c");
}

TEST(SharedKeyTest, TheSignatureCoversMethodPathQueryAndHeaders) {
    const std::string text = string_to_sign(put_of_a_block(), "acct");
    http::RequestHead other = put_of_a_block();
    other.method = http::beast_http::verb::get;
    EXPECT_NE(string_to_sign(other, "acct"), text);
    other = put_of_a_block();
    other.target = "/azureml-blobstore-x/up/other.txt?timeout=30&comp=block&blockid=QUFB";
    EXPECT_NE(string_to_sign(other, "acct"), text);
    other = put_of_a_block();
    other.query["blockid"] = "QUFC";
    EXPECT_NE(string_to_sign(other, "acct"), text);
    other = put_of_a_block();
    other.headers["x-ms-blob-type"] = "PageBlob";
    EXPECT_NE(string_to_sign(other, "acct"), text);
}

TEST(SharedKeyTest, ReadsTheHeader) {
    const auto key = parse_shared_key("SharedKey linarite:abc=");
    ASSERT_TRUE(key);
    EXPECT_EQ(key->account, "linarite");
    EXPECT_EQ(key->signature, "abc=");
    EXPECT_FALSE(parse_shared_key("Bearer abc"));
    EXPECT_FALSE(parse_shared_key("SharedKeyLite linarite:abc="));
    EXPECT_FALSE(parse_shared_key("SharedKey linarite"));
}

TEST(SharedKeyTest, DatesGoBothWays) {
    const Time at = from_ms(1795446771000);
    EXPECT_EQ(print_http_date(at), "Mon, 23 Nov 2026 15:12:51 GMT");
    EXPECT_EQ(parse_http_date("Mon, 23 Nov 2026 15:12:51 GMT"), at);
    EXPECT_FALSE(parse_http_date("yesterday"));
    EXPECT_FALSE(parse_http_date("Mon, 23 Nov 2026 15:12:51 GMT and more"));
}

} // namespace
} // namespace linarite::blob
