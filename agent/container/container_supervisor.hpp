// agent/container/container_supervisor.hpp: the agent's hold on a supervisor that runs in a container.
#pragma once

#include "agent/container/engine.hpp"
#include "agent/launch/supervisor.hpp"

#include <memory>
#include <string>

namespace linarite::agent {

/// Facts, lock and control socket are those of any supervisor, by the run's folder, which the container sees at the
/// same path. But its process is known by the container: the pid in its facts is of another PID namespace. When it
/// ends, all that runs in the container does.
class ContainerSupervisor final : public Supervisor {
public:
    ContainerSupervisor(asio::any_io_executor executor, std::shared_ptr<Engine> engine, std::string name,
                        fs::path facts_dir, bool lives);
    ~ContainerSupervisor() override;

    /// Makes the container and starts it. The job file must be there. One of that name is left from an attempt that
    /// never came to launch anything, and is removed.
    static asio::awaitable<Result<std::unique_ptr<Supervisor>>> start(asio::any_io_executor executor,
                                                                      std::shared_ptr<Engine> engine, std::string name,
                                                                      ContainerSpec spec, fs::path facts_dir);
    /// Takes up one that a former agent process started; as Supervisor::attach.
    static Result<std::unique_ptr<Supervisor>> attach(asio::any_io_executor executor, std::shared_ptr<Engine> engine,
                                                      std::string name, fs::path facts_dir);

    asio::awaitable<Result<ExitFact>> wait() override;
    [[nodiscard]] bool lives() const override { return lives_; }
    Result<void> stop(Millis grace) override;

private:
    asio::awaitable<void> await_end();
    asio::awaitable<Result<ExitFact>> without_fact();
    void remove_container();

    asio::any_io_executor executor_;
    std::shared_ptr<Engine> engine_;
    std::string name_;
    fs::path facts_dir_;
    bool lives_;
};

} // namespace linarite::agent
