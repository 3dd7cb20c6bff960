// agent/launch/supervisor.hpp: the agent's hold on the supervisor (linarite-shim) of one run.
#pragma once

#include "agent/launch/shim_job.hpp"
#include "agent/launch/spawner.hpp"
#include "common/files.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>

namespace linarite::agent {

namespace asio = boost::asio;

/// A supervisor that was started, by this agent process or by one before it. It lives on when this object or the agent
/// dies.
class Supervisor {
public:
    /// Starts one. The job file and its facts folder must be there. Returns at once; a program that cannot be started
    /// shows in the exit fact. With a `spawner` it is forked by that, which is quicker.
    static Result<std::unique_ptr<Supervisor>> start(asio::any_io_executor executor, const fs::path& shim,
                                                     const fs::path& job_file, const fs::path& facts_dir,
                                                     Spawner* spawner = nullptr);
    /// Takes up one that a former agent process started. not_found: it never came to launch anything, and never will
    /// (a start that was under way is called off), so that a new one may be started in a *new* facts folder, or in this
    /// one after clear_facts(). A supervisor that has ended is taken up too: wait() gives its exit fact at once.
    static Result<std::unique_ptr<Supervisor>> attach(asio::any_io_executor executor, const fs::path& shim,
                                                      const fs::path& facts_dir);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Returns when nothing of the run lives any more. Error: the supervisor was lost (killed), and what it left behind
    /// has been ended (Errc::internal), or could not be ended (Errc::unavailable: try again). Call it once at a time.
    asio::awaitable<Result<ExitFact>> wait();

    /// Whether it still held its lock when it was started or taken up; wait() returns at once otherwise.
    [[nodiscard]] bool lives() const { return static_cast<bool>(process_); }

    /// TERM now, KILL of everything after `grace`; a shorter grace than one given before counts. Harmless if it has
    /// ended.
    Result<void> stop(Millis grace);

private:
    Supervisor(asio::any_io_executor executor, fs::path shim, fs::path facts_dir);
    asio::awaitable<Result<void>> await_end();
    asio::awaitable<Result<void>> sweep();
    asio::any_io_executor executor_;
    fs::path shim_;
    fs::path facts_dir_;
    UniqueFd process_; // pidfd; none if it had ended before we came
};

/// Removes all facts of an earlier attempt, so that the folder can be used for another. conflict while a supervisor
/// lives there.
Result<void> clear_facts(const fs::path& facts_dir);

} // namespace linarite::agent
