// `linarite-shim ranks`: the processes of one node without mpirun.
#include "launch_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>

namespace linarite::agent {
namespace {

using test::eventually;
using test::processes_with;

class RanksTest : public LaunchTest {
protected:
    /// Processes with these scripts, in order; a service's begins with "service:".
    ShimJob ranks(const std::vector<std::string>& scripts, bool linger = false) {
        RankJob file;
        file.argv = {"/bin/sh", "-c", "eval \"$SCRIPT\""};
        file.cwd = folder_ / "wd";
        file.log_dir = folder_;
        file.facts_dir = facts();
        file.log = LogLines{{"before"}, success_line, failure_line};
        file.linger = linger;
        for (std::size_t at = 0; at < scripts.size(); ++at) {
            const bool service = scripts[at].starts_with("service:");
            const std::string script = service ? scripts[at].substr(8) : scripts[at];
            file.processes.push_back({static_cast<int>(at), std::to_string(at), service, {{"SCRIPT", script}}});
        }
        EXPECT_TRUE(write_rank_file(folder_ / "ranks.json", file));
        auto out = job("");
        out.argv = {shim().string(), "ranks"};
        out.env["LINARITE_RANK_FILE"] = (folder_ / "ranks.json").string();
        out.log = LogLines();
        out.signal_group = false;
        return out;
    }

    [[nodiscard]] std::string log_of(int rank) const {
        const auto text = read_file(folder_ / ("70_driver_log_" + std::to_string(rank) + ".txt"));
        return text ? *text : "";
    }

    [[nodiscard]] RankFact fact_of(int rank) const {
        const auto all = read_rank_facts(facts());
        const auto found = std::ranges::find(all, rank, &RankFact::rank);
        EXPECT_NE(found, all.end()) << "rank " << rank << " left nothing";
        return found == all.end() ? RankFact() : *found;
    }

