#include "agent/launch/mpi_plan.hpp"

#include "agent/launch/run_environment.hpp"
#include "fmt/core.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <functional>
#include <ifaddrs.h>
#include <sys/socket.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

using Variables = std::map<std::string, std::string>;

constexpr const char* alias_prefix = "linarite-w"; // no host has such a name: mpirun takes its own host's for itself

/// Open MPI leaves the PCI bus and the devices on it alone: their scan takes most of its start, and binding is off.
constexpr const char* topology_parts = "-pci,-linuxio,-opencl,-cuda,-nvml,-gl,-levelzero,-rsmi,linux,stop";

std::string memory_folder(const LaunchOrder& order) {
    const std::string name = "linarite-" + std::to_string(order.fence) + "-" +
                             std::to_string(std::hash<std::string>()(order.run_dir.string()));
    return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" + name : (tmp_folder(order) / "shm").string();
}

bool has_fast_network() {
    std::error_code ec;
    const fs::directory_iterator adapters("/sys/class/infiniband", ec);
    return !ec && adapters != fs::directory_iterator();
}

int ranks_on_this_host(const LaunchOrder& order) {
    const auto& own = order.gang[static_cast<std::size_t>(order.node_index)].host_id;
    const auto nodes = std::ranges::count_if(order.gang, [&](const auto& member) { return member.host_id == own; });
    return static_cast<int>(nodes) * order.definition.processes_per_node;
}

/// Settings that may differ from node to node. Those of mpirun reach all ranks, but a rank's own node has the last
/// word.
Variables node_settings(const LaunchOrder& order) {
    Variables out;
    const std::string memory = memory_folder(order);
    // segments of two "nodes" on one host would have the same names
    out["OMPI_MCA_btl_vader_backing_directory"] = memory;
    out["OMPI_MCA_osc_sm_backing_directory"] = memory;
    out["OMPI_MCA_osc_rdma_backing_directory"] = memory;
    out["OMPI_MCA_mpi_yield_when_idle"] = ranks_on_this_host(order) > order.cores ? "1" : "0";
    out["HWLOC_COMPONENTS"] = topology_parts;
    if (order.contained) { // engines forbid ranks to read each other's memory
        out["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none";
    }
    // By name and not by network: names differ from node to node, but each node knows its own, and two hosts that both
    // own a bridge with the same address would wait for each other for ever.
    const auto addresses = node_addresses(order);
    const std::string interface = interface_of(addresses[static_cast<std::size_t>(order.node_index)]);
    if (!interface.empty()) {
        out["OMPI_MCA_oob_tcp_if_include"] = interface;
        out["OMPI_MCA_btl_tcp_if_include"] = interface;
    }
    return out;
}

/// Settings of mpirun and of its daemons.
Variables launcher_settings(const LaunchOrder& order) {
    Variables out;
    out["OMPI_MCA_plm_rsh_agent"] = order.shim.string() + " rsh";
    out["OMPI_MCA_plm_rsh_pass_environ_mca_params"] = "0"; // each node has its own
    // every daemon is started by mpirun itself: only its node knows how to reach the others
    out["OMPI_MCA_routed_radix"] = std::to_string(std::max(64, order.definition.node_count));
    // a node that is cut off is noticed after 11 s, not after 8 minutes
    out["OMPI_MCA_oob_tcp_keepalive_time"] = "5";
    out["OMPI_MCA_oob_tcp_keepalive_intvl"] = "2";
    out["OMPI_MCA_oob_tcp_keepalive_probes"] = "3";
    out["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    out["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    out["LINARITE_RANK_FILE"] = (order.facts_dir / "ranks.json").string();
    return out;
}

/// The transport, named so that Open MPI need not try all it knows. Decided by the lead alone: all ranks must agree.
Variables transport(const LaunchOrder& order) {
    if (!on_one_host(order.gang) && has_fast_network()) {
        return {};
    }
    return {{"OMPI_MCA_pml", "ob1"},
            {"OMPI_MCA_btl", order.definition.node_count == 1 ? "self,vader" : "self,vader,tcp"},
            {"OMPI_MCA_osc", "^ucx"}};
}

bool user_binds(const LaunchOrder& order) {
    return std::ranges::any_of(order.definition.environment_variables, [](const auto& variable) {
        return variable.first.starts_with("OMPI_MCA_hwloc_base_binding_policy") ||
               variable.first.starts_with("OMPI_MCA_rmaps_");
    });
}

/// Ranks that each have a core at least, on a node that nobody else uses, get a share of the cores each (all threads of
/// a rank are in it). By our own hands: mpirun would give each rank one core, or ask all nodes for the same number.
bool binds(const LaunchOrder& order) {
    const int here = ranks_on_this_host(order);
    return order.owns_cores && !user_binds(order) && here > 1 && here == order.definition.processes_per_node &&
           here <= order.cores;
}

std::vector<std::string> mpirun_line(const LaunchOrder& order) {
    const int ranks = order.definition.node_count * order.definition.processes_per_node;
    std::string hosts;
    for (int node = 0; node < order.definition.node_count; ++node) {
        // mpirun's own node needs no daemon
        hosts += fmt::format("{}{}:{}", node == 0 ? "" : ",", node == 0 ? "localhost" : alias_of_node(node),
                             order.definition.processes_per_node);
    }
    // "mpirun" and the shim without their folders: with a folder mpirun would expect it on all nodes
    std::vector<std::string> line{"mpirun"};
    if (!user_binds(order)) {
        line.insert(line.end(), {"--bind-to", "none", "--map-by", "slot"});
    }
    line.insert(line.end(),
                {"--host", hosts, "-np", std::to_string(ranks), "--wdir", "/", order.shim.filename().string(), "rank"});
    return line;
}

void plan_lead(const LaunchOrder& order, Variables& env, LaunchPlan& plan) {
    const auto named = transport(order);
    env.insert(named.begin(), named.end()); // the user's own choice wins
    if (order.definition.node_count > 1) {
        env["LINARITE_LAUNCH_SOCKET"] = order.launch_socket;
        env["LINARITE_LAUNCH_TOKEN"] = order.launch_token;
        env["LINARITE_LAUNCH_RUN"] = order.run.str();
        env["LINARITE_LAUNCH_FENCE"] = std::to_string(order.fence);
    }
    plan.job.argv = mpirun_line(order);
    plan.job.out = order.run_dir / "azureml-logs" / "70_mpi_log.txt";
    plan.job.signal_group = false; // mpirun tells the ranks, on all nodes
}

Result<void> plan_daemon(const LaunchOrder& order, LaunchPlan& plan) {
    if (auto checked = check_daemon_command(order.daemon_command); !checked) {
        return checked;
    }
    plan.job.argv = {"/bin/sh", "-c", order.daemon_command};
    plan.job.out = order.facts_dir / "daemon.log";
    plan.job.limit = Millis(0); // the lead's limit ends all
    return {};
}

bool on_path(const std::string& path, const char* program) {
    for (std::size_t from = 0; from <= path.size();) {
        const auto end = std::min(path.find(':', from), path.size());
        if (::access((path.substr(from, end - from) + "/" + program).c_str(), X_OK) == 0) {
            return true;
        }
        from = end + 1;
    }
    return false;
}

} // namespace

std::string interface_of(const std::string& address) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) {
        return "";
    }
    std::string found;
    for (const ifaddrs* at = list; at != nullptr && found.empty(); at = at->ifa_next) {
        if (at->ifa_addr == nullptr) {
            continue;
        }
        std::array<char, INET6_ADDRSTRLEN> text{};
        const int family = at->ifa_addr->sa_family;
        if (family == AF_INET) {
            ::inet_ntop(family, &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr, text.data(),
                        text.size());
        } else if (family == AF_INET6) {
            ::inet_ntop(family, &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr, text.data(),
                        text.size());
        }
        if (address == text.data()) {
            found = at->ifa_name;
        }
    }
    ::freeifaddrs(list);
    return found;
}

