// What the launch tests share: a folder, an event loop, and supervisors in it.
#pragma once

#include "agent/launch/plan.hpp"
#include "agent/launch/shim_job.hpp"
#include "agent/launch/supervisor.hpp"
#include "common/host.hpp"
#include "common/ids.hpp"
#include "support/processes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <optional>

namespace linarite::agent {

class LaunchTest : public testing::Test {
public:
    ~LaunchTest() override {
        std::error_code ec;
        fs::remove_all(folder_, ec);
    }

protected:
    LaunchTest() {
        std::string name = "/tmp/linarite-launch-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        fs::create_directories(facts());
        fs::create_directories(folder_ / "wd");
    }
    [[nodiscard]] static fs::path shim() { return fs::path(LINARITE_BIN_DIR) / "linarite-shim"; }
    [[nodiscard]] fs::path facts() const { return folder_ / "state"; }
    [[nodiscard]] fs::path job_file() const { return folder_ / "job.json"; }
    [[nodiscard]] std::string log() const { return read_file(folder_ / "log.txt", std::size_t{1} << 30U).value(); }
    /// Of every process of this test's run.
    /// Nobody else's on this machine: names in shared places have it in them.
    static Fence fence() { return 1'000'000U + static_cast<Fence>(::getpid()); }
    [[nodiscard]] std::string tag() const { return "LINARITE_RUN_TAG=" + run_ + "." + std::to_string(fence()); }

    ShimJob job(const std::string& script) const {
        ShimJob out;
        out.run = RunId(run_);
        out.fence = fence();
        out.argv = {"/bin/sh", "-c", script};
        out.env = {{"PATH", std::getenv("PATH")}};
        out.cwd = folder_ / "wd";
        out.out = folder_ / "log.txt";
        out.facts_dir = facts();
        out.stragglers = Millis(100);
        out.log = LogLines{{"before"}, success_line, failure_line};
        return out;
    }

    std::unique_ptr<Supervisor> start(const ShimJob& job) {
        EXPECT_TRUE(write_job_file(job_file(), job));
        auto started = Supervisor::start(io_.get_executor(), shim(), job_file(), facts());
        EXPECT_TRUE(started) << started.error().detail();
        return std::move(*started);
    }

    /// Runs the event loop until the coroutine is done.
    template <class T>
    T await(asio::awaitable<T> work) {
        std::optional<T> result;
        asio::co_spawn(io_, std::move(work), [&](std::exception_ptr failed, T value) {
            EXPECT_FALSE(failed);
            result.emplace(std::move(value));
        });
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        io_.restart();
        while (!result && std::chrono::steady_clock::now() < deadline) {
            io_.run_one_for(std::chrono::seconds(1));
            io_.restart();
        }
        EXPECT_TRUE(result) << "nothing happened in a minute";
        return std::move(result).value();
    }

    ExitFact run(const ShimJob& job) {
        const auto supervisor = start(job);
        const auto fact = await(supervisor->wait());
        EXPECT_TRUE(fact) << fact.error().detail();
        return fact ? *fact : ExitFact();
    }

    asio::io_context io_{1};
    fs::path folder_;
    std::string run_ = "run_" + random_hex(6);
};

} // namespace linarite::agent
