#include "agent/launch/run_environment.hpp"

#include "agent/launch/interfaces.hpp"
#include "fmt/core.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

namespace linarite::agent {

namespace {

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr Fence port_range = 12'000; // of ports that no kernel hands out by itself
constexpr Fence first_port = 20'000;

using Variables = std::map<std::string, std::string>;

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
    std::string out;
    for (const auto& part : parts) {
        out += (out.empty() ? "" : std::string(separator)) + part;
    }
    return out;
}

std::string value_of(const Variables& variables, const std::string& name, const std::string& otherwise) {
    const auto found = variables.find(name);
    return found == variables.end() || found->second.empty() ? otherwise : found->second;
}

/// What AmlCompute's node agent sets. Published scripts find their peers by these.
void add_batch_family(Variables& env, const LaunchOrder& order, const LaunchPlan& plan) {
    const auto addresses = node_addresses(order);
    const std::string& master = addresses.front();
    const std::string port = std::to_string(rendezvous_port(order));
    const std::string gpus = std::to_string(order.gpus ? order.gpus->size() : 0);
    const std::string& node = order.gang[static_cast<std::size_t>(order.node_index)].node.str();
    env["MASTER_ADDR"] = master;
    env["MASTER_PORT"] = port;
    env["AZ_BATCH_NODE_LIST"] = joined(addresses, ";");
    env["AZ_BATCH_HOST_LIST"] = joined(addresses, ",");
    env["AZ_BATCH_MASTER_NODE"] = master + ":" + port;
    env["AZ_BATCH_IS_CURRENT_NODE_MASTER"] = order.node_index == 0 ? "true" : "false";
    env["AZ_BATCH_NODE_ID"] = node;
    env["AZ_BATCH_TASK_WORKING_DIR"] = order.work_dir.string();
    env["AZ_BATCH_NODE_SHARED_DIR"] = order.work_dir.parent_path().string();
    env["AZ_BATCHAI_JOB_NAME"] = order.run.str();
    env["AZ_BATCHAI_JOB_TEMP"] = tmp_folder(order).string();
    env["AZ_BATCHAI_JOB_WORK_DIR"] = order.work_dir.string();
    env["AZ_BATCHAI_JOB_MOUNT_ROOT"] = order.work_dir.parent_path().string();
    env["AZ_BATCHAI_MPI_HOST_FILE"] = plan.host_file_path.string();
    env["AZ_BATCHAI_MPI_MASTER_NODE"] = master;
    env["AZ_BATCHAI_JOB_MASTER_NODE_IP"] = master;
    env["AZ_BATCHAI_NUM_GPUS"] = gpus;
    env["AZ_BATCHAI_GPU_COUNT"] = gpus;
    env["GPU_PER_NODE_COUNT"] = gpus;
    env["AZ_BATCHAI_WORKER_HOSTS"] = joined(addresses, ",");
    env["AZ_BATCHAI_PS_HOSTS"] = "";
    env["AZ_BATCHAI_TASK_INDEX"] = std::to_string(order.node_index);
    env["AZ_BATCHAI_TASK_TYPE"] = "worker";
}

/// AZUREML_PARAMETER_<NAME> for "--name value" and "--name=value".
void add_parameters(Variables& env, const LaunchOrder& order) {
    const auto& arguments = order.definition.arguments;
    for (std::size_t at = 0; at < arguments.size(); ++at) {
        const std::string& argument = arguments[at];
        const auto name_from = argument.find_first_not_of('-');
        if (name_from != 1 && name_from != 2) {
            continue;
        }
        const auto equals = argument.find('=');
        std::string name = argument.substr(name_from, equals == std::string::npos ? equals : equals - name_from);
        const bool next_is_value = at + 1 < arguments.size() && !arguments[at + 1].starts_with("--");
        const std::string value = equals != std::string::npos ? argument.substr(equals + 1)
                                  : next_is_value             ? arguments[at + 1]
                                                              : "";
        std::ranges::transform(name, name.begin(), [](unsigned char c) {
            return std::isalnum(c) != 0 ? static_cast<char>(std::toupper(c)) : '_';
        });
        if (std::isalpha(static_cast<unsigned char>(name.front())) != 0) { // "-1" is a number
            env["AZUREML_PARAMETER_" + name] = replace_data_references(value, order.data_paths);
        }
    }
}

void add_azureml(Variables& env, const LaunchOrder& order) {
    env["AZUREML_NODE_COUNT"] = std::to_string(order.definition.node_count);
    env["AZUREML_OUTPUT_DIRECTORY"] = "./outputs";
    env["AZUREML_TARGET_TYPE"] = "batchai"; // the SDK then leaves logs/azureml to the node agent
    env["AZUREML_LOGDIRECTORY_PATH"] = (order.run_dir / "azureml-logs").string();
    add_parameters(env, order);
    for (const auto& [name, path] : order.data_paths) {
        env["AZUREML_DATAREFERENCE_" + name] = path;
    }
}

/// By which interface the processes find each other, and which node this is. The user's own choice comes later and
/// wins.
void add_rendezvous(Variables& env, const LaunchOrder& order) {
    if (order.definition.launch == proto::LaunchKind::single) {
        return;
    }
    env["NODE_RANK"] = std::to_string(order.node_index);
    const std::string interface = interface_of(node_addresses(order)[static_cast<std::size_t>(order.node_index)]);
    if (!interface.empty()) {
        env["GLOO_SOCKET_IFNAME"] = interface;
        env["NCCL_SOCKET_IFNAME"] = interface;
    }
}

void add_gpus(Variables& env, const LaunchOrder& order) {
    const auto& users = order.definition.environment_variables;
    if (order.gpus && (order.gpus_are_shared || !users.contains("CUDA_VISIBLE_DEVICES"))) {
        env["CUDA_VISIBLE_DEVICES"] = joined(*order.gpus, ",");
    }
}

void put_all(Variables& into, const Variables& from) {
    for (const auto& [name, value] : from) {
        into[name] = value;
    }
}

} // namespace

