// agent/launch/supervisor.hpp: the agent's hold on the supervisor (linarite-shim) of one run.
#pragma once

#include "agent/launch/shim_job.hpp"
#include "agent/launch/spawner.hpp"
#include "agent/launch/supervisor_folder.hpp"
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
    /// Starts one as a process of this node. The job file and its facts folder must be there. Returns at once; a
    /// program that cannot be started shows in the exit fact. With a `spawner` it is forked by that, which is quicker.
    static Result<std::unique_ptr<Supervisor>> start(asio::any_io_executor executor, const fs::path& shim,
                                                     const fs::path& job_file, const fs::path& facts_dir,
                                                     Spawner* spawner = nullptr);
    /// Takes up one that a former agent process started. not_found: it never came to launch anything, and never will
    /// (a start that was under way is called off), so that a new one may be started in a *new* facts folder, or in this
    /// one after clear_facts(). A supervisor that has ended is taken up too: wait() gives its exit fact at once.
    static Result<std::unique_ptr<Supervisor>> attach(asio::any_io_executor executor, const fs::path& shim,
                                                      const fs::path& facts_dir);
    Supervisor() = default;
    virtual ~Supervisor() = default;
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Returns when nothing of the run lives any more. Error: the supervisor was lost (killed), and what it left behind
    /// has been ended (Errc::internal), or could not be ended (Errc::unavailable: try again). Call it once at a time.
    virtual asio::awaitable<Result<ExitFact>> wait() = 0;

    /// Whether it still held its lock when it was started or taken up; wait() returns at once otherwise.
    [[nodiscard]] virtual bool lives() const = 0;

    /// TERM now, KILL of everything after `grace`; a shorter grace than one given before counts. Harmless if it has
    /// ended.
    virtual Result<void> stop(Millis grace) = 0;
};

} // namespace linarite::agent
