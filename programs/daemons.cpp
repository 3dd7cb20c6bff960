#include "programs/daemons.hpp"

#include "agent/app.hpp"
#include "common/files.hpp"
#include "common/host.hpp"
#include "common/log.hpp"
#include "programs/local_agents.hpp"
#include "programs/run_options.hpp"
#include "server/app.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>

#include <charconv>
#include <csignal>
#include <iostream>
#include <link.h>
#include <malloc.h>
#include <span>
#include <sys/mman.h>
#include <unistd.h>

namespace linarite::programs {

using namespace std::chrono_literals;

namespace {

struct DaemonOptions {
    int nodes = 1;
    int slots = 1;
    std::string listen = "127.0.0.1:8443";
    int https_port = -1;
    int http_port = 8080;
    int stop_grace = 30;
    int lease = 30;
    int lost_after = 600; // seconds
    std::vector<std::string> names;
    std::string log_level = "info";
    std::string join;
    std::string name;
    std::string gpus = "auto";
    std::vector<std::string> labels;
    std::string environments;
    std::string shared_dir;
    std::string mpi_interface;
    int max_processes = 0;
    std::string azureml = "drop-in";
    std::string data_cache_size = "20g";
    bool local = false;
    bool shares_host = false;
    RunOptions runs;
};

constexpr auto time_to_report_the_end = 90s; // once a stopped run was killed, until its node counts as lost

int fail(const Error& error) {
    std::cerr << "linarite: " << error.detail() << '\n';
    return 1;
}

// "HOST:PORT", "HOST" or ":PORT"; IPv6 in brackets.
Result<std::pair<std::string, int>> parse_listen(const std::string& text) {
    const std::size_t colon = text.ends_with(']') ? std::string::npos : text.rfind(':');
    std::string host = text.substr(0, colon);
    int port = 8443;
    if (colon != std::string::npos) {
        const char* end = text.data() + text.size();
        if (std::from_chars(text.data() + colon + 1, end, port).ptr != end || port < 0 || port > 65535) {
            return Error(Errc::invalid_argument,
                         "--listen '" + text + "': expected HOST:PORT with a port of 0 to 65535");
        }
    }
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
    }
    return std::pair(host.empty() ? "0.0.0.0" : host, port);
}

Result<server::Options> server_options(const DaemonOptions& daemon, const cli::GlobalOptions& global) {
    const auto listen = parse_listen(daemon.listen);
    if (!listen) {
        return listen.error();
    }
    server::Options options;
    options.data = DataDir::find(global.data_dir);
    options.listen_host = listen->first;
    options.https_port = static_cast<unsigned short>(daemon.https_port >= 0 ? daemon.https_port : listen->second);
    options.http_port = static_cast<unsigned short>(daemon.http_port);
    options.names = daemon.names;
    options.stop_grace = std::chrono::seconds(daemon.stop_grace);
    options.limits.stop = options.stop_grace + time_to_report_the_end;
    options.limits.lease = std::chrono::seconds(daemon.lease);
    options.limits.lost_after = std::chrono::seconds(daemon.lost_after);
    if (options.limits.lost_after <= options.limits.lease) {
        return Error(Errc::invalid_argument, "--lost-after must be longer than --lease: a node is silent first, and "
                                             "given up only then");
    }
    options.version = global.version;
    return options;
}

/// Runs until SIGINT or SIGTERM; a second one ends at once.
asio::awaitable<void> until_stopped(asio::io_context& io) {
    asio::signal_set signals(io, SIGINT, SIGTERM);
    co_await signals.async_wait(asio::use_awaitable);
}

asio::awaitable<int> serve(asio::io_context& io, server::Options options, std::optional<LocalAgentOptions> local) {
    const DataDir data = options.data;
    auto app = co_await server::App::start(io, std::move(options));
    if (!app) {
        co_return fail(app.error());
    }
    std::cout << "linarite " << (local ? "is up" : "coordinator is ready") << "\n  https     " << (*app)->https_url()
              << "\n  http      " << (*app)->http_url() << "  (this machine only)\n  data      " << data.root().string()
              << "\n";
    std::optional<LocalAgents> agents;
    if (local) {
        agents.emplace(io, **app, *local);
        if (auto started = co_await agents->start(); !started) {
            co_await (*app)->stop();
            co_return fail(started.error());
        }
        std::cout << "  nodes     " << local->nodes << " local, " << local->slots
                  << (local->slots == 1 ? " slot" : " slots") << " each\n";
    } else {
        const auto join = co_await (*app)->make_join_string();
        if (join) {
            std::cout << "  join with linarite agent " << *join << "\n";
        }
    }
    std::cout << "Stop with Ctrl-C." << std::endl;
    co_await until_stopped(io);
    std::cout << "stopping" << std::endl;
    if (agents) {
        co_await agents->stop();
    }
    co_await (*app)->stop();
    co_return 0;
}

/// Start-up runs through much code, of libraries above all, that is not needed again. What is, comes back from the page
/// cache by itself: nothing of it was written to, since position-independent code needs no relocations.
void let_go_of_code() {
    const auto release = [](dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) {
        const auto page = static_cast<std::uintptr_t>(::getpagesize());
        for (const auto& part : std::span(object->dlpi_phdr, object->dlpi_phnum)) {
            if (part.p_type == PT_LOAD && (part.p_flags & PF_X) != 0 && (part.p_flags & PF_W) == 0) {
                const std::uintptr_t from = (object->dlpi_addr + part.p_vaddr) / page * page;
                const std::uintptr_t to = object->dlpi_addr + part.p_vaddr + part.p_memsz;
                ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED); // NOLINT(performance-no-int-to-ptr)
            }
        }
        return 0;
    };
    ::dl_iterate_phdr(release, nullptr);
}

