#include "agent/launch/ending.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace linarite::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

class EndingTest : public testing::Test {
public:
    ~EndingTest() override { fs::remove_all(folder_); }

protected:
    EndingTest() : folder_(fs::temp_directory_path() / ("linarite-ending-" + random_hex(6))) {
        fs::create_directories(folder_);
        context_.node = "node-1";
        context_.program = "train.py";
        context_.log_dir = folder_;
        context_.output = folder_ / "70_driver_log.txt";
    }

    void write(const std::string& name, const std::string& text) const {
        ASSERT_TRUE(write_file_durably(folder_ / name, text));
    }
    static ExitFact fact(int exit_code, int signal = 0) {
        ExitFact out;
        out.started = true;
        out.exit_code = exit_code;
        out.signal = signal;
        return out;
    }
    void as(proto::LaunchKind launch, int nodes, int per_node) {
        proto::RunDefinition definition;
        definition.launch = launch;
        definition.node_count = nodes;
        definition.processes_per_node = per_node;
        context_.launch = launch;
        context_.processes = proto::process_layout(definition);
    }
    void as_mpi(int processes) {
        as(proto::LaunchKind::mpi, 1, processes);
        context_.output = folder_ / "70_mpi_log.txt";
    }

    fs::path folder_;
    EndingContext context_;
};

TEST_F(EndingTest, AGoodEndHasNoCode) {
    const auto ending = make_ending(context_, fact(0), {});

    EXPECT_TRUE(ending.ok());
    EXPECT_EQ(ending.message, "");
}

TEST_F(EndingTest, AFailureHasTheCodeTheNodeAndTheLastLines) {
    write("70_driver_log.txt", "[t] before\none\ntwo\nTraceback\nValueError: bad\n"
                               "[t] The experiment failed with exit code: 3. Finalizing run...\n");

    const auto ending = make_ending(context_, fact(3), {});

    EXPECT_FALSE(ending.ok());
    EXPECT_EQ(ending.exit_code, 3);
    EXPECT_EQ(ending.code, "UserError");
    EXPECT_THAT(ending.message, HasSubstr("User process 'train.py' exited with status code 3 (node node-1)."));
    EXPECT_THAT(ending.message, HasSubstr("Last lines of 70_driver_log.txt:\n"));
    EXPECT_THAT(ending.message, HasSubstr("ValueError: bad\n"));
    EXPECT_THAT(ending.message, Not(HasSubstr("Finalizing")));
}

TEST_F(EndingTest, ASignalIsCalledByItsName) {
    EXPECT_THAT(make_ending(context_, fact(0, SIGSEGV), {}).message, HasSubstr("was ended by SIGSEGV"));
    EXPECT_EQ(signal_name(SIGKILL), "SIGKILL");
    EXPECT_EQ(signal_name(63), "signal 63");
}

TEST_F(EndingTest, WantOfMemoryIsSaidSo) {
    auto killed = fact(0, SIGKILL);
    killed.out_of_memory = true;

    const auto ending = make_ending(context_, killed, {});

    EXPECT_TRUE(ending.out_of_memory);
    EXPECT_THAT(ending.message, HasSubstr("the node ran out of memory"));
}

TEST_F(EndingTest, TheTimeLimitIsSaidSo) {
    auto slow = fact(0, SIGTERM);
    slow.timed_out = true;
    context_.limit = std::chrono::seconds(5);

    const auto ending = make_ending(context_, slow, {});

    EXPECT_TRUE(ending.timed_out);
    EXPECT_THAT(ending.message, HasSubstr("time limit of 5 s"));
}

TEST_F(EndingTest, AStopHasItsReasonAndNoCode) {
    auto stopped = fact(0, SIGTERM);
    stopped.stopped = true;
    context_.stop_reason = "cancelled by the user";

    const auto ending = make_ending(context_, stopped, {});

    EXPECT_EQ(ending.code, "");
    EXPECT_EQ(ending.message, "cancelled by the user");
}