std::map<std::string, std::string> inherited_variables() {
    constexpr std::array names{"HOME", "USER", "LOGNAME", "PATH", "LD_LIBRARY_PATH", "TZ", "CUDA_VISIBLE_DEVICES"};
    Variables out;
    for (const char* name : names) {
        if (const char* value = std::getenv(name)) { // NOLINT(concurrency-mt-unsafe): nobody of ours sets any
            out[name] = value;
        }
    }
    return out;
}

bool on_one_host(const std::vector<proto::GangMember>& gang) {
    return std::ranges::all_of(gang, [&](const auto& member) { return member.host_id == gang.front().host_id; });
}

int port_of(const LaunchOrder& order, int node) {
    if (node == order.node_index && order.own_port != 0) {
        return order.own_port;
    }
    return order.gang[static_cast<std::size_t>(node)].port;
}

int rendezvous_port(const LaunchOrder& order) {
    const int port = port_of(order, 0);
    return port != 0 ? port : static_cast<int>(first_port + order.fence % port_range);
}

std::vector<std::string> node_addresses(const LaunchOrder& order) {
    const bool local = on_one_host(order.gang);
    std::vector<std::string> out;
    out.reserve(order.gang.size());
    for (const auto& member : order.gang) {
        out.push_back(local || member.address.empty() ? "127.0.0.1" : member.address);
    }
    return out;
}

fs::path tmp_folder(const LaunchOrder& order) {
    return order.run_dir / "tmp";
}

std::map<std::string, std::string> run_environment(const LaunchOrder& order, const LaunchPlan& plan) {
    const std::string tmp = tmp_folder(order).string();
    Variables env{{"PATH", default_path}, {"HOME", tmp}, {"USER", "linarite"}, {"LANG", "C.UTF-8"}};
    put_all(env, order.inherited);
    env["TMPDIR"] = tmp;
    env["PYTHONUNBUFFERED"] = "1"; // each process has a log of its own: whole lines at once, and nothing to mix with
    add_azureml(env, order);
    add_batch_family(env, order, plan);
    add_rendezvous(env, order);
    const std::string system_path = value_of(env, "PATH", default_path);
    put_all(env, order.environment);
    const std::string environment_path = value_of(order.environment, "PATH", "");
    put_all(env, order.definition.environment_variables);
    put_all(env, order.variables);
    add_gpus(env, order);
    // the environment's programs come first, even if the user's variables have a PATH
    std::string path = value_of(order.definition.environment_variables, "PATH", system_path);
    if (!environment_path.empty()) {
        const auto first = environment_path.substr(0, environment_path.find(':'));
        path = path == system_path ? environment_path : first + ":" + path;
    } else if (order.python.is_absolute()) {
        path = order.python.parent_path().string() + ":" + path;
    }
    env["PATH"] = path;
    const std::string python_path = value_of(env, "PYTHONPATH", "");
    env["PYTHONPATH"] = order.work_dir.string() + (python_path.empty() ? "" : ":" + python_path) +
                        (order.dropin.empty() ? "" : ":" + order.dropin.string());
    return env;
}

} // namespace linarite::agent
