#include "cli/exit_codes.hpp"
#include "cli/outcome.hpp"
#include "cli/report.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

Json run(const std::string& status, const Json& outcome = nullptr) {
    return Json{{"run_id", "r1"}, {"status", status}, {"reason", ""}, {"outcome", outcome}};
}

Json outcome(int exit_code, int signal = 0) {
    return Json{
        {"exit_code", exit_code}, {"signal", signal},    {"out_of_memory", false},    {"timed_out", false}, {"rank", 2},
        {"node", "node-1"},       {"code", "UserError"}, {"message", "last\nlines\n"}};
}

TEST(ExitCodeTest, ErrorsTellBadInputUnreachableAndNotFoundApart) {
    EXPECT_EQ(exit_code_of(Error(Errc::invalid_argument, "")), 2);
    EXPECT_EQ(exit_code_of(Error(Errc::too_large, "")), 2);
    EXPECT_EQ(exit_code_of(Error(Errc::unavailable, "")), 3);
    EXPECT_EQ(exit_code_of(Error(Errc::not_found, "")), 4);
    EXPECT_EQ(exit_code_of(Error(Errc::internal, "")), 1);
    EXPECT_EQ(exit_code_of(Error(Errc::unauthorized, "")), 1);
}

TEST(ExitCodeTest, ARunsExitCodeIsTheJobs) {
    EXPECT_EQ(exit_code_of_run(run("Completed", outcome(0))), 0);
    EXPECT_EQ(exit_code_of_run(run("Failed", outcome(7))), 7);
    EXPECT_EQ(exit_code_of_run(run("Failed", outcome(0, 9))), 137);
    EXPECT_EQ(exit_code_of_run(run("Failed", outcome(0))), 1);
    EXPECT_EQ(exit_code_of_run(run("Failed", outcome(-1))), 1);
    EXPECT_EQ(exit_code_of_run(run("Failed")), 1);
    EXPECT_EQ(exit_code_of_run(run("Canceled", outcome(0, 15))), 130);
}

TEST(OutcomeTest, AFailureNamesStatusPlaceAndLastLines) {
    EXPECT_EQ(describe_failure(run("Failed", outcome(3)), Terminal()),
              "Failed: exit code 3 (node node-1, rank 2)\n  last\n  lines\n");
    EXPECT_EQ(describe_failure(run("Completed", outcome(0)), Terminal()), "");
}

TEST(OutcomeTest, SignalsAreNamed) {
    Json killed = outcome(0, 9);
    EXPECT_EQ(brief_outcome(run("Failed", killed)), "SIGKILL");
    killed["out_of_memory"] = true;
    EXPECT_EQ(brief_outcome(run("Failed", killed)), "SIGKILL (out of memory)");
    killed["timed_out"] = true;
    EXPECT_EQ(brief_outcome(run("Canceled", killed)), "time limit");
    EXPECT_EQ(signal_name(200), "signal 200");
}

TEST(OutcomeTest, WhatAJobWroteCannotSpeakToTheTerminal) {
    Json evil = outcome(1);
    evil["message"] = "\x1b]0;title\x07";

    EXPECT_EQ(describe_failure(run("Failed", evil), Terminal()).find('\x1b'), std::string::npos);
}

TEST(OutcomeTest, WithoutAnOutcomeTheReasonIsSaid) {
    Json failed = run("Failed");
    failed["reason"] = "node-1 is gone";

    EXPECT_EQ(describe_failure(failed, Terminal()), "Failed\n  node-1 is gone\n");
}

TEST(FaultTest, IsSaidWithPointerAndFlag) {
    EXPECT_EQ(describe_fault({"/definition/nodeCount", "too many"}), "/nodeCount (--nodes): too many");
    EXPECT_EQ(describe_fault({"/dataReferences/x/dataStoreName", "no"}),
              "/dataReferences/x/dataStoreName (--data): no");
    EXPECT_EQ(describe_fault({"/nodeCounter", "no"}), "/nodeCounter: no");
    EXPECT_EQ(describe_fault({"/snapshot", "no"}), "/snapshot: no");
    EXPECT_EQ(describe_fault({"", "all wrong"}), "all wrong");
}

TEST(FaultTest, SeveralComeOnePerLine) {
    const Error error({{"/nodeCount", "a"}, {"/script", "b"}});

    EXPECT_EQ(describe_error(error, Terminal()),
              "linarite: 2 things are wrong:\n  /nodeCount (--nodes): a\n  /script (SCRIPT): b\n");
    EXPECT_EQ(describe_error(Error({{"/script", "b"}}), Terminal()), "linarite: /script (SCRIPT): b\n");
    EXPECT_EQ(describe_error(Error(Errc::internal, "x"), Terminal(true, true, true, 80)),
              "\x1b[31mlinarite:\x1b[0m x\n");
}

} // namespace
} // namespace linarite::cli