    void wait_for(int rank, const std::string& text) {
        ASSERT_TRUE(eventually([&] { return log_of(rank).find(text) != std::string::npos; })) << log_of(rank);
    }
};

TEST_F(RanksTest, EachProcessHasItsOwnVariablesAndLog) {
    const auto fact = run(ranks({"echo I am zero; pwd", "echo I am one"}));

    EXPECT_EQ(fact.exit_code, 0);
    EXPECT_NE(log_of(0).find("before\nI am zero\n" + (folder_ / "wd").string() + "\n"), std::string::npos) << log_of(0);
    EXPECT_NE(log_of(0).find(success_line), std::string::npos);
    EXPECT_NE(log_of(1).find("I am one\n"), std::string::npos);
    EXPECT_EQ(log(), ""); // what starts them says nothing
    EXPECT_TRUE(fact_of(0).ok() && fact_of(1).ok());
}

TEST_F(RanksTest, OneThatFailsEndsTheOthers) {
    const auto fact = run(ranks({"echo up; sleep 1000", "exit 5", "echo up; sleep 1000"}));

    EXPECT_EQ(fact.exit_code, 5);
    EXPECT_EQ(fact_of(1).exit_code, 5);
    EXPECT_FALSE(fact_of(1).told);
    EXPECT_TRUE(fact_of(0).told && fact_of(2).told);
    EXPECT_EQ(fact_of(0).signal, SIGTERM);
    EXPECT_NE(log_of(1).find("failed with exit code: 5"), std::string::npos);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(RanksTest, OneThatIgnoresTermIsKilledAfterAWhile) {
    const auto fact = run(ranks({"trap '' TERM; echo deaf; while :; do sleep 1000; done",
                                 "until grep -q deaf ../*log_0.txt; do :; done; kill -9 $$"}));

    EXPECT_EQ(fact.exit_code, 128 + SIGKILL);
    EXPECT_EQ(fact_of(1).signal, SIGKILL);
    EXPECT_FALSE(fact_of(1).told);
    EXPECT_EQ(fact_of(0).signal, SIGKILL);
    EXPECT_TRUE(fact_of(0).told);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(RanksTest, AnOrderToStopReachesAllOfThemAndTheirChildren) {
    const auto supervisor =
        start(ranks({"trap 'echo saving; exit 0' TERM; echo up; sleep 1000 & wait", "echo up; sleep 1000"}));
    wait_for(0, "up\n");
    wait_for(1, "up\n");

    ASSERT_TRUE(supervisor->stop(std::chrono::seconds(20)));
    const auto fact = await(supervisor->wait());

    ASSERT_TRUE(fact);
    EXPECT_TRUE(fact->stopped);
    EXPECT_LT(fact->duration, Millis(15'000));
    EXPECT_NE(log_of(0).find("saving"), std::string::npos);
    EXPECT_NE(log_of(1).find("told to end"), std::string::npos);
    EXPECT_TRUE(fact_of(1).told);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(RanksTest, ServicesAreEndedWhenTheWorkIsOver) {
    const auto fact = run(ranks({"true", "service:trap '' TERM; while :; do sleep 1000; done"}));

    EXPECT_EQ(fact.exit_code, 0);
    EXPECT_TRUE(fact_of(1).service && fact_of(1).told);
    EXPECT_EQ(log_of(1).find("failed"), std::string::npos) << log_of(1);
    EXPECT_NE(log_of(1).find("its workers have ended"), std::string::npos);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(RanksTest, ServicesLingerForWorkersOfOtherNodesUntilTheyAreTold) {
    const auto supervisor = start(ranks({"true", "service:echo up; sleep 1000"}, true));
    wait_for(0, success_line);
    wait_for(1, "up\n");
    EXPECT_TRUE(eventually([&] { return fs::exists(facts() / "rank-0.json"); }));
    EXPECT_FALSE(fs::exists(facts() / "rank-1.json"));

    ASSERT_TRUE(supervisor->stop(std::chrono::seconds(20)));
    const auto fact = await(supervisor->wait());

    ASSERT_TRUE(fact);
    EXPECT_EQ(fact->exit_code, 0);
    EXPECT_TRUE(fact_of(1).told);
}

TEST_F(RanksTest, AServiceThatDiesEarlyIsAFailure) {
    const auto fact = run(ranks({"echo up; sleep 1000", "service:exit 4"}));

    EXPECT_EQ(fact.exit_code, 4);
    EXPECT_FALSE(fact_of(1).told);
    EXPECT_TRUE(fact_of(0).told);
}

TEST_F(RanksTest, AProgramThatIsNotThereIsSaidInItsLog) {
    auto missing = ranks({"true"});
    auto text = read_file(folder_ / "ranks.json").value();
    text.replace(text.find("/bin/sh"), 7, "/no-sh-");
    std::ofstream(folder_ / "ranks.json") << text;

    const auto fact = run(missing);

    EXPECT_EQ(fact.exit_code, 127);
    EXPECT_NE(log_of(0).find("cannot start '/no-sh-': No such file or directory"), std::string::npos) << log_of(0);
}

TEST_F(RanksTest, SignalsAreAsANewProcessExpectsThem) {
    run(ranks({"grep -E 'Sig(Blk|Ign)' /proc/self/status"}));

    EXPECT_NE(log_of(0).find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"), std::string::npos) << log_of(0);
}

TEST_F(RanksTest, NoProcessOutlivesWhatStartsThem) {
    const auto supervisor = start(ranks({"echo up; sleep 1000", "echo up; sleep 1000"}));
    wait_for(0, "up\n");
    wait_for(1, "up\n");
    const std::string mode = std::string(1, '\0') + "ranks" + std::string(1, '\0');
    for (const pid_t pid : processes_with(tag())) {
        const auto line = read_file("/proc/" + std::to_string(pid) + "/cmdline");
        if (line && line->find(mode) != std::string::npos) {
            ::kill(pid, SIGKILL);
        }
    }

    const auto fact = await(supervisor->wait());

    ASSERT_TRUE(fact);
    EXPECT_EQ(fact->signal, SIGKILL);
    EXPECT_TRUE(processes_with(tag()).empty());
}

} // namespace
} // namespace linarite::agent
