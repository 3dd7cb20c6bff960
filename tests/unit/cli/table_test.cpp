#include "cli/progress.hpp"
#include "cli/run_filter.hpp"
#include "cli/run_table.hpp"
#include "cli/table.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

const Terminal plain;
const Terminal coloured(true, true, false, 30);

TEST(TableTest, ColumnsAreAlignedWithoutTrailingBlanks) {
    Table table({{"NAME"}, {"N", Table::Align::right}, {"REST"}});
    table.add({{"a"}, {"100"}, {"x"}});
    table.add({{"größer"}, {"1"}, {""}});
    table.add({{"short"}});

    EXPECT_EQ(table.render(plain), "NAME      N  REST\n"
                                   "a       100  x\n"
                                   "größer    1\n"
                                   "short\n");
}

TEST(TableTest, ColoursDoNotMoveColumnsAndTheLastOneIsCutToTheTerminal) {
    Table table({{"S"}, {"REASON"}});
    table.add({{"Failed", Style::red}, {"a reason that is much too long for it"}});

    EXPECT_EQ(table.render(coloured), "\x1b[1mS\x1b[0m       \x1b[1mREASON\x1b[0m\n"
                                      "\x1b[31mFailed\x1b[0m  a reason that is much…\n");
}

TEST(TableTest, LineBreaksAndEscapesInCellsAreHarmless) {
    Table table({{"A"}});
    table.add({{"x\ny\x1b[0m"}});

    EXPECT_EQ(table.render(plain), "A\nx y?[0m\n");
}

TEST(TerminalTest, SizesAndTimesAreWrittenForPeople) {
    EXPECT_EQ(format_count(1, "process"), "1 process");
    EXPECT_EQ(format_count(2, "process"), "2 processes");
    EXPECT_EQ(format_count(0, "file"), "0 files");
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(1536), "1.5 KiB");
    EXPECT_EQ(format_bytes(std::uint64_t{300} << 20U), "300 MiB");
    EXPECT_EQ(format_bytes(1048575), "1.0 MiB");
    EXPECT_EQ(progress_line("sending", 50, 200), "sending 50 B of 200 B (25 %)");
    const Time at = parse_time("2026-11-23T20:15:03.123Z").value();
    EXPECT_EQ(format_time(at), "2026-11-23T20:15:03.123Z");
    EXPECT_EQ(format_ago(at, at + std::chrono::minutes(3)), "3 min ago");
    EXPECT_EQ(format_ago(at, at - std::chrono::seconds(1)), "just now");
    EXPECT_FALSE(parse_time("2026-13-23T20:15:03.123Z"));
    EXPECT_FALSE(parse_time("2026-11-23"));
}

TEST(TerminalTest, CuttingNeverSplitsACharacter) {
    EXPECT_EQ(shorten("größer", 4), "grö…");
    EXPECT_EQ(shorten("abc", 3), "abc");
}

TEST(RunTableTest, ShowsWhatARunWaitsForAndHowOthersEnded) {
    const Time now = parse_time("2026-11-23T20:00:00.000Z").value();
    const Json runs = Json::parse(R"([
        {"run_id": "r2", "experiment": "e", "status": "Queued", "node_count": 2, "created": "2026-11-23T19:59:00.000Z",
         "started": null, "ended": null, "reason": "waiting for 2 nodes\nmore", "outcome": null},
        {"run_id": "r1", "experiment": "e", "status": "Failed", "node_count": 1, "created": "2026-11-23T19:00:00.000Z",
         "started": "2026-11-23T19:00:10.000Z", "ended": "2026-11-23T19:00:22.000Z", "reason": "",
         "outcome": {"exit_code": 3, "signal": 0, "out_of_memory": false, "timed_out": false}}])");

    EXPECT_EQ(render_run_table(runs, now, plain),
              "RUN  EXPERIMENT  STATUS  NODES  SUBMITTED      DURATION  REASON\n"
              "r2   e           Queued      2  1 min ago                waiting for 2 nodes\n"
              "r1   e           Failed      1  1 h 0 min ago  12 s      exit code 3\n");
}

TEST(RunFilterTest, KeysBecomeTheQuery) {
    RunQuery query;

    ASSERT_TRUE(read_filter("status=failed,target=gpu,text=mnist,status=Running", query));

    EXPECT_THAT(query,
                UnorderedElementsAre(Pair("status", "Failed,Running"), Pair("target", "gpu"), Pair("text", "mnist")));
    ASSERT_TRUE(read_filter("", query));
}

TEST(RunFilterTest, UnknownKeysAndStatusesAreNamedWithWhatThereIs) {
    RunQuery query;

    EXPECT_THAT(read_filter("state=x", query).error().detail(), HasSubstr("status, target"));
    EXPECT_THAT(read_filter("status=done", query).error().detail(), HasSubstr("Completed"));
    EXPECT_THAT(read_filter("mnist", query).error().detail(), HasSubstr("KEY=VALUE"));
    EXPECT_EQ(read_filter("target=", query).error().code(), Errc::invalid_argument);
}

} // namespace
} // namespace linarite::cli
