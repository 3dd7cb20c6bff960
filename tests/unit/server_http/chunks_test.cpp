#include "server/http/chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace linarite::http {
namespace {

/// What a body comes to when it arrives `step` bytes at a time; nothing if it is refused or not complete.
std::optional<std::string> decode(const std::string& wire, std::size_t step) {
    ChunkDecoder decoder;
    std::string out;
    std::string arrived;
    std::size_t at = 0;
    while (!decoder.done()) {
        const auto framing = decoder.skip(arrived);
        if (!framing) {
            return std::nullopt;
        }
        arrived.erase(0, *framing);
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(decoder.data_left(), arrived.size()));
        if (decoder.done()) {
            break;
        }
        if (count > 0) {
            out.append(arrived, 0, count);
            arrived.erase(0, count);
            decoder.took(count);
        } else if (at >= wire.size()) {
            return std::nullopt;
        } else {
            arrived.append(wire, at, step);
            at += step;
        }
    }
    return out + (at < wire.size() || !arrived.empty() ? "|" + arrived : "");
}

TEST(ChunkDecoder, JoinsChunksHoweverTheyAreCut) {
    const std::string wire = "5\r\nhello\r\n1;a=b;c=\"d\"\r\n \r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    for (std::size_t step = 1; step <= wire.size(); ++step) {
        EXPECT_EQ(decode(wire, step), "hello 0123456789") << step;
    }
    EXPECT_EQ(decode("0\r\n\r\n", 3), "");
}

TEST(ChunkDecoder, LeavesWhatFollowsAlone) {
    EXPECT_EQ(decode("1\r\na\r\n0\r\n\r\nGET", 64), "a|GET");
}

TEST(ChunkDecoder, RefusesWhatIsNotExactlyAChunk) {
    for (const std::string& wire :
         {std::string("\r\n"), std::string("x\r\n"), std::string("-1\r\na\r\n"), std::string("+1\r\na\r\n"),
          std::string("0x1\r\na\r\n"), std::string(" 1\r\na\r\n"), std::string("1 \r\na\r\n"), std::string("1\na\r\n"),
          std::string("1\r\na\n0\r\n\r\n"), std::string("1\r\nab\r\n0\r\n\r\n"), std::string("1\r\na0\r\n\r\n"),
          std::string("1234567890abcdef\r\n"), std::string("1;a\x01\r\na\r\n"),
          "1;" + std::string(300, 'x') + "\r\na\r\n", "1;" + std::string(300, 'x'), std::string("0\r\n folded\r\n\r\n"),
          std::string("0\r\nA: \x01\r\n\r\n"), "0\r\nA: " + std::string(9000, 'x'), std::string("0\r\nA: b\n\r\n")}) {
        EXPECT_EQ(decode(wire, 1), std::nullopt) << testing::PrintToString(wire.substr(0, 40));
        EXPECT_EQ(decode(wire, 100'000), std::nullopt) << testing::PrintToString(wire.substr(0, 40));
    }
}

TEST(ChunkDecoder, IsNotCompleteBeforeItsEnd) {
    const std::string wire = "5\r\nhello\r\n0\r\n\r\n";
    for (std::size_t size = 0; size < wire.size(); ++size) {
        EXPECT_EQ(decode(wire.substr(0, size), 100), std::nullopt) << size;
    }
}

} // namespace
} // namespace linarite::http