TEST_F(EndingTest, WhatCouldNotBeStartedSaysWhy) {
    ExitFact none;
    none.exit_code = 127;
    none.error = "cannot start 'python9': No such file or directory";

    const auto ending = make_ending(context_, none, {});

    EXPECT_FALSE(ending.started);
    EXPECT_EQ(ending.code, "UserError");
    EXPECT_THAT(ending.message, HasSubstr("cannot start 'python9'"));
}

TEST_F(EndingTest, OfSeveralRanksTheFirstOneCounts) {
    as_mpi(3);
    write("70_driver_log_2.txt", "boom\n");

    const auto ending = make_ending(context_, fact(137),
                                    {RankFact{.rank = 0, .signal = SIGTERM, .ended_us = 2'000},
                                     RankFact{.rank = 1, .signal = SIGKILL, .ended_us = 3'000},
                                     RankFact{.rank = 2, .exit_code = 3, .ended_us = 1'000}});

    EXPECT_EQ(ending.rank, 2);
    EXPECT_EQ(ending.exit_code, 3);
    EXPECT_EQ(ending.signal, 0);
    EXPECT_THAT(ending.message, HasSubstr("(rank 2, node node-1)"));
    EXPECT_THAT(ending.message, HasSubstr("Last lines of 70_driver_log_2.txt:\nboom"));
}

TEST_F(EndingTest, TheRankThatMpirunNamesWinsOverTheClock) {
    as_mpi(2);
    write("70_mpi_log.txt", "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 11\n");

    const auto ending = make_ending(context_, fact(139),
                                    {RankFact{.rank = 0, .signal = SIGTERM, .ended_us = 1'000},
                                     RankFact{.rank = 1, .signal = SIGSEGV, .ended_us = 1'001}});

    EXPECT_EQ(ending.rank, 1);
    EXPECT_EQ(ending.signal, SIGSEGV);
}

TEST_F(EndingTest, ARankElsewhereIsTakenFromItsNode) {
    as_mpi(4);
    write("70_mpi_log.txt", "  Process name: [[21150,1],3]\n  Exit code:    11\n");
    const auto lead = make_ending(context_, fact(11), {RankFact{.rank = 0, .signal = SIGTERM, .ended_us = 5}});
    proto::Ending other;
    other.started = true;
    other.rank = 3;
    other.exit_code = 11;
    other.code = "UserError";
    other.message = "rank 3's own words";
    proto::Ending collateral = other;
    collateral.rank = 2;

    const auto merged = merge_endings(lead, {{1, collateral}, {2, other}});

    EXPECT_EQ(lead.rank, 3);
    EXPECT_THAT(lead.message, HasSubstr("rank 3 failed first"));
    EXPECT_EQ(merged.message, "rank 3's own words");
}

TEST_F(EndingTest, ARankThatWasOnlyToldToEndIsNotBlamedForAFailureOfItsOwn) {
    as_mpi(4);
    context_.lead = false;

    const auto ending = make_ending(context_, fact(0),
                                    {RankFact{.rank = 2, .signal = SIGTERM, .ended_us = 1'000},
                                     RankFact{.rank = 3, .signal = SIGSEGV, .ended_us = 2'000}});

    EXPECT_EQ(ending.rank, 3);
    EXPECT_EQ(ending.signal, SIGSEGV);
}

TEST_F(EndingTest, WhoeverKilledTheLauncherIsNotTheScript) {
    as_mpi(4);
    // a rank that was in MPI_Init complains and exits
    const std::vector<RankFact> ended{{.rank = 0, .signal = SIGTERM, .ended_us = 5},
                                      {.rank = 1, .signal = SIGKILL, .ended_us = 6},
                                      {.rank = 2, .exit_code = 1, .ended_us = 7}};
    for (const bool lead : {true, false}) {
        context_.lead = lead;

        const auto ending = make_ending(context_, fact(0, SIGKILL), ended);

        EXPECT_EQ(ending.code, "ServiceError");
        EXPECT_EQ(ending.rank, -1);
        EXPECT_THAT(ending.message, HasSubstr("was ended by SIGKILL"));
    }
}

TEST_F(EndingTest, ADaemonThatItsShellSawKilledWasKilled) {
    as_mpi(4);
    context_.lead = false;

    const auto ending =
        make_ending(context_, fact(128 + SIGKILL), {RankFact{.rank = 2, .exit_code = 195, .ended_us = 5}});

    EXPECT_EQ(ending.code, "ServiceError");
    EXPECT_EQ(ending.signal, SIGKILL);
    EXPECT_THAT(ending.message, HasSubstr("Open MPI's daemon on node node-1 was ended by SIGKILL"));
}

TEST_F(EndingTest, MpirunThatLostANodeBlamesNoRankThatItEndedItself) {
    as_mpi(4);

    const auto ending = make_ending(context_, fact(205), {RankFact{.rank = 0, .signal = SIGTERM, .ended_us = 5}});

    EXPECT_EQ(ending.code, "ServiceError");
    EXPECT_THAT(ending.message, HasSubstr("connection to another node"));
}

TEST_F(EndingTest, ADaemonThatWasKilledElsewhereIsTheCause) {
    as_mpi(6);
    const auto lead = make_ending(context_, fact(205), {RankFact{.rank = 0, .signal = SIGTERM, .ended_us = 5}});
    context_.lead = false;
    context_.node = "node-3";
    const auto killed = make_ending(context_, fact(0, SIGKILL), {});
    const auto collateral = make_ending(context_, fact(0), {RankFact{.rank = 2, .signal = SIGTERM, .ended_us = 5}});
    const auto culprit = make_ending(context_, fact(0), {RankFact{.rank = 3, .exit_code = 7, .ended_us = 5}});

    EXPECT_THAT(merge_endings(lead, {{1, collateral}, {2, killed}}).message,
                HasSubstr("daemon on node node-3 was ended"));
    EXPECT_EQ(merge_endings(lead, {{1, collateral}}).code, "ServiceError");
    EXPECT_EQ(merge_endings(lead, {{1, culprit}, {2, killed}}).rank, 3);
}

TEST_F(EndingTest, ADaemonThatEndedWellDoesNotHideItsRank) {
    as_mpi(4);
    context_.lead = false;

    const auto ending = make_ending(
        context_, fact(0), {RankFact{.rank = 2, .ended_us = 1}, RankFact{.rank = 3, .exit_code = 11, .ended_us = 2}});

    EXPECT_EQ(ending.rank, 3);
    EXPECT_EQ(ending.exit_code, 11);
    EXPECT_EQ(ending.code, "UserError");
}

TEST_F(EndingTest, ARankThatDiedBeforeItWasThroughWithMpiInitIsKnownByMpirunsCode) {
    as_mpi(4);
    const RankFact early{.rank = 0, .signal = SIGKILL, .ended_us = 1'000};
    const RankFact late{.rank = 1, .signal = SIGTERM, .ended_us = 1'000'000};
    const RankFact later{.rank = 1, .signal = SIGKILL, .ended_us = 2'000'000};
    const int signal = unnamed_signal(context_, fact(128 + SIGKILL));

    const auto here = make_ending(context_, fact(128 + SIGKILL), {early, late});
    const auto consequence = make_ending(context_, fact(128 + SIGKILL), {later});
    const auto nothing_here = make_ending(context_, fact(128 + SIGKILL), {late});
    context_.lead = false;
    const auto elsewhere = make_ending(context_, fact(0), {RankFact{.rank = 3, .signal = SIGKILL, .ended_us = 500}});

    EXPECT_EQ(signal, SIGKILL);
    EXPECT_EQ(here.rank, 0);
    EXPECT_EQ(here.code, "UserError");
    EXPECT_EQ(merge_endings(consequence, {{1, elsewhere}}, signal).rank, 3);
    EXPECT_EQ(merge_endings(nothing_here, {{1, elsewhere}}, signal).rank, 3);
    EXPECT_EQ(nothing_here.rank, -1);
    EXPECT_EQ(merge_endings(here, {}, signal).rank, 0);
}

TEST_F(EndingTest, ALostNodeIsTheServicesFault) {
    as_mpi(4);

    const auto ending = make_ending(context_, fact(205), {});

    EXPECT_EQ(ending.code, "ServiceError");
    EXPECT_EQ(ending.rank, -1);
    EXPECT_THAT(ending.message, HasSubstr("connection to another node"));
}

TEST_F(EndingTest, AGoodLeadStaysGood) {
    proto::Ending lead;
    lead.started = true;
    proto::Ending other;
    other.rank = 1;
    other.code = "UserError";

    EXPECT_TRUE(merge_endings(lead, {{1, other}}).ok());
}

TEST_F(EndingTest, TheTailHasTwentyLines) {
    std::string text;
    for (int line = 0; line < 100; ++line) {
        text += "line " + std::to_string(line) + "\n";
    }
    write("log", text);

    const auto tail = log_tail(folder_ / "log");

    EXPECT_TRUE(tail.starts_with("line 80\n"));
    EXPECT_TRUE(tail.ends_with("line 99\n"));
}

TEST_F(EndingTest, TheTailIsBoundedAndClean) {
    write("log", std::string(300'000, 'x') + "\n\xff\xfe"
                                             "bin\x01"
                                             "ary\r\nlast without end \xe2\x82");

    const auto tail = log_tail(folder_ / "log");

    EXPECT_TRUE(is_utf8(tail));
    EXPECT_LE(tail.size(), 8192U);
    EXPECT_THAT(tail, HasSubstr("\xEF\xBF\xBD\xEF\xBF\xBD"
                                "bin ary \n"));
    EXPECT_THAT(tail, HasSubstr("last without end \xEF\xBF\xBD\xEF\xBF\xBD\n"));
    std::string_view rest(tail);
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        EXPECT_LE(end, 400U);
        rest.remove_prefix(end + 1);
    }
}

TEST_F(EndingTest, AnEmptyOrMissingLogHasNoTail) {
    write("empty", "");

    EXPECT_EQ(log_tail(folder_ / "empty"), "");
    EXPECT_EQ(log_tail(folder_ / "missing"), "");
}

TEST_F(EndingTest, MpirunsWordsAreUnderstood) {
    EXPECT_EQ(rank_named_by_mpirun("mpirun noticed that process rank 12 with PID 0 on node w1 exited on signal 9"), 12);
    EXPECT_EQ(rank_named_by_mpirun("  Process name: [[5,1],7]\n  Exit code:    3\n"), 7);
    EXPECT_EQ(rank_named_by_mpirun("  Process name: [prterun-zz1-77@1,5]\n  Exit code:    3, or so\n"), 5);
    EXPECT_EQ(rank_named_by_mpirun("prterun noticed that process rank 3 with PID 9 on node w1 exited on signal 9"), 3);
    EXPECT_EQ(rank_named_by_mpirun("MPI_ABORT was invoked on rank 4 in communicator MPI_COMM_WORLD\n"), 4);
    EXPECT_EQ(rank_named_by_mpirun("all is well"), -1);
    EXPECT_EQ(rank_named_by_mpirun("Process name: [["), -1);
}

TEST(Facts, AreReadAsTheShimWritesThem) {
    const fs::path folder = fs::temp_directory_path() / ("linarite-facts-" + random_hex(6));
    fs::create_directories(folder);
    EXPECT_FALSE(*read_exit_fact(folder));
    ASSERT_TRUE(write_file_durably(folder / "exit.json", R"({"started":true,"error":"","exit_code":3,"signal":0,
        "out_of_memory":false,"timed_out":false,"stopped":true,"stragglers_killed":true,"duration_ms":12,"ended_ms":34,
        "max_rss_bytes":56,"user_ms":1,"system_ms":2,"fence":"7"})"));
    ASSERT_TRUE(write_file_durably(folder / "rank-1.json", R"({"rank":1,"exit_code":0,"signal":9,"ended_us":5})"));
    ASSERT_TRUE(write_file_durably(folder / "rank-2.json", "{broken"));

    const auto fact = read_exit_fact(folder);
    const auto ranks = read_rank_facts(folder);

    ASSERT_TRUE(fact && *fact);
    EXPECT_EQ((*fact)->exit_code, 3);
    EXPECT_TRUE((*fact)->stopped && (*fact)->stragglers_killed);
    EXPECT_EQ((*fact)->duration, Millis(12));
    ASSERT_EQ(ranks.size(), 1U);
    EXPECT_EQ(ranks[0].signal, 9);
    ASSERT_TRUE(write_file_durably(folder / "exit.json", "{broken"));
    EXPECT_FALSE(read_exit_fact(folder));
    fs::remove_all(folder);
}

TEST_F(EndingTest, OfTheRanksThatWeStartTheFirstToFailIsNamed) {
    as(proto::LaunchKind::process_group, 2, 2);
    context_.node_index = 1;
    write("70_driver_log_3.txt", "loss is nan\n");
    const std::vector<RankFact> ranks{{.rank = 2, .signal = SIGTERM, .told = true, .ended_us = 5},
                                      {.rank = 3, .exit_code = 7, .ended_us = 9}};

    const auto ending = make_ending(context_, fact(7), ranks);

    EXPECT_EQ(ending.rank, 3);
    EXPECT_EQ(ending.rank_ended_us, 9);
    EXPECT_EQ(ending.code, "UserError");
    EXPECT_THAT(ending.message, HasSubstr("User process 'train.py' exited with status code 7 (rank 3, node node-1)."));
    EXPECT_THAT(ending.message, HasSubstr("loss is nan"));
}

TEST_F(EndingTest, RanksThatWereToldToEndHaveNotFailed) {
    as(proto::LaunchKind::process_group, 1, 2);
    context_.stop_reason = "node 'n2' failed";
    auto stopped = fact(143);
    stopped.stopped = true;
    const RankFact told{.rank = 0, .signal = SIGTERM, .told = true, .ended_us = 1};
    const RankFact failed{.rank = 1, .exit_code = 1, .ended_us = 2};

    EXPECT_TRUE(make_ending(context_, stopped, {told}).stopped);
    EXPECT_EQ(make_ending(context_, stopped, {told}).message, "node 'n2' failed");
    EXPECT_FALSE(make_ending(context_, stopped, {told, failed}).stopped); // it was quicker than the order
    EXPECT_EQ(make_ending(context_, stopped, {told, failed}).rank, 1);
}

TEST_F(EndingTest, AParameterServerThatIsEndedAfterItsWorkersIsNoFailureButOneThatDiesBeforeIs) {
    as(proto::LaunchKind::parameter_server, 1, 2);
    proto::RunDefinition definition;
    definition.launch = proto::LaunchKind::parameter_server;
    definition.worker_count = definition.parameter_server_count = 1;
    context_.processes = proto::process_layout(definition);
    const RankFact worker{.rank = 0};
    const RankFact ended{.rank = 1, .signal = SIGKILL, .told = true, .service = true};
    const RankFact died{.rank = 1, .exit_code = 4, .service = true};

    EXPECT_TRUE(make_ending(context_, fact(0), {worker, ended}).ok());
    EXPECT_THAT(make_ending(context_, fact(4), {died}).message,
                HasSubstr("status code 4 (parameter server 0, node node-1) before the workers had ended."));
}

TEST_F(EndingTest, WithoutARankThatFailedWhatStartsThemIsNamed) {
    as(proto::LaunchKind::process_group, 1, 2);

    const auto ending = make_ending(context_, fact(0, SIGKILL), {});

    EXPECT_EQ(ending.code, "ServiceError");
    EXPECT_THAT(ending.message, HasSubstr("What starts the processes of the run on node node-1 was ended by SIGKILL."));
}

} // namespace
} // namespace linarite::agent
