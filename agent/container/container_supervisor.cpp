#include "agent/container/container_supervisor.hpp"

#include "agent/container/container_tool.hpp"
#include "agent/launch/process_handle.hpp"
#include "async/async.hpp"

#include <boost/asio/co_spawn.hpp>
#include <spdlog/spdlog.h>

#include <csignal>

namespace linarite::agent {

namespace {

constexpr Millis between_looks{1'000};     // at a run whose engine is away
constexpr Millis between_glances{20};      // at one whose process is not to be seen yet
constexpr Millis shim_patience{3'000};     // what the supervisor has after the grace, before its container is killed
constexpr Millis engine_patience{120'000}; // for an engine to come back and say how a container ended
constexpr std::size_t kept_output = 2'048;
constexpr const char* asked_file = "stop-asked"; // we did: a supervisor also gets a TERM from others

asio::awaitable<void> pause(Millis span) {
    asio::steady_timer timer(co_await asio::this_coro::executor, span);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

/// The container's first process, once it has begun. The tag in its environment says that it has: before that it is the
/// engine's own, which becomes ours, and whose handle tells an end when its other threads do. Where the environment
/// can't be read it is the group of the container's processes, with its id in its name, by which the handle can't be of
/// another process that got the number since.
UniqueFd open_first_process(const ContainerFacts& facts, const std::string& tag) {
    UniqueFd process = facts.pid > 0 ? open_process(facts.pid) : UniqueFd();
    const fs::path folder = "/proc/" + std::to_string(facts.pid);
    const auto groups = read_file(folder / "cgroup");
    const auto variables = read_file(folder / "environ");
    const bool by_group = groups && !facts.id.empty() && groups->find(facts.id) != std::string::npos;
    const bool ours = variables ? variables->find(tag) != std::string::npos : by_group;
    return ours ? std::move(process) : UniqueFd();
}

/// Kills the container if it is there after `after`.
asio::awaitable<void> kill_later(std::shared_ptr<Engine> engine, std::string name, fs::path facts_dir, Millis after) {
    co_await pause(after);
    UniqueFd lock;
    const auto free = lock_is_free(facts_dir, lock);
    if (!free || *free) {
        co_return; // it has ended; or its folder is gone, which comes after that
    }
    lock.reset();
    spdlog::warn("a run's container is killed, its supervisor did not end in time: container={}", name);
    if (const auto killed = co_await engine->kill(name, "KILL"); !killed) {
        spdlog::warn("a container cannot be killed: container={} cause=\"{}\"", name, killed.error().detail());
    }
}

asio::awaitable<void> remove_quietly(std::shared_ptr<Engine> engine, std::string name) {
    if (const auto removed = co_await engine->remove(name); !removed) {
        spdlog::warn("a run's container cannot be removed: container={} cause=\"{}\"", name, removed.error().detail());
    }
}

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
        out += (out.empty() ? "" : "\n") + line;
    }
    return out.size() > kept_output ? out.substr(out.size() - kept_output) : out;
}

ExitFact killed_for_memory() {
    ExitFact fact;
    fact.started = true;
    fact.signal = SIGKILL;
    fact.out_of_memory = true;
    return fact;
}

} // namespace

ContainerSupervisor::ContainerSupervisor(asio::any_io_executor executor, std::shared_ptr<Engine> engine,
                                         std::string name, fs::path facts_dir, bool lives)
    : executor_(std::move(executor)),
      engine_(std::move(engine)),
      name_(std::move(name)),
      facts_dir_(std::move(facts_dir)),
      lives_(lives) {}

ContainerSupervisor::~ContainerSupervisor() = default;

asio::awaitable<Result<std::unique_ptr<Supervisor>>> ContainerSupervisor::start(asio::any_io_executor executor,
                                                                                std::shared_ptr<Engine> engine,
                                                                                std::string name, ContainerSpec spec,
                                                                                fs::path facts_dir) {
    auto made = co_await engine->create(name, spec);
    if (!made && made.error().code() == Errc::conflict) {
        co_await engine->remove(name);
        made = co_await engine->create(name, spec);
    }
    if (!made) {
        co_return made.error().within("make the run's container");
    }
    const auto started = co_await engine->start(name);
    if (!started) {
        co_await engine->remove(name);
        co_return start_failure(started.error(), spec).within("start the run's container");
    }
    co_return std::make_unique<ContainerSupervisor>(std::move(executor), std::move(engine), std::move(name),
                                                    std::move(facts_dir), true);
}

Result<std::unique_ptr<Supervisor>> ContainerSupervisor::attach(asio::any_io_executor executor,
                                                                std::shared_ptr<Engine> engine, std::string name,
                                                                fs::path facts_dir) {
    const auto state = examine_supervisor(facts_dir);
    if (!state) {
        return state.error();
    }
    if (*state == SupervisorState::called_off) {
        return Error(Errc::not_found, "no supervisor was started in '" + facts_dir.string() + "'");
    }
    return std::make_unique<ContainerSupervisor>(std::move(executor), std::move(engine), std::move(name),
                                                 std::move(facts_dir), *state == SupervisorState::lives);
}

/// The engine is asked once, for the process; that then tells its end by itself, whether the engine lives or not.
asio::awaitable<void> ContainerSupervisor::await_end() {
    const std::string tag = "LINARITE_CONTAINER=" + name_;
    while (lives_) {
        const auto facts = co_await engine_->inspect(name_);
        if (facts ? facts->ended : facts.error().code() == Errc::not_found) {
            break;
        }
        if (UniqueFd process = facts ? open_first_process(*facts, tag) : UniqueFd()) {
            co_await await_process(executor_, process.get());
            break;
        }
        co_await pause(facts ? between_glances : between_looks);
        UniqueFd lock;
        const auto free = lock_is_free(facts_dir_, lock);
        if (free && *free && fs::exists(facts_dir_ / "exit.json")) {
            break; // the engine is away, but the supervisor has said its last word
        }
    }
    lives_ = false;
}

asio::awaitable<Result<ExitFact>> ContainerSupervisor::wait() {
    co_await await_end();
    const auto fact = read_exit_fact(facts_dir_);
    if (!fact) {
        co_return fact.error();
    }
    if (!*fact) {
        co_return co_await without_fact();
    }
    remove_container();
    std::error_code ec;
    if ((*fact)->stopped && !fs::exists(facts_dir_ / asked_file, ec)) {
        co_return Error(Errc::internal, "the run's container was told to stop from outside: by an operator, or by a "
                                        "container engine that was stopped or restarted (live-restore keeps runs)");
    }
    co_return **fact;
}

/// Nobody but the engine knows how it ended.
asio::awaitable<Result<ExitFact>> ContainerSupervisor::without_fact() {
    const auto until = std::chrono::steady_clock::now() + engine_patience;
    auto facts = co_await engine_->inspect(name_);
    while (!facts && facts.error().code() == Errc::unavailable && std::chrono::steady_clock::now() < until) {
        co_await pause(between_looks);
        facts = co_await engine_->inspect(name_);
    }
    if (!facts && facts.error().code() == Errc::not_found) {
        co_return Error(Errc::internal, "the run's container was removed from outside");
    }
    if (!facts) {
        co_return facts.error().within("find out how the run's container ended");
    }
    if (facts->running) {
        // its supervisor is gone: nobody looks after what runs there, or the engine has not seen its end yet
        co_await engine_->kill(name_, "KILL");
        const auto code = co_await engine_->wait(name_);
        const auto after = co_await engine_->inspect(name_);
        facts = after ? after : facts;
        facts->exit_code = code ? *code : facts->exit_code;
    }
    spdlog::warn("a run's container has no supervisor any more: container={} status={} exit_code={}", name_,
                 facts->status, facts->exit_code);
    std::vector<std::string> lines;
    auto* const into = &lines; // awaited here
    co_await engine_->read_output(name_, false, [into](std::string line) { into->push_back(std::move(line)); }, {});
    remove_container();
    if (facts->out_of_memory && facts->exit_code == 128 + SIGKILL) {
        co_return killed_for_memory();
    }
    std::string words = "the run's container ended with code " + std::to_string(facts->exit_code) +
                        " and without its supervisor's word: it was killed from outside";
    if (!lines.empty() || !facts->error.empty()) {
        words = "the run's supervisor ended in its container: " + (lines.empty() ? facts->error : joined(lines));
    }
    co_return Error(Errc::internal, words);
}

void ContainerSupervisor::remove_container() {
    asio::co_spawn(executor_, remove_quietly(engine_, name_), [](const std::exception_ptr& bug) {
        if (bug) {
            spdlog::error("removing a container ended by an exception");
        }
    });
}

Result<void> ContainerSupervisor::stop(Millis grace) {
    if (auto noted = replace_file(facts_dir_ / asked_file, ""); !noted) {
        return noted;
    }
    auto told = tell_to_stop(facts_dir_, grace);
    asio::co_spawn(executor_, kill_later(engine_, name_, facts_dir_, grace + shim_patience),
                   [](const std::exception_ptr& bug) {
                       if (bug) {
                           spdlog::error("killing a container ended by an exception");
                       }
                   });
    return told;
}

} // namespace linarite::agent
