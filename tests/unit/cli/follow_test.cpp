#include "cli/follow.hpp"
#include "cli/log_printer.hpp"
#include "common/hash.hpp"
#include "fake_connection.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string event(const std::string& name, const Json& data) {
    return "event: " + name + "\ndata: " + data.dump() + "\n\n";
}

std::string log(const std::string& name, std::uint64_t offset, const std::string& bytes) {
    return event("log", {{"name", name}, {"offset", offset}, {"data", base64_encode(bytes)}});
}

Json run(const std::string& status) {
    return Json{{"run_id", "r1"}, {"status", status}, {"reason", ""}};
}

class FollowTest : public testing::Test {
protected:
    FollowTest() {
        handlers_.status = [this](const Json& seen) { statuses_.push_back(seen["status"]); };
        handlers_.log = [this](const std::string& name, std::string_view bytes) { logs_[name] += bytes; };
        handlers_.notice = [this](const std::string& words) { notices_.push_back(words); };
    }

    FakeConnection connection_;
    FollowHandlers handlers_;
    std::vector<std::string> statuses_;
    std::map<std::string, std::string> logs_;
    std::vector<std::string> notices_;
};

TEST_F(FollowTest, GivesStatusesAndLogsUntilTheEnd) {
    const std::string stream = event("status", run("Running")) + ": still here\n\n" + log("a", 0, "one\n") +
                               log("a", 4, "two\n") + event("end", run("Completed"));
    connection_.streams.push_back({{stream.substr(0, 30), stream.substr(30)}, {}});

    const auto followed = follow_run(connection_, "r1", "driver", handlers_);

    ASSERT_TRUE(followed);
    EXPECT_FALSE(followed->interrupted);
    EXPECT_EQ(followed->run["status"], "Completed");
    EXPECT_THAT(statuses_, ElementsAre("Running", "Completed"));
    EXPECT_EQ(logs_["a"], "one\ntwo\n");
    EXPECT_TRUE(notices_.empty());
    EXPECT_THAT(connection_.asked, ElementsAre("GET /api/v1/runs/r1/follow?logs=driver"));
}

TEST_F(FollowTest, ABrokenConnectionIsMadeAgainAndEachByteIsGivenOnce) {
    const Error broken(Errc::unavailable, "connection broke");
    connection_.streams.push_back({{event("status", run("Running")), log("a", 0, "one\n")}, broken});
    connection_.streams.push_back({{}, broken});
    connection_.streams.push_back({{}, broken});
    connection_.streams.push_back(
        {{event("status", run("Running")), log("a", 2, "e\ntwo\n"), event("end", run("Completed"))}, {}});

    const auto followed = follow_run(connection_, "r1", "driver", handlers_);

    ASSERT_TRUE(followed);
    EXPECT_EQ(logs_["a"], "one\ntwo\n");
    EXPECT_THAT(statuses_, ElementsAre("Running", "Completed"));
    EXPECT_THAT(notices_, ElementsAre(HasSubstr("is lost"), "connected again"));
    EXPECT_EQ(connection_.reconnects, 3);
    EXPECT_EQ(connection_.asked.back(), "GET /api/v1/runs/r1/follow?logs=driver&from=a%3A4");
}

TEST_F(FollowTest, AStreamThatEndsTooEarlyIsABrokenConnection) {
    connection_.streams.push_back({{event("status", run("Running"))}, {}});
    connection_.streams.push_back({{event("end", run("Failed"))}, {}});

    EXPECT_EQ(follow_run(connection_, "r1", "none", handlers_).value().run["status"], "Failed");
    EXPECT_EQ(connection_.reconnects, 1);
}

TEST_F(FollowTest, AnErrorThatIsNotOfTheConnectionEndsIt) {
    connection_.streams.push_back({{}, Error(Errc::not_found, "run 'r1' not found")});

    EXPECT_EQ(follow_run(connection_, "r1", "none", handlers_).error().code(), Errc::not_found);
    EXPECT_EQ(connection_.reconnects, 0);
}

