// What is wanted of an agent for one run.
#include "common/hash.hpp"
#include "proto/message_parts.hpp"

#include <algorithm>

namespace linarite::proto {

namespace {

constexpr std::array wants = {Want::prepare, Want::launch, Want::stop};

GangMember read_member(JsonReader& in) {
    GangMember member;
    member.node = NodeName(read_name(in, "node", "node name"));
    member.host_id = in.text("host_id");
    member.address = in.text("address");
    member.work_dir = in.text("work_dir");
    member.port = read_int(in, "port", 0, most_port, 0);
    member.shared_dir = in.text("shared_dir");
    member.network = read_network(in);
    return member;
}

DesiredData read_data(JsonReader& in) {
    constexpr std::array modes = {DataMode::mount, DataMode::download, DataMode::upload};
    DesiredData data;
    data.reference.name = in.required_text("name");
    data.reference.datastore = read_name(in, "datastore", "datastore");
    data.reference.mode = read_word(in, "mode", modes);
    data.reference.overwrite = in.boolean("overwrite", false);
    data.reference.path_on_datastore = in.text("path_on_datastore");
    data.reference.path_on_compute = in.text("path_on_compute");
    data.datastore_path = in.text("datastore_path");
    data.shared = in.boolean("shared", false);
    return data;
}

DesiredRunData read_run_data(JsonReader& in) {
    DesiredRunData data;
    data.references = read_list(in, "data", read_data);
    if (in.has("build_context")) {
        JsonReader context = in.object("build_context");
        data.build_context = read_data(context);
    }
    return data;
}

Json print_daemon_ends(const std::map<int, Ending>& ends) {
    Json out = Json::array();
    for (const auto& [node_index, ending] : ends) {
        out.push_back({{"node_index", node_index}, {"ending", print(ending)}});
    }
    return out;
}

std::map<int, Ending> read_daemon_ends(JsonReader& in) {
    std::map<int, Ending> ends;
    in.objects("daemon_ends", [&ends](JsonReader& element) {
        const int node_index = read_int(element, "node_index", 0, most_gang - 1, 0);
        JsonReader ending = element.object("ending");
        ends[node_index] = read_ending(ending);
        ending.refuse_others();
        element.refuse_others();
    });
    return ends;
}

std::map<std::string, std::string> read_variables(JsonReader& in) {
    std::map<std::string, std::string> variables;
    in.members("variables", [&](const std::string& name, const Json& value) {
        if (value.is_string()) {
            variables[name] = value.get<std::string>();
        } else {
            in.object("variables").fault(name, "must be a string");
        }
    });
    return variables;
}

RegistryLogin read_registry(JsonReader in) {
    RegistryLogin login{in.text("username"), in.text("password"), in.text("server")};
    in.refuse_others();
    return login;
}

} // namespace

Json print(const GangMember& member) {
    return {{"node", member.node.str()},
            {"host_id", member.host_id},
            {"address", member.address},
            {"work_dir", member.work_dir},
            {"port", member.port},
            {"shared_dir", member.shared_dir},
            {"network", member.network ? print(*member.network) : Json()}};
}

Json print(const DesiredData& data) {
    const DataReference& reference = data.reference;
    return {{"name", reference.name},
            {"datastore", reference.datastore},
            {"mode", to_wire(reference.mode)},
            {"overwrite", reference.overwrite},
            {"path_on_datastore", reference.path_on_datastore},
            {"path_on_compute", reference.path_on_compute},
            {"datastore_path", data.datastore_path},
            {"shared", data.shared}};
}

std::string_view to_wire(Want want) {
    switch (want) {
    case Want::prepare: return "prepare";
    case Want::launch: return "launch";
    case Want::stop: return "stop";
    }
    return "";
}

Json print(const DesiredRun& run) {
    Json out{{"run", run.run.str()},
             {"fence", run.fence},
             {"brief", run.brief},
             {"attempt", run.attempt},
             {"want", to_wire(run.want)},
             {"grace_ms", run.grace.count()},
             {"stop_reason", run.stop_reason},
             {"give_up_after_ms", run.give_up_after.count()},
             {"node_index", run.node_index},
             {"gang", print_list(run.gang)},
             {"daemon_command", run.daemon_command},
             {"daemon_ends", print_daemon_ends(run.daemon_ends)},
             {"files_version", run.files_version}};
    if (!run.brief) {
        out["experiment"] = run.experiment;
        out["snapshot"] = run.snapshot.str();
        out["definition"] = run.definition;
        out["data"] = print_list(run.data.references);
        if (run.data.build_context) {
            out["build_context"] = print(*run.data.build_context);
        }
        out["host_id"] = run.host_id;
        out["variables"] = run.variables;
        if (!run.registry.username.empty()) {
            out["registry"] = {{"username", run.registry.username},
                               {"password", run.registry.password},
                               {"server", run.registry.server}};
        }
    }
    return out;
}

DesiredRun read_desired(JsonReader& in) {
    DesiredRun run;
    run.run = RunId(read_name(in, "run", "run id"));
    run.fence = in.unsigned_integer("fence", 0);
    run.brief = in.boolean("brief", false);
    run.attempt = read_int(in, "attempt", 0, most_int, run.attempt);
    run.want = read_word(in, "want", wants);
    run.grace = read_ms(in, "grace_ms", run.grace);
    run.stop_reason = in.text("stop_reason");
    run.give_up_after = read_ms(in, "give_up_after_ms", run.give_up_after);
    run.experiment = in.text("experiment");
    run.snapshot = SnapshotId(in.text("snapshot"));
    if (!run.snapshot.empty() && !is_sha256_hex(run.snapshot.str())) { // names a folder on the node
        in.fault("snapshot", "must be 64 lower-case hex digits");
    }
    run.definition = in.raw("definition");
    run.node_index = read_int(in, "node_index", 0, most_gang - 1, 0);
    run.gang = read_list(in, "gang", read_member);
    run.data = read_run_data(in);
    run.host_id = in.text("host_id");
    run.variables = read_variables(in);
    run.registry = read_registry(in.object("registry"));
    run.daemon_command = in.text("daemon_command");
    run.daemon_ends = read_daemon_ends(in);
    run.files_version = in.unsigned_integer("files_version", 0);
    return run;
}

int keeper_of(const std::vector<GangMember>& gang, int node_index) {
    std::vector<int> keepers; // up to the node
    for (int index = 0; index <= node_index; ++index) {
        const GangMember& own = gang[static_cast<std::size_t>(index)];
        const auto found = std::ranges::find_if(keepers, [&](int keeper) {
            const GangMember& other = gang[static_cast<std::size_t>(keeper)];
            return (!own.host_id.empty() && own.host_id == other.host_id) ||
                   (!own.shared_dir.empty() && own.shared_dir == other.shared_dir);
        });
        if (index == node_index) {
            return found == keepers.end() ? index : *found;
        }
        if (found == keepers.end()) {
            keepers.push_back(index);
        }
    }
    return node_index;
}

bool has_several_directories(const std::vector<GangMember>& gang) {
    for (int index = 1; index < static_cast<int>(gang.size()); ++index) {
        if (keeper_of(gang, index) != 0) {
            return true;
        }
    }
    return false;
}

} // namespace linarite::proto
