#include "server/blob/xml.hpp"

#include <gmock/gmock.h>

namespace linarite::blob {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(XmlTest, AnErrorNamesItsCodeAndEscapesItsWords) {
    EXPECT_EQ(print_error("BlobNotFound", "no '<a&b>'"),
              R"(<?xml version="1.0" encoding="utf-8"?><Error><Code>BlobNotFound</Code>)"
              R"(<Message>no '&lt;a&amp;b&gt;'</Message></Error>)");
}

TEST(XmlTest, AListingHoldsItemsFoldersAndWhereItGoesOn) {
    Listing listing;
    listing.endpoint = "https://h/";
    listing.container = "c";
    listing.prefix = "up/";
    listing.items = {{"up/a & b.txt", 3, "0x1", "Mon, 23 Nov 2026 15:12:51 GMT"}};
    listing.folders = {"up/sub/"};
    listing.next_marker = "abc";

    const std::string xml = print(listing);

    EXPECT_THAT(xml, HasSubstr(R"(<EnumerationResults ServiceEndpoint="https://h/" ContainerName="c">)"));
    EXPECT_THAT(xml, HasSubstr("<Blob><Name>up/a &amp; b.txt</Name><Properties>"));
    EXPECT_THAT(xml, HasSubstr("<Content-Length>3</Content-Length>"));
    EXPECT_THAT(xml, HasSubstr("<BlobPrefix><Name>up/sub/</Name></BlobPrefix>"));
    EXPECT_THAT(xml, HasSubstr("<NextMarker>abc</NextMarker>"));
    EXPECT_THAT(xml, Not(HasSubstr("<MaxResults>")));
}

TEST(XmlTest, ReadsTheIdsOfABlockListInOrder) {
    const auto ids = parse_block_list(R"(<?xml version='1.0' encoding='utf-8'?>
<BlockList><Latest>QUFB</Latest><Uncommitted>QUFC</Uncommitted><Latest>QUFB</Latest></BlockList>)");
    ASSERT_TRUE(ids) << ids.error().detail();
    EXPECT_THAT(*ids, ElementsAre("QUFB", "QUFC", "QUFB"));
    const auto empty = parse_block_list("<BlockList/>");
    ASSERT_TRUE(empty);
    EXPECT_TRUE(empty->empty());
}

TEST(XmlTest, RefusesWhatIsNoBlockList) {
    for (const char* text :
         {"", "<BlockList>", "{}", "<Other/>", "<BlockList><Committed>QUFB</Committed></BlockList>"}) {
        EXPECT_FALSE(parse_block_list(text)) << text;
    }
}

TEST(XmlTest, ExpandsNoEntities) {
    const auto ids = parse_block_list("<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>"
                                      "<BlockList><Latest>&e;</Latest></BlockList>");
    EXPECT_TRUE(!ids || ids->front() == "&e;");
}

} // namespace
} // namespace linarite::blob
