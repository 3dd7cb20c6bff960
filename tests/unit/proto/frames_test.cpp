#include "common/hash.hpp"
#include "proto/frames.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace linarite::proto {
namespace {

using testing::HasSubstr;

struct Frame {
    FrameHeader header;
    std::string payload;
    bool operator==(const Frame&) const = default;
};

Frame frame(std::string path, std::string payload, std::uint64_t offset = 0, bool last = false) {
    const FrameHeader header{.path = std::move(path),
                             .offset = offset,
                             .size = payload.size(),
                             .executable = last,
                             .sha256 = last ? sha256_hex(payload) : "",
                             .closed = offset > 0 ? sha256_hex(payload) : ""};
    return {header, std::move(payload)};
}

std::string print(const std::vector<Frame>& frames) {
    std::string bytes;
    for (const Frame& each : frames) {
        bytes += print_frame_header(each.header) + each.payload;
    }
    return bytes;
}

/// Takes all that the reader has so far. False at a malformed header.
bool drain(FrameReader& reader, std::vector<Frame>& out) {
    while (true) {
        const auto piece = reader.next();
        if (!piece) {
            return false;
        }
        if (!*piece) {
            return true;
        }
        if ((*piece)->is_header) {
            out.push_back({reader.header(), ""});
        } else {
            out.back().payload += (*piece)->bytes;
        }
    }
}

std::string refusal(const std::string& bytes) {
    FrameReader reader;
    reader.feed(bytes);
    const auto piece = reader.next();
    return piece ? "" : piece.error().detail();
}

const std::vector<Frame>& samples() {
    static const std::vector<Frame> frames = {
        frame("outputs/model.pkl", std::string("\0\n{}\n\xff", 6), 0, true),
        frame("logs/empty.txt", ""),
        frame("logs/\u00e9 \"quoted\".txt", "{\"path\":\"x\",\"size\":1}\n", 1'000'000'000'000),
        frame("outputs/big.bin", std::string(100'000, 'b')),
        frame("outputs/done.txt", "", 42, true),
    };
    return frames;
}

TEST(FrameReader, GivesBackWhatWasPrintedHoweverTheBytesArrive) {
    const std::string bytes = print(samples());
    for (unsigned seed = 0; seed < 45; ++seed) {
        std::mt19937 random(seed);
        const std::size_t largest = seed % 3 == 0 ? 7 : seed % 3 == 1 ? 300 : 70'000;
        std::uniform_int_distribution<std::size_t> sizes(1, largest);
        FrameReader reader;
        std::vector<Frame> read;

        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t size = std::min(sizes(random), bytes.size() - at);
            reader.feed(std::string_view(bytes).substr(at, size));
            at += size;
            if (random() % 4 != 0 || at == bytes.size()) { // some pieces are fed on top of others
                ASSERT_TRUE(drain(reader, read));
            }
        }

        ASSERT_EQ(read, samples()) << "seed " << seed;
        ASSERT_TRUE(reader.at_boundary());
    }
}

TEST(FrameReader, TakesOneByteAtATime) {
    const std::string bytes = print({samples()[0], samples()[1], samples()[2]});
    FrameReader reader;
    std::vector<Frame> read;

    for (const char byte : bytes) {
        reader.feed(std::string_view(&byte, 1));
        ASSERT_TRUE(drain(reader, read));
    }

    EXPECT_EQ(read.size(), 3U);
    EXPECT_EQ(read[2], samples()[2]);
}

TEST(FrameReader, KnowsWhetherTheStreamMayEndHere) {
    const std::string header = print_frame_header({.path = "a", .size = 3});
    FrameReader reader;
    std::vector<Frame> read;
    EXPECT_TRUE(reader.at_boundary());

    reader.feed(header.substr(0, 5));
    ASSERT_TRUE(drain(reader, read));
    EXPECT_FALSE(reader.at_boundary());
    reader.feed(header.substr(5) + "ab");
    ASSERT_TRUE(drain(reader, read));
    EXPECT_FALSE(reader.at_boundary());
    EXPECT_FALSE(reader.frame_complete());
    reader.feed("c");
    ASSERT_TRUE(drain(reader, read));

    EXPECT_TRUE(reader.frame_complete());
    EXPECT_TRUE(reader.at_boundary());
}

TEST(FrameReader, PassesOnLargePayloadsWithoutKeepingThem) {
    constexpr std::size_t chunk = std::size_t{64} << 10U;
    constexpr std::uint64_t size = std::uint64_t{64} << 20U;
    const std::string bytes(chunk, 'x');
    FrameReader reader;
    reader.feed(print_frame_header({.path = "big", .size = size}));
    ASSERT_TRUE(reader.next().value()->is_header);
    std::uint64_t read = 0;

    while (read < size) {
        reader.feed(bytes);
        const auto piece = reader.next().value();
        ASSERT_EQ(piece->bytes.size(), chunk);
        read += piece->bytes.size();
    }

    EXPECT_TRUE(reader.at_boundary());
}

TEST(FrameReader, RefusesAHeaderLineThatDoesNotEnd) {
    FrameReader reader;
    reader.feed(std::string(frame_header_limit, ' '));
    EXPECT_FALSE(reader.next().value());

    reader.feed(" ");
    const auto piece = reader.next();

    ASSERT_FALSE(piece);
    EXPECT_EQ(piece.error().code(), Errc::invalid_argument);
    EXPECT_THAT(piece.error().detail(), HasSubstr("longer than 4096 bytes"));
    EXPECT_FALSE(reader.next()) << "it stays of no use";
}

TEST(FrameReader, RefusesALongHeaderThatArrivesWhole) {
    const std::string header = R"({"path":"a","size":0})";

    EXPECT_EQ(refusal(header + std::string(frame_header_limit - header.size(), ' ') + "\n"), "");
    EXPECT_THAT(refusal(header + std::string(frame_header_limit - header.size() + 1, ' ') + "\n"),
                HasSubstr("longer than"));
}

TEST(FrameReader, RefusesMalformedHeaders) {
    const std::string sha(64, 'a');
    EXPECT_THAT(refusal("no json\n"), HasSubstr("frame header: malformed JSON"));
    EXPECT_THAT(refusal("[]\n"), HasSubstr("must be an object"));
    EXPECT_THAT(refusal("{\"size\":1}\n"), HasSubstr("/path: is needed"));
    EXPECT_THAT(refusal("{\"path\":\"a\"}\n"), HasSubstr("/size: is needed"));
    EXPECT_THAT(refusal("{\"path\":\"../a\",\"size\":1}\n"), HasSubstr("/path: path '../a'"));
    EXPECT_THAT(refusal("{\"path\":\"/a\",\"size\":1}\n"), HasSubstr("/path"));
    EXPECT_THAT(refusal("{\"path\":\"a\\u0000b\",\"size\":1}\n"), HasSubstr("/path"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":-1}\n"), HasSubstr("/size"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":18446744073709551616}\n"), HasSubstr("/size"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":18446744073709551615,\"offset\":1}\n"), HasSubstr("/size"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":1,\"offset\":9223372036854775807}\n"), HasSubstr("/size"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":1,\"sha256\":\"ABC\"}\n"), HasSubstr("/sha256"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":1,\"closed\":\"ABC\"}\n"), HasSubstr("/closed"));
    EXPECT_THAT(refusal("{\"path\":\"a\",\"size\":1,\"mode\":1}\n"), HasSubstr("/mode: is not known"));
    EXPECT_EQ(refusal("{\"path\":\"a\",\"size\":1,\"offset\":7,\"executable\":true,\"sha256\":\"" + sha + "\"}\n"), "");
}

} // namespace
} // namespace linarite::proto
