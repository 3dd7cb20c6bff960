// agent/app.hpp: one node's agent, put together. The only place of the agent where objects meet.
#pragma once

#include "agent/container/image_choice.hpp"
#include "agent/environment/provider.hpp"
#include "common/data_dir.hpp"
#include "common/error.hpp"
#include "proto/agent_protocol.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;

struct Options {
    DataDir data{""};
    std::string name;
    int slots = 1;
    std::string gpus = "auto"; // as find_gpus() takes it
    std::vector<std::string> labels;
    std::optional<proto::JoinString> join; // needed at the first start
    bool local = false;                    // the coordinator works on the same data directory
    fs::path environments;                 // cache of environments; "" is <agent dir>/envs
    EnvironmentSettings packages;          // how environments are made; its folders are set by the agent itself
    fs::path shim;                         // linarite-shim; "" is beside this program
    bool azureml_dropin = true;            // our azureml module in the place of the package azureml-defaults
    bool shares_host = false;              // other nodes run on this machine
    std::vector<ImageRule> images;         // the operator's map of images
    std::uint64_t container_memory = 0;    // bytes that a run's container may have; 0: no limit
    double container_cpus = 0;             // processors; 0: no limit
    fs::path shared_dir;                   // where working directories go that other hosts are to see; "" is none
    std::string mpi_interface;             // for MPI between hosts: name, address or network; "" is found
    int max_processes = 0;                 // of one run on this node; 0: no limit
    std::uint64_t max_log_size = std::uint64_t{10} << 30U;    // of a longer one the beginning and the end are kept
    std::uint64_t data_cache_size = std::uint64_t{20} << 30U; // bytes of data that this node does not see
    bool user_namespaces = true;                              // where the agent is not root: see --user-namespaces
    std::string version;
};

/// A running agent.
class App {
public:
    ~App();
    App(const App&) = delete;
    App& operator=(const App&) = delete;

    /// Locks the agent's directory, joins if it has no identity yet, re-attaches to what still runs, and begins to ask
    /// for work. `on_refused` is called when the coordinator does not want this agent any more.
    static asio::awaitable<Result<std::unique_ptr<App>>> start(asio::io_context& io, Options options,
                                                               std::function<void(Error)> on_refused);
    /// Stops asking. Runs go on under their supervisors; the next start re-attaches to them.
    asio::awaitable<void> stop();
    [[nodiscard]] std::size_t run_count() const;

private:
    struct Parts;
    explicit App(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

} // namespace linarite::agent
