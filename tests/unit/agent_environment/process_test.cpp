#include "agent/environment/file_lock.hpp"
#include "agent/environment/process.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using Lines = std::vector<std::string>;

class ProcessTest : public testing::Test {
protected:
    Result<ProcessEnd> sh(const std::string& script, Millis limit = std::chrono::seconds(30)) {
        ProcessOrder order;
        order.arguments = {"/bin/sh", "-c", script};
        order.variables = {{"PATH", "/usr/bin:/bin"}, {"GREETING", "hello"}};
        order.limit = limit;
        return test::run(io, run_process(
                                 std::move(order), [this](std::string_view line) { take(line); }, cancel));
    }
    void take(std::string_view line) {
        lines.emplace_back(line);
        if (on_line) {
            on_line();
        }
    }
    asio::io_context io;
    CancelToken cancel;
    Lines lines;
    std::function<void()> on_line;
};

TEST_F(ProcessTest, GivesLinesOfBothStreamsAndTheExitCode) {
    const auto end = sh("echo $GREETING; echo b >&2; printf 'no end'; exit 7");

    ASSERT_TRUE(end);
    EXPECT_EQ(end->exit_code, 7);
    EXPECT_EQ(end->signal, 0);
    EXPECT_THAT(lines, ElementsAre("hello", "b", "no end"));
}

TEST_F(ProcessTest, TellsASignalFromAnExit) {
    const auto end = sh("kill -TERM $$");

    EXPECT_EQ(end->signal, SIGTERM);
    EXPECT_FALSE(end->ok());
}

TEST_F(ProcessTest, LosesNothingOfALargeOutput) {
    const auto end = sh("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");

    EXPECT_TRUE(end->ok());
    ASSERT_EQ(lines.size(), 20000U);
    EXPECT_EQ(lines.back(), "line 19999");
}

TEST_F(ProcessTest, DoesNotWaitForADaemonThatHoldsItsOutput) {
    const auto end = sh("setsid sleep 60 & echo $!");

    EXPECT_TRUE(end->ok());
    ASSERT_EQ(lines.size(), 1U);
    ::kill(std::stoi(lines[0]), SIGKILL);
}

TEST_F(ProcessTest, CancellingKillsTheWholeGroup) {
    on_line = [this] { cancel.cancel(); };

    const auto end = sh("sleep 60 & echo $!; wait");

    EXPECT_TRUE(end->cancelled);
    ASSERT_EQ(lines.size(), 1U);
    const int left = std::stoi(lines[0]);
    EXPECT_TRUE(test::run_until(io, [left] { return !test::is_running(left); }));
}

TEST_F(ProcessTest, TheLimitKillsIt) {
    const auto end = sh("sleep 60", Millis(20));

    EXPECT_TRUE(end->timed_out);
    EXPECT_EQ(end->signal, SIGKILL);
}

TEST_F(ProcessTest, AMissingExecutableIsAnError) {
    ProcessOrder order;
    order.arguments = {"/no/such/tool"};

    const auto end = test::run(io, run_process(
                                       std::move(order), [](std::string_view) {}, cancel));

    EXPECT_EQ(end.error().code(), Errc::not_found);
}

TEST_F(ProcessTest, ALockGoesToTheNextWhenItsHolderLetsGo) {
    const test::Scratch scratch;
    auto first = test::run(io, lock_file(
                                   scratch / "l", [] { FAIL(); }, cancel));
    ASSERT_TRUE(first);
    std::optional<Result<UniqueFd>> second;
    asio::co_spawn(io,
                   lock_file(
                       scratch / "l", [&] { asio::post(io, [&] { first->reset(); }); }, cancel),
                   [&](std::exception_ptr, Result<UniqueFd> got) { second = std::move(got); });

    EXPECT_TRUE(test::run_until(io, [&] { return second.has_value(); }));

    EXPECT_TRUE(second->has_value());
}

TEST_F(ProcessTest, WaitingForALockCanBeCancelled) {
    const test::Scratch scratch;
    const auto first = test::run(io, lock_file(
                                         scratch / "l", [] {}, cancel));
    const CancelToken stop;

    const auto second = test::run(io, lock_file(
                                          scratch / "l", [&] { asio::post(io, [stop] { stop.cancel(); }); }, stop));

    EXPECT_EQ(second.error().code(), Errc::conflict);
}

TEST_F(ProcessTest, AChildKeepsTheLockThatItWasGiven) {
    const test::Scratch scratch;
    auto lock = test::run(io, lock_file(
                                  scratch / "l", [] {}, cancel));
    ASSERT_TRUE(lock);
    ProcessOrder order;
    order.arguments = {"/bin/sh", "-c", "echo up; exec sleep 60"};
    order.variables = {{"PATH", "/usr/bin:/bin"}};
    order.keep_fd = lock->get();
    bool up = false;
    bool over = false;
    asio::co_spawn(io,
                   run_process(
                       std::move(order), [&](std::string_view) { up = true; }, cancel),
                   [&](std::exception_ptr, Result<ProcessEnd>) { over = true; });
    ASSERT_TRUE(test::run_until(io, [&] { return up; }));
    lock->reset();
    bool waited = false;

    const auto next = test::run(io, lock_file(
                                        scratch / "l",
                                        [&] {
                                            waited = true;
                                            asio::post(io, [&] { cancel.cancel(); });
                                        },
                                        CancelToken()));

    EXPECT_TRUE(waited);
    EXPECT_TRUE(next);
    EXPECT_TRUE(test::run_until(io, [&] { return over; }));
}

} // namespace
} // namespace linarite::agent