TEST_F(FollowTest, ACoordinatorThatNeverComesBackIsGivenUp) {
    const auto followed = follow_run(connection_, "r1", "none", handlers_);

    EXPECT_EQ(followed.error().code(), Errc::unavailable);
    EXPECT_GT(connection_.pauses, 100); // ten minutes in pauses of five seconds
}

TEST_F(FollowTest, AnInterruptEndsItWithTheRunAsLastSeen) {
    connection_.streams.push_back({{event("status", run("Running"))}, Error(Errc::unavailable, "closed")});
    connection_.interrupt_after_pauses = 0;

    const auto followed = follow_run(connection_, "r1", "none", handlers_);

    ASSERT_TRUE(followed);
    EXPECT_TRUE(followed->interrupted);
    EXPECT_EQ(followed->run["status"], "Running");
}

class LogPrinterTest : public testing::Test {
protected:
    LogPrinter printer(bool raw) {
        return LogPrinter(
            raw, terminal_, [this](std::string_view text) { out_ += text; },
            [this](std::string_view text) { err_ += text; });
    }

    Terminal terminal_;
    std::string out_;
    std::string err_;
};

TEST_F(LogPrinterTest, OneProcessPrintsItsBytesUnchanged) {
    LogPrinter logs = printer(false);

    logs.print("azureml-logs/70_driver_log.txt", "half");
    logs.print("azureml-logs/70_driver_log.txt", std::string_view("\x1b[1m\0\xFF\r", 7));
    logs.print("azureml-logs/20_image_build_log.txt", "resolving\n");

    EXPECT_EQ(out_, std::string("half\x1b[1m\0\xFF\r", 11));
    EXPECT_EQ(err_, "[build] resolving\n");
}

TEST_F(LogPrinterTest, LinesOfSeveralRanksAreKeptWholeAndCarryTheRank) {
    LogPrinter logs = printer(false);

    logs.print("azureml-logs/70_driver_log_0.txt", "a");
    logs.print("azureml-logs/70_driver_log_11.txt", "b\nc");
    logs.print("azureml-logs/70_driver_log_0.txt", "a\n\n");
    EXPECT_EQ(out_, "[11] b\n[0] aa\n[0] \n");

    logs.finish();
    EXPECT_EQ(out_, "[11] b\n[0] aa\n[0] \n[11] c\n");
}

TEST_F(LogPrinterTest, ALineWithoutAnEndIsPrintedInParts) {
    LogPrinter logs = printer(false);

    logs.print("azureml-logs/70_driver_log_1.txt", std::string(100'000, 'x'));

    EXPECT_EQ(out_.size(), 65'536 + 5);
    EXPECT_TRUE(out_.ends_with("x\n"));
}

TEST_F(LogPrinterTest, OneLogThatWasAskedForIsRawWhateverItIs) {
    LogPrinter logs = printer(true);

    logs.print("azureml-logs/70_driver_log_1.txt", "a");
    logs.print("azureml-logs/70_driver_log_1.txt", "b");

    EXPECT_EQ(out_, "ab");
}

TEST(LogNameTest, RanksAreReadFromNamesAndSortedAsNumbers) {
    EXPECT_EQ(rank_of_log("azureml-logs/70_driver_log_12.txt"), 12);
    EXPECT_EQ(rank_of_log("azureml-logs/70_driver_log.txt"), std::nullopt);
    EXPECT_EQ(rank_of_log("azureml-logs/70_driver_log_x.txt"), std::nullopt);
    EXPECT_EQ(rank_of_log("azureml-logs/70_mpi_log.txt"), std::nullopt);
    EXPECT_EQ(rank_of_log("azureml-logs/70_driver_log_worker_0.txt"), std::nullopt);
    EXPECT_TRUE(before_in_order("azureml-logs/70_driver_log_2.txt", "azureml-logs/70_driver_log_10.txt"));
}

} // namespace
} // namespace linarite::cli
