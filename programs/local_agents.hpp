// programs/local_agents.hpp: the agents that `linarite up` starts on this machine, as child processes.
#pragma once

#include "common/data_dir.hpp"
#include "common/error.hpp"
#include "server/app.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>
#include <vector>

namespace linarite::programs {

namespace asio = boost::asio;

struct LocalAgentOptions {
    DataDir data{""};
    int nodes = 1;
    int slots = 1;
    std::string log_level;
    std::string azureml = "drop-in"; // or "install"
    std::string gpus = "auto";       // of the machine, as agent::find_gpus() takes it: each node gets its share
    std::vector<std::string> more;   // arguments for each agent
};

/// Starts `linarite agent` for node-1 ... node-N and starts one again that ends by itself. They get SIGTERM when this
/// process dies in whatever way; their runs go on under their supervisors until the next `up`.
class LocalAgents {
public:
    LocalAgents(asio::io_context& io, server::App& coordinator, LocalAgentOptions options);
    ~LocalAgents();
    LocalAgents(const LocalAgents&) = delete;
    LocalAgents& operator=(const LocalAgents&) = delete;

    asio::awaitable<Result<void>> start();
    /// TERM to all, and waits until they are gone.
    asio::awaitable<void> stop();

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace linarite::programs