asio::awaitable<int> be_agent(asio::io_context& io, agent::Options options) {
    const std::string name = options.name;
    std::optional<Error> refused;
    asio::signal_set signals(io, SIGINT, SIGTERM);
    auto app = co_await agent::App::start(io, std::move(options), [&](Error error) {
        refused = std::move(error);
        signals.cancel();
    });
    if (!app) {
        co_return fail(app.error());
    }
    std::cout << "agent " << name << " is ready. Stop with Ctrl-C." << std::endl;
    let_go_of_code();
    if (!refused) {
        co_await signals.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    const std::size_t runs = (*app)->run_count();
    co_await (*app)->stop();
    if (refused) {
        co_return fail(refused->within("agent " + name));
    }
    if (runs > 0) {
        std::cout << runs << (runs == 1 ? " run goes" : " runs go")
                  << " on under supervision; the next start of this agent takes them up again" << std::endl;
    }
    co_return 0;
}

/// Spawns the program and runs the loop until it ended.
int run_loop(asio::io_context& io, asio::awaitable<int> program) {
    // few threads that allocate little each; and without fast bins no large allocation has to tidy them up first
    ::mallopt(M_ARENA_MAX, 2); // NOLINT(concurrency-mt-unsafe): no other thread is there yet
    ::mallopt(M_MXFAST, 0);    // NOLINT(concurrency-mt-unsafe)
    int code = 1;
    asio::co_spawn(io, std::move(program), [&](const std::exception_ptr& failure, int result) {
        code = result;
        if (failure) {
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                std::cerr << "linarite: internal error: " << error.what() << '\n';
            }
            code = 1;
        }
        io.stop();
    });
    io.run();
    std::cout.flush();
    return code;
}

int up(const DaemonOptions& daemon, const cli::GlobalOptions& global, bool with_agents) {
    init_log(daemon.log_level);
    auto options = server_options(daemon, global);
    if (!options) {
        return fail(options.error());
    }
    std::optional<LocalAgentOptions> local;
    if (with_agents) {
        if (auto checked = read_run_options(daemon.runs); !checked) {
            return fail(checked.error());
        }
        local = LocalAgentOptions{options->data,
                                  daemon.nodes,
                                  daemon.slots,
                                  daemon.log_level,
                                  daemon.azureml,
                                  daemon.gpus,
                                  run_arguments(daemon.runs)};
    }
    asio::io_context io(1);
    return run_loop(io, serve(io, std::move(*options), std::move(local)));
}