std::string alias_of_node(int node_index) {
    return alias_prefix + std::to_string(node_index);
}

int node_of_alias(const std::string& alias) {
    const std::string prefix = alias_prefix;
    const std::string digits = alias.starts_with(prefix) ? alias.substr(prefix.size()) : "";
    const bool number = !digits.empty() && digits.size() < 7 &&
                        std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    return number ? std::stoi(digits) : -1;
}

Result<void> plan_mpi(const LaunchOrder& order, const Variables& env, std::vector<std::string> argv, LaunchPlan& plan) {
    const auto for_node = node_settings(order);
    Variables rank_env = env;
    rank_env.insert(for_node.begin(), for_node.end()); // what the user has set stays
    Variables launcher_env = rank_env;
    for (const auto& [name, value] : launcher_settings(order)) {
        launcher_env[name] = value;
    }
    launcher_env["PATH"] += ":" + order.shim.parent_path().string();
    if (!order.contained && !on_path(launcher_env["PATH"], "mpirun")) {
        return Error(Errc::invalid_argument,
                     "mpirun (Open MPI) is neither in the environment nor on the path of node '" +
                         order.gang[static_cast<std::size_t>(order.node_index)].node.str() + "'");
    }
    plan.job.cwd = "/";
    plan.job.stragglers = Millis(3'000); // mpirun returns before its last ranks are gone
    plan.job.folders.emplace_back(memory_folder(order));
    if (order.node_index == 0) {
        plan_lead(order, launcher_env, plan);
    } else if (auto planned = plan_daemon(order, plan); !planned) {
        return planned;
    }
    plan.job.env = std::move(launcher_env);
    RankJob ranks;
    ranks.argv = std::move(argv);
    ranks.env = std::move(rank_env);
    ranks.cwd = order.work_dir;
    ranks.log_dir = order.run_dir / "azureml-logs";
    ranks.facts_dir = order.facts_dir;
    ranks.plain_name = order.definition.node_count * order.definition.processes_per_node == 1;
    ranks.bind = binds(order);
    ranks.log = std::exchange(plan.job.log, LogLines());
    plan.ranks = std::move(ranks);
    plan.rank_file = order.facts_dir / "ranks.json";
    return {};
}

} // namespace linarite::agent
