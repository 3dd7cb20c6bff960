#include "launch_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <sys/wait.h>

namespace linarite::agent {
namespace {

using test::eventually;
using test::processes_with;

class SupervisorTest : public LaunchTest {
protected:
    /// The child of this process that has `word` in its command line; 0 if there is none.
    static pid_t child_with(const std::string& word) {
        for (const pid_t pid : processes_with(std::string(1, '\0') + word)) {
            siginfo_t info{};
            if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
                return pid;
            }
        }
        return 0;
    }
};

TEST_F(SupervisorTest, ReportsTheExitCode) {
    for (const int code : {0, 1, 7, 127, 255}) {
        ASSERT_TRUE(clear_facts(facts()));

        const auto fact = run(job("exit " + std::to_string(code)));

        EXPECT_TRUE(fact.started);
        EXPECT_EQ(fact.exit_code, code);
        EXPECT_EQ(fact.signal, 0);
        EXPECT_FALSE(fact.stopped || fact.timed_out || fact.out_of_memory || fact.stragglers_killed);
    }
}

TEST_F(SupervisorTest, ReportsTheSignalThatEndedTheProcess) {
    for (const int signal : {SIGHUP, SIGINT, SIGKILL, SIGSEGV, SIGTERM, SIGABRT, SIGUSR1, SIGPIPE}) {
        ASSERT_TRUE(clear_facts(facts()));

        const auto fact = run(job("kill -" + std::to_string(signal) + " $$"));

        EXPECT_EQ(fact.signal, signal);
        EXPECT_EQ(fact.exit_code, 0);
        EXPECT_FALSE(fact.out_of_memory);
    }
}

TEST_F(SupervisorTest, FramesTheOutputInTheLog) {
    auto quiet = job("echo out; echo err >&2; printf 'no end of line'");

    run(quiet);

    EXPECT_TRUE(log().starts_with("["));
    EXPECT_NE(log().find("Z] before\nout\nerr\nno end of line\n["), std::string::npos) << log();
    EXPECT_NE(log().find(success_line), std::string::npos);
}

TEST_F(SupervisorTest, TheLogOfAFailureNamesTheCode) {
    run(job("exit 3"));

    EXPECT_NE(log().find("The experiment failed with exit code: 3. Finalizing run..."), std::string::npos) << log();
}

TEST_F(SupervisorTest, AProgramThatIsNotThereIsSaidSo) {
    auto missing = job("");
    missing.argv = {"no-such-program"};

    const auto fact = run(missing);

    EXPECT_FALSE(fact.started);
    EXPECT_EQ(fact.exit_code, 127);
    EXPECT_EQ(fact.error, "cannot start 'no-such-program': No such file or directory");
    EXPECT_NE(log().find(fact.error), std::string::npos);
}

TEST_F(SupervisorTest, AWorkingDirectoryThatIsNotThereIsSaidSo) {
    auto lost = job("true");
    lost.cwd = folder_ / "nowhere";

    const auto fact = run(lost);

    EXPECT_FALSE(fact.started);
    EXPECT_NE(fact.error.find("nowhere"), std::string::npos);
}

TEST_F(SupervisorTest, NothingIsInherited) {
    auto clean = job("env; ls -l /proc/self/fd | wc -l");
    clean.env["ONLY"] = "this";

    run(clean);

    EXPECT_NE(log().find("ONLY=this"), std::string::npos);
    EXPECT_EQ(log().find("HOME="), std::string::npos);
    EXPECT_NE(log().find("\n5\n"), std::string::npos) << log(); // 0, 1, 2, ls's own folder, and "total 0"
}

TEST_F(SupervisorTest, SignalsAreAsANewProcessExpectsThem) {
    run(job("grep -E 'Sig(Blk|Ign)' /proc/self/status"));

    EXPECT_NE(log().find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"), std::string::npos) << log();
}

TEST_F(SupervisorTest, TemporaryFoldersLiveAsLongAsTheRun) {
    auto with_tmp = job("touch tmp-was-there \"$TMPDIR/a\" && ls -d $TMPDIR");
    with_tmp.env["TMPDIR"] = (folder_ / "tmp").string();
    with_tmp.folders = {folder_ / "tmp"};

    const auto fact = run(with_tmp);

    EXPECT_EQ(fact.exit_code, 0);
    EXPECT_FALSE(fs::exists(folder_ / "tmp"));
}

TEST_F(SupervisorTest, ALineOfAHundredMegabytesIsKept) {
    const auto fact = run(job("head -c 100000000 /dev/zero | tr '\\0' x"));

    EXPECT_EQ(fact.exit_code, 0);
    EXPECT_GT(fs::file_size(folder_ / "log.txt"), 100'000'000U);
}

TEST_F(SupervisorTest, TheTimeLimitEndsTheRun) {
    auto slow = job("sleep 1000");
    slow.limit = Millis(50);
    slow.grace = Millis(5'000);

    const auto fact = run(slow);

    EXPECT_TRUE(fact.timed_out);
    EXPECT_FALSE(fact.stopped);
    EXPECT_EQ(fact.signal, SIGTERM);
    EXPECT_LT(fact.duration, Millis(4'000));
    EXPECT_NE(log().find("time limit"), std::string::npos);
}

TEST_F(SupervisorTest, WhoIgnoresTermAtTheTimeLimitIsKilled) {
    auto deaf = job("trap '' TERM; while :; do sleep 1000; done");
    deaf.limit = Millis(300); // long enough for the shell to have set its trap
    deaf.grace = Millis(100);

    const auto fact = run(deaf);

    EXPECT_TRUE(fact.timed_out);
    EXPECT_EQ(fact.signal, SIGKILL);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(SupervisorTest, AStopGivesTimeToTidyUp) {
    const auto supervisor = start(job("trap 'echo tidy; exit 5' TERM; echo up; while :; do sleep 0.01; done"));
    ASSERT_TRUE(eventually([&] { return fs::exists(folder_ / "log.txt") && log().find("up\n") != std::string::npos; }));

    ASSERT_TRUE(supervisor->stop(Millis(10'000)));
    const auto fact = await(supervisor->wait());

    EXPECT_TRUE(fact->stopped);
    EXPECT_EQ(fact->exit_code, 5);
    EXPECT_NE(log().find("tidy"), std::string::npos);
}

TEST_F(SupervisorTest, AStopRightAfterTheStartIsNotLost) {
    const auto supervisor = start(job("sleep 1000"));

    ASSERT_TRUE(supervisor->stop(Millis(100)));
    const auto fact = await(supervisor->wait());

    EXPECT_TRUE(fact->stopped);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(SupervisorTest, AnUrgentStopCutsALongGraceShort) {
    const auto supervisor = start(job("trap '' TERM; echo up; while :; do sleep 1000; done"));
    ASSERT_TRUE(eventually([&] { return fs::exists(folder_ / "log.txt") && log().find("up\n") != std::string::npos; }));

    ASSERT_TRUE(supervisor->stop(Millis(600'000)));
    ASSERT_TRUE(supervisor->stop(Millis(0)));
    const auto fact = await(supervisor->wait());

    EXPECT_EQ(fact->signal, SIGKILL);
    EXPECT_TRUE(fact->stopped);
}

TEST_F(SupervisorTest, OneFolderHasOneSupervisor) {
    const auto first = start(job("exec sleep 1000"));
    ASSERT_TRUE(eventually([&] { return fs::exists(facts() / "started.json"); }));

    const auto second = Supervisor::start(io_.get_executor(), shim(), job_file(), facts());
    const auto refused = clear_facts(facts());

    EXPECT_EQ(refused.error().code(), Errc::conflict);
    int status = 0;
    ASSERT_GT(::waitpid(-1, &status, 0), 0); // the second one goes by itself, the first one stays
    EXPECT_EQ(WEXITSTATUS(status), 2);
    EXPECT_TRUE(eventually([&] { return processes_with(tag()).size() == 1; }));
    ASSERT_TRUE(first->stop(Millis(0)));
    EXPECT_TRUE(await(first->wait())->stopped);
}

TEST_F(SupervisorTest, AWarmShimStartsOneSupervisorAfterTheOther) {
    Spawner spawner(shim());
    for (const int code : {0, 3, 0}) {
        ASSERT_TRUE(clear_facts(facts()));
        ASSERT_TRUE(write_job_file(job_file(), job("exit " + std::to_string(code))));

        const auto started = Supervisor::start(io_.get_executor(), shim(), job_file(), facts(), &spawner);
        ASSERT_TRUE(started) << started.error().detail();
        const auto fact = await((*started)->wait());

        ASSERT_TRUE(fact) << fact.error().detail();
        EXPECT_EQ(fact->exit_code, code);
        EXPECT_TRUE(read_file(facts() / "supervisor.err").value().empty());
        EXPECT_GT(child_with("spawner"), 0);
    }
}

TEST_F(SupervisorTest, ASupervisorOutlivesTheShimThatForkedIt) {
    ASSERT_TRUE(write_job_file(job_file(), job("while [ ! -e go ]; do sleep 0.01; done; exit 4")));
    auto spawner = std::make_unique<Spawner>(shim());
    const auto started = Supervisor::start(io_.get_executor(), shim(), job_file(), facts(), spawner.get());
    ASSERT_TRUE(started) << started.error().detail();
    ASSERT_TRUE(eventually([&] { return fs::exists(facts() / "started.json"); }));
    // its namespace's first process is a copy of it
    EXPECT_FALSE(processes_with("supervise" + std::string(1, '\0') + job_file().string()).empty());

    spawner.reset();
    ASSERT_TRUE(write_file_durably(folder_ / "wd/go", ""));
    const auto fact = await((*started)->wait());

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_EQ(fact->exit_code, 4);
}

TEST_F(SupervisorTest, AWarmShimThatWasKilledIsReplaced) {
    Spawner spawner(shim());
    for (int round = 0; round < 2; ++round) {
        ASSERT_TRUE(clear_facts(facts()));
        ASSERT_TRUE(write_job_file(job_file(), job("exit 5")));
        const auto started = Supervisor::start(io_.get_executor(), shim(), job_file(), facts(), &spawner);
        ASSERT_TRUE(started) << started.error().detail();
        EXPECT_EQ(await((*started)->wait())->exit_code, 5);

        const pid_t warm = child_with("spawner");
        ASSERT_GT(warm, 0);
        ASSERT_EQ(::kill(warm, SIGKILL), 0);
        siginfo_t info{};
        ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(warm), &info, WEXITED | WNOWAIT), 0);
    }
}

TEST_F(SupervisorTest, WhatNoShimForksIsExecuted) {
    Spawner broken(folder_ / "no-such-shim");
    ASSERT_TRUE(write_job_file(job_file(), job("exit 8")));

    const auto started = Supervisor::start(io_.get_executor(), shim(), job_file(), facts(), &broken);

    ASSERT_TRUE(started) << started.error().detail();
    EXPECT_EQ(await((*started)->wait())->exit_code, 8);
}

TEST_F(SupervisorTest, AnotherAgentTakesUpWhatOneStarted) {
    // Process A, the former agent, starts the supervisor and dies at once.
    ASSERT_TRUE(write_job_file(job_file(), job("while [ ! -e go ]; do sleep 0.01; done; exit 4")));
    const pid_t former = ::fork();
    if (former == 0) {
        asio::io_context io(1);
        const auto started = Supervisor::start(io.get_executor(), shim(), job_file(), facts());
        ::_exit(started ? 0 : 1);
    }
    int status = 1;
    ASSERT_EQ(::waitpid(former, &status, 0), former);
    ASSERT_EQ(status, 0);
    ASSERT_TRUE(eventually([&] { return fs::exists(facts() / "started.json"); }));

    const auto taken = Supervisor::attach(io_.get_executor(), shim(), facts());
    ASSERT_TRUE(taken) << taken.error().detail();
    ASSERT_TRUE(write_file_durably(folder_ / "wd/go", ""));
    const auto fact = await((*taken)->wait());

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_EQ(fact->exit_code, 4);
}

TEST_F(SupervisorTest, WhatHasEndedMeanwhileIsTakenUpToo) {
    run(job("exit 6"));

    const auto taken = Supervisor::attach(io_.get_executor(), shim(), facts());
    ASSERT_TRUE(taken);

    EXPECT_EQ(await((*taken)->wait())->exit_code, 6);
}

TEST_F(SupervisorTest, AStartThatWasCalledOffNeverHappens) {
    const auto taken = Supervisor::attach(io_.get_executor(), shim(), facts());
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code(), Errc::not_found);

    const auto late = start(job("touch ran"));
    const auto fact = await(late->wait());

    EXPECT_FALSE(fact);
    EXPECT_NE(fact.error().detail().find("called off"), std::string::npos) << fact.error().detail();
    EXPECT_FALSE(fs::exists(folder_ / "wd/ran"));
}

// --- every way to hold a tree together ---

class ContainmentTest : public LaunchTest, public testing::WithParamInterface<Containment> {
protected:
    void SetUp() override {
        if (::geteuid() != 0 && GetParam() != Containment::sweep && GetParam() != Containment::automatic) {
            GTEST_SKIP() << "an ordinary user has the sweep alone";
        }
    }
    ShimJob held(const std::string& script) const {
        auto out = job(script);
        out.containment = GetParam();
        return out;
    }
};

TEST_P(ContainmentTest, ADaemonThatHoldsTheLogIsGone) {
    // setsid and a double fork, an empty environment, stdout kept
    auto leaving = held("(setsid env -i sleep 54" + std::to_string(::getpid()) +
                        " &) ; (setsid sh -c 'sleep 1000 & ' &) ; exit 3");

    const auto fact = run(leaving);

    EXPECT_EQ(fact.exit_code, 3);
    EXPECT_TRUE(fact.stragglers_killed);
    EXPECT_TRUE(processes_with(tag()).empty());
    EXPECT_TRUE(processes_with("54" + std::to_string(::getpid())).empty());
}

TEST_P(ContainmentTest, AShortLivedStragglerMayFinish) {
    auto patient = held("(sleep 0.2; echo later) & exit 0");
    patient.stragglers = Millis(20'000);

    const auto fact = run(patient);

    EXPECT_FALSE(fact.stragglers_killed);
    EXPECT_NE(log().find("later"), std::string::npos);
}

TEST_P(ContainmentTest, AForkLoopIsKilled) {
    auto loop = held("trap '' TERM; f() { sleep 0.01; (f &) ; (sleep 0.05 &) ; }; echo up; "
                     "while :; do (f &) ; sleep 0.005; done");
    loop.limit = Millis(150);
    loop.grace = Millis(50);

    const auto fact = run(loop);

    EXPECT_TRUE(fact.timed_out);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_P(ContainmentTest, AStoppedProcessIsEndedToo) {
    const auto supervisor = start(held("kill -STOP $$"));
    ASSERT_TRUE(eventually([&] { return fs::exists(facts() / "started.json"); }));

    ASSERT_TRUE(supervisor->stop(Millis(20'000)));
    const auto fact = await(supervisor->wait());

    EXPECT_EQ(fact->signal, SIGTERM);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_P(ContainmentTest, NothingSurvivesItsSupervisor) {
    const auto supervisor = start(held("(setsid sleep 1000 &) ; sleep 1000"));
    ASSERT_TRUE(eventually([&] { return processes_with(tag()).size() >= 2; }));
    const auto pid = read_file(facts() / "lock");
    ASSERT_EQ(::kill(std::stoi(*pid), SIGKILL), 0);

    const auto fact = await(supervisor->wait());

    ASSERT_FALSE(fact);
    EXPECT_EQ(fact.error().code(), Errc::internal);
    EXPECT_NE(fact.error().detail().find("supervisor was lost"), std::string::npos);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_P(ContainmentTest, NoGroupIsLeftBehind) {
    run(held("exit 0"));

    for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"}) {
        std::error_code ec;
        for (const auto& entry : fs::directory_iterator(root, ec)) {
            EXPECT_EQ(entry.path().filename().string().find("linarite-" + run_), std::string::npos) << entry.path();
        }
    }
}

TEST_P(ContainmentTest, ItIsWhatWasAskedFor) {
    run(held("exit 0"));

    const auto fact = read_file(facts() / "supervisor.json");
    const std::string wanted = GetParam() == Containment::pid_namespace ? "pid_namespace"
                               : GetParam() == Containment::freezer     ? "freezer"
                               : GetParam() == Containment::cgroup      ? "cgroup"
                               : GetParam() == Containment::sweep       ? "sweep"
                                                                        : "";
    EXPECT_NE(fact->find(wanted), std::string::npos) << *fact;
}

INSTANTIATE_TEST_SUITE_P(All, ContainmentTest,
                         testing::Values(Containment::automatic, Containment::pid_namespace, Containment::cgroup,
                                         Containment::freezer, Containment::sweep),
                         [](const auto& info) {
                             switch (info.param) {
                             case Containment::automatic: return "Automatic";
                             case Containment::pid_namespace: return "PidNamespace";
                             case Containment::cgroup: return "Cgroup";
                             case Containment::freezer: return "Freezer";
                             case Containment::sweep: return "Sweep";
                             }
                             return "";
                         });

TEST_F(SupervisorTest, AProcessSeesOnlyItsOwnRunWhereTheKernelLetsUs) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root";
    }
    auto inside = job("echo pid $$; cat /proc/1/comm");
    inside.containment = Containment::pid_namespace;

    run(inside);

    EXPECT_NE(log().find("before\npid 2\nlinarite-shim\n"), std::string::npos) << log();
}

class NobodysSupervisorTest : public SupervisorTest {
protected:
    Result<ExitFact> run_as_nobody(const ShimJob& job) {
        EXPECT_TRUE(write_file_durably(folder_ / "as-nobody",
                                       "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups " +
                                           shim().string() + " \"$@\"\n",
                                       0755));
        EXPECT_TRUE(write_job_file(job_file(), job));
        for (const auto& path : {folder_, folder_ / "wd", facts(), job_file()}) {
            EXPECT_EQ(::chown(path.c_str(), 65534, 65534), 0);
        }
        const auto started = Supervisor::start(io_.get_executor(), folder_ / "as-nobody", job_file(), facts());
        return started ? await((*started)->wait()) : Result<ExitFact>(started.error());
    }
};

TEST_F(NobodysSupervisorTest, WhatCannotBeMountedLeavesTheRunWhereItIs) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root to become another user";
    }
    auto sees = job("cat /proc/self/uid_map");
    sees.views = {{folder_ / "wd", "/proc/none"}}; // there is no place for changes

    const auto fact = run_as_nobody(sees);

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_EQ(fact->exit_code, 0);
    const auto ours = read_file("/proc/self/uid_map");
    EXPECT_NE(log().find(*ours), std::string::npos) << "it is in a user namespace for nothing: " << log();
}

TEST_F(NobodysSupervisorTest, AnOrdinaryUserHasTheSameGuarantees) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "the other tests run as one already";
    }
    const auto fact = run_as_nobody(job("(setsid sleep 1000 &) ; id -u; exit 3"));

    ASSERT_TRUE(fact) << fact.error().detail();
    EXPECT_EQ(fact->exit_code, 3);
    EXPECT_TRUE(fact->stragglers_killed);
    EXPECT_NE(log().find("\n65534\n"), std::string::npos);
    EXPECT_TRUE(processes_with(tag()).empty());
}

} // namespace
} // namespace linarite::agent