int agent_command(const DaemonOptions& daemon, const cli::GlobalOptions& global) {
    init_log(daemon.log_level);
    auto for_runs = read_run_options(daemon.runs);
    if (!for_runs) {
        return fail(for_runs.error());
    }
    agent::Options options = std::move(*for_runs);
    const auto cache_size = read_size("--data-cache-size", daemon.data_cache_size);
    if (!cache_size) {
        return fail(cache_size.error());
    }
    options.data_cache_size = *cache_size;
    options.data = DataDir::find(global.data_dir);
    options.name = daemon.name;
    options.slots = daemon.slots;
    options.gpus = daemon.gpus;
    options.labels = daemon.labels;
    options.local = daemon.local;
    options.shares_host = daemon.shares_host;
    options.environments = daemon.environments;
    options.shared_dir = daemon.shared_dir;
    options.mpi_interface = daemon.mpi_interface;
    options.max_processes = daemon.max_processes;
    options.azureml_dropin = daemon.azureml == "drop-in";
    options.version = global.version;
    std::string text = daemon.join;
    if (text.empty()) {
        // `up` leaves it in a file, so that it stands in no process list
        const auto kept = read_file(options.data.agent(daemon.name) / "join");
        text = kept ? *kept : "";
    }
    while (!text.empty() && text.back() == '\n') {
        text.pop_back();
    }
    if (!text.empty()) {
        auto join = proto::parse_join_string(text);
        if (!join) {
            return fail(join.error().within("the join string"));
        }
        options.join = std::move(*join);
    }
    asio::io_context io(1);
    return run_loop(io, be_agent(io, std::move(options)));
}

void add_azureml_policy(CLI::App* command, DaemonOptions& daemon) {
    command
        ->add_option("--azureml", daemon.azureml,
                     "What environments get that ask for azureml-defaults, as the SDK always does: drop-in is our own "
                     "azureml.core.Run, without a download; install is the package from the index")
        ->check(CLI::IsMember({"drop-in", "install"}))
        ->capture_default_str();
}

void add_gpus(CLI::App* command, DaemonOptions& daemon) {
    command
        ->add_option(
            "--gpus", daemon.gpus,
            "GPUs for runs: auto finds NVIDIA's, none hides them, 0,2 are these, fake:N stands for N in tests. "
            "Local nodes, and the slots of a node, have disjoint shares")
        ->capture_default_str();
}

// Daemons take --data-dir alone of the options that client commands share.
void add_data_dir(CLI::App* command, cli::GlobalOptions& options) {
    command->add_option("--data-dir", options.data_dir, "Where everything is kept (or LINARITE_DATA_DIR)")
        ->type_name("DIR");
}

void add_server_options(CLI::App* command, DaemonOptions& daemon) {
    command->add_option("--listen", daemon.listen, "Address of the https listener; any but loopback serves a cluster")
        ->type_name("HOST:PORT")
        ->capture_default_str();
    command->add_option("--https-port", daemon.https_port, "Port of the https listener, 0 for any free one")
        ->check(CLI::Range(0, 65535));
    command
        ->add_option("--http-port", daemon.http_port, "Port of the plain http listener on loopback, 0 for any free one")
        ->check(CLI::Range(0, 65535))
        ->capture_default_str();
    command->add_option("--san", daemon.names, "Another host name or address that clients use (for the certificate)")
        ->type_name("NAME");
    command
        ->add_option("--stop-grace", daemon.stop_grace,
                     "Seconds that a run has from SIGTERM to SIGKILL when it is cancelled or over its time limit")
        ->check(CLI::Range(0, 3600))
        ->capture_default_str();
    command->add_option("--lease", daemon.lease, "Seconds without a word from a node until its runs are NotResponding")
        ->check(CLI::Range(3, 3600))
        ->capture_default_str();
    command
        ->add_option("--lost-after", daemon.lost_after,
                     "Seconds without a word from a node until its runs are given up")
        ->check(CLI::Range(4, 7 * 24 * 3600))
        ->capture_default_str();
    command->add_option("--log-level", daemon.log_level, "debug, info, warn or error")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
        ->capture_default_str();
}

} // namespace

