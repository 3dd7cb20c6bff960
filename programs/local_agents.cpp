#include "programs/local_agents.hpp"

#include "agent/gpus.hpp"
#include "common/files.hpp"
#include "common/host.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace linarite::programs {

using namespace std::chrono_literals;
namespace proc = boost::process::v2;

namespace {

constexpr Millis first_pause = 100ms;
constexpr Millis longest_pause = 5s;
constexpr Millis stable_after = 10s; // an agent that ran this long is started again at once

/// The child hears of our death, however it comes. Runs between fork and exec.
struct DiesWithParent {
    template <class Launcher, class Path>
    boost::system::error_code on_exec_setup(Launcher&, const Path&, const char* const*) const {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        ::setpgid(0, 0); // Ctrl-C goes to `up` alone, which then stops them in order
        return {};
    }
    template <class Launcher, class Path>
    void on_exec_error(Launcher&, const Path&, const char* const*, const boost::system::error_code&) const {
        ::_exit(127);
    }
};

/// What a node is told of the machine's GPUs.
std::string share_for(const agent::Gpus& gpus, int index, int count) {
    if (!gpus) {
        return "auto"; // it will not find any either
    }
    std::string list;
    for (const std::string& device : agent::share_of(*gpus, index, count)) {
        list += (list.empty() ? "" : ",") + device;
    }
    return list.empty() ? "none" : list;
}

} // namespace

struct LocalAgents::State : std::enable_shared_from_this<LocalAgents::State> {
    State(asio::io_context& loop, server::App& app, LocalAgentOptions given)
        : io(loop), coordinator(app), options(std::move(given)) {}

    asio::io_context& io;
    server::App& coordinator;
    LocalAgentOptions options;
    std::map<std::string, std::string> gpus; // by node
    std::map<std::string, pid_t> pids;
    int running = 0;
    bool stopping = false;
    std::set<asio::steady_timer*> pauses;
    std::shared_ptr<asio::steady_timer> all_gone;

    asio::awaitable<Result<void>> prepare(const std::string& name);
    asio::awaitable<void> keep(std::string name);
    asio::awaitable<void> run_once(const std::string& name);
};

LocalAgents::LocalAgents(asio::io_context& io, server::App& coordinator, LocalAgentOptions options)
    : state_(std::make_shared<State>(io, coordinator, std::move(options))) {
    state_->all_gone = std::make_shared<asio::steady_timer>(io, asio::steady_timer::time_point::max());
}

LocalAgents::~LocalAgents() = default;

// A first start needs a join string; it waits in the agent's directory, readable for its owner alone.
asio::awaitable<Result<void>> LocalAgents::State::prepare(const std::string& name) {
    const fs::path folder = options.data.agent(name);
    if (auto made = make_folders(folder, 0700); !made) {
        co_return made;
    }
    std::error_code ec;
    const bool joined = fs::exists(folder / "identity.json", ec) && co_await coordinator.knows_node(name);
    if (joined) {
        co_return Result<void>{};
    }
    fs::remove(folder / "identity.json", ec);
    const auto join = co_await coordinator.make_join_string();
    if (!join) {
        co_return join.error();
    }
    co_return write_file_durably(folder / "join", *join + "\n", 0600);
}

asio::awaitable<Result<void>> LocalAgents::start() {
    const auto found = co_await agent::find_gpus(state_->options.gpus);
    if (!found) {
        co_return found.error();
    }
    for (int i = 1; i <= state_->options.nodes; ++i) {
        const std::string name = "node-" + std::to_string(i);
        state_->gpus[name] = share_for(*found, i - 1, state_->options.nodes);
        if (auto ready = co_await state_->prepare(name); !ready) {
            co_return ready;
        }
        ++state_->running;
        asio::co_spawn(state_->io, state_->keep(name), [state = state_](const std::exception_ptr& failure) {
            if (failure) {
                spdlog::error("a local agent is no longer looked after: its keeper ended by an exception");
            }
            if (--state->running == 0) {
                state->all_gone->cancel();
            }
        });
    }
    co_return Result<void>{};
}

asio::awaitable<void> LocalAgents::State::run_once(const std::string& name) {
    std::vector<std::string> arguments{"agent",
                                       "--data-dir",
                                       options.data.root().string(),
                                       "--name",
                                       name,
                                       "--slots",
                                       std::to_string(options.slots),
                                       "--local",
                                       "--env-dir",
                                       options.data.environments().string()};
    if (!options.log_level.empty()) {
        arguments.insert(arguments.end(), {"--log-level", options.log_level});
    }
    arguments.insert(arguments.end(), {"--azureml", options.azureml, "--gpus", gpus.at(name)});
    if (options.nodes > 1) {
        arguments.emplace_back("--shares-host");
    }
    arguments.insert(arguments.end(), options.more.begin(), options.more.end());
    const fs::path log_path = options.data.agent(name) / "agent.log";
    const UniqueFd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    boost::system::error_code ec;
    proc::default_process_launcher launch;
    auto child = launch(io.get_executor(), ec, own_executable().string(), arguments,
                        proc::process_stdio{nullptr, log.get(), log.get()}, DiesWithParent());
    if (ec) {
        spdlog::error("local agent cannot be started: node={} cause=\"{}\"", name, ec.message());
        co_return;
    }
    pids[name] = child.id();
    co_await child.async_wait(asio::as_tuple(asio::use_awaitable));
    pids.erase(name);
}

asio::awaitable<void> LocalAgents::State::keep(std::string name) {
    const auto self = shared_from_this();
    Millis span = first_pause;
    while (!stopping) {
        const auto began = std::chrono::steady_clock::now();
        co_await run_once(name);
        if (stopping) {
            break;
        }
        if (std::chrono::steady_clock::now() - began > stable_after) {
            span = first_pause;
        }
        spdlog::warn("local agent ended and is started again: node={} log={}", name,
                     (options.data.agent(name) / "agent.log").string());
        asio::steady_timer pause(io, span);
        span = std::min(span * 2, longest_pause);
        pauses.insert(&pause);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        pauses.erase(&pause);
    }
}

asio::awaitable<void> LocalAgents::stop() {
    state_->stopping = true;
    for (asio::steady_timer* pause : state_->pauses) {
        pause->cancel();
    }
    for (const auto& [name, pid] : state_->pids) {
        ::kill(pid, SIGTERM);
    }
    if (state_->running > 0) {
        co_await state_->all_gone->async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

} // namespace linarite::programs