void add_daemon_commands(CLI::App& app, cli::GlobalOptions& options, std::function<int()>& chosen) {
    const auto daemon = std::make_shared<DaemonOptions>();

    CLI::App* up_command = app.add_subcommand("up", "Start a coordinator and local nodes on this machine");
    up_command->group("Run a cluster");
    up_command->footer("Example: linarite up --nodes 2");
    up_command->add_option("--nodes", daemon->nodes, "Local nodes")->check(CLI::Range(0, 256))->capture_default_str();
    up_command->add_option("--slots", daemon->slots, "Runs that a node may have at the same time")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    add_gpus(up_command, *daemon);
    add_azureml_policy(up_command, *daemon);
    add_run_options(up_command, daemon->runs);
    add_server_options(up_command, *daemon);
    add_data_dir(up_command, options);
    up_command->callback(
        [daemon, &options, &chosen] { chosen = [daemon, &options] { return up(*daemon, options, true); }; });

    CLI::App* coordinator = app.add_subcommand("coordinator", "Start a coordinator without local nodes");
    coordinator->group("Run a cluster");
    coordinator->footer("Example: linarite coordinator --listen 0.0.0.0:8443");
    add_server_options(coordinator, *daemon);
    add_data_dir(coordinator, options);
    coordinator->callback(
        [daemon, &options, &chosen] { chosen = [daemon, &options] { return up(*daemon, options, false); }; });

    CLI::App* agent = app.add_subcommand("agent", "Make this machine a node of a coordinator");
    agent->group("Run a cluster");
    agent->footer(
        "Example: linarite agent linarite-join-1.eyJ...   (the join string comes from 'linarite nodes join')");
    agent->add_option("join", daemon->join, "Join string; needed at the first start only")->type_name("JOIN-STRING");
    daemon->name = host_name();
    agent->add_option("--name", daemon->name, "Name of the node")->capture_default_str();
    agent->add_option("--slots", daemon->slots, "Runs that this node may have at the same time")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    add_gpus(agent, *daemon);
    agent->add_option("--label", daemon->labels, "A label; target=NAME puts the node into compute target NAME");
    agent->add_option("--env-dir", daemon->environments, "Cache of environments (default: in the agent's directory)");
    add_azureml_policy(agent, *daemon);
    add_run_options(agent, daemon->runs);
    agent->add_option("--shared-dir", daemon->shared_dir,
                      "Directory that other nodes see, too: runs work there, and nothing is copied between its nodes");
    agent
        ->add_option("--max-processes", daemon->max_processes,
                     "Processes that a run may have on this node; 0 is as many as it asks for")
        ->check(CLI::Range(0, 100'000));
    agent
        ->add_option("--data-cache-size", daemon->data_cache_size,
                     "How much of the data that this node does not see is kept for later runs; what was unused for "
                     "longest goes first")
        ->type_name("SIZE")
        ->capture_default_str();
    agent->add_option("--mpi-interface,--address", daemon->mpi_interface,
                      "Interface for MPI to other hosts: its name, address or network, as in 10.0.0.0/8 (default: that "
                      "through which the coordinator is reached)");
    agent->add_option("--log-level", daemon->log_level, "debug, info, warn or error")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
        ->capture_default_str();
    agent->add_flag("--local", daemon->local, "The coordinator works on the same data directory")->group("");
    agent->add_flag("--shares-host", daemon->shares_host, "Other nodes run on this machine")->group("");
    add_data_dir(agent, options);
    agent->callback(
        [daemon, &options, &chosen] { chosen = [daemon, &options] { return agent_command(*daemon, options); }; });
}

} // namespace linarite::programs
