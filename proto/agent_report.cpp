// What an agent reports: its resources, its part of each run, and how that ended.
#include "common/hash.hpp"
#include "proto/message_parts.hpp"

namespace linarite::proto {

namespace {

constexpr std::array phases = {Phase::preparing, Phase::ready, Phase::launched, Phase::exited, Phase::done};

DaemonRequest read_daemon(JsonReader& in) {
    DaemonRequest daemon;
    daemon.node_index = read_int(in, "node_index", 0, most_gang - 1, 0);
    daemon.command = in.required_text("command");
    return daemon;
}

RankEnd read_rank_end(JsonReader& in) {
    RankEnd end;
    end.rank = read_int(in, "rank", 0, most_int, 0);
    end.exit_code = read_int(in, "exit_code", std::numeric_limits<int>::min(), most_int, 0);
    end.signal = read_int(in, "signal", 0, 255, 0);
    end.told = in.boolean("told", false);
    return end;
}

} // namespace

Json print(const RankEnd& end) {
    return {{"rank", end.rank}, {"exit_code", end.exit_code}, {"signal", end.signal}, {"told", end.told}};
}

Json print(const DaemonRequest& daemon) {
    return {{"node_index", daemon.node_index}, {"command", daemon.command}};
}

std::string_view to_wire(Phase phase) {
    switch (phase) {
    case Phase::preparing: return "preparing";
    case Phase::ready: return "ready";
    case Phase::launched: return "launched";
    case Phase::exited: return "exited";
    case Phase::done: return "done";
    }
    return "";
}

Json print(const NodeResources& resources) {
    return {{"cores", resources.cores},
            {"memory_bytes", resources.memory_bytes},
            {"gpus", resources.gpus},
            {"slots", resources.slots},
            {"labels", resources.labels}};
}

NodeResources read_resources(JsonReader in) {
    NodeResources resources;
    resources.cores = read_int(in, "cores", 0, most_int, 0);
    resources.memory_bytes = in.unsigned_integer("memory_bytes", 0);
    resources.gpus = read_int(in, "gpus", 0, most_int, 0);
    resources.slots = read_int(in, "slots", 1, most_int, 1);
    resources.labels = in.texts("labels");
    in.refuse_others();
    return resources;
}

Json print(const Ending& ending) {
    return {{"started", ending.started},     {"exit_code", ending.exit_code},
            {"signal", ending.signal},       {"out_of_memory", ending.out_of_memory},
            {"timed_out", ending.timed_out}, {"stopped", ending.stopped},
            {"rank", ending.rank},           {"rank_ended_us", ending.rank_ended_us},
            {"code", ending.code},           {"message", ending.message}};
}

Ending read_ending(JsonReader& in) {
    Ending ending;
    ending.started = in.boolean("started", false);
    ending.exit_code = read_int(in, "exit_code", std::numeric_limits<int>::min(), most_int, 0);
    ending.signal = read_int(in, "signal", 0, 255, 0);
    ending.out_of_memory = in.boolean("out_of_memory", false);
    ending.timed_out = in.boolean("timed_out", false);
    ending.stopped = in.boolean("stopped", false);
    ending.rank = read_int(in, "rank", -1, most_int, -1);
    ending.rank_ended_us = in.integer("rank_ended_us", 0, std::numeric_limits<std::int64_t>::max(), 0);
    ending.code = in.text("code");
    ending.message = in.text("message");
    return ending;
}

Result<Ending> parse_ending(const Json& document) {
    return parse_whole(document, "ending", read_ending);
}

Json print(const NodeNetwork& network) {
    return {{"interface", network.interface},
            {"address", network.address},
            {"port", network.port},
            {"mpi_version", network.mpi_version},
            {"reaches_all", network.reaches_all}};
}

std::optional<NodeNetwork> read_network(JsonReader& of) {
    if (!of.has("network")) {
        return std::nullopt;
    }
    JsonReader in = of.object("network");
    NodeNetwork network;
    network.interface = in.text("interface");
    network.address = in.text("address");
    network.port = read_int(in, "port", 0, most_port, 0);
    network.mpi_version = in.text("mpi_version");
    network.reaches_all = in.boolean("reaches_all", false);
    in.refuse_others();
    return network;
}

Json print(const RunEnvironment& environment) {
    return {{"key", environment.key},       {"provider", environment.provider},
            {"python", environment.python}, {"interpreter", environment.interpreter},
            {"image", environment.image},   {"image_digest", environment.image_digest}};
}

std::optional<RunEnvironment> read_environment(JsonReader& of) {
    if (!of.has("environment")) {
        return std::nullopt;
    }
    JsonReader in = of.object("environment");
    RunEnvironment environment;
    environment.key = in.text("key");
    environment.provider = in.text("provider");
    environment.python = in.text("python");
    environment.interpreter = in.text("interpreter");
    environment.image = in.text("image");
    environment.image_digest = in.text("image_digest");
    in.refuse_others();
    if (!environment.key.empty() && !is_sha256_hex(environment.key)) {
        of.fault("environment", "its key is no SHA-256 in lower-case hex");
    }
    return environment;
}

Json print(const RunReport& report) {
    return {{"run", report.run.str()},
            {"fence", report.fence},
            {"phase", to_wire(report.phase)},
            {"detail", report.detail},
            {"ending", report.ending ? print(*report.ending) : Json()},
            {"daemons", print_list(report.daemons)},
            {"work_dir", report.work_dir},
            {"port", report.port},
            {"ended", print_list(report.ended)},
            {"work_done", report.work_done},
            {"network", report.network ? print(*report.network) : Json()},
            {"environment", report.environment ? print(*report.environment) : Json()}};
}

RunReport read_report(JsonReader& in) {
    RunReport report;
    report.run = RunId(read_name(in, "run", "run id"));
    report.fence = in.unsigned_integer("fence", 0);
    report.phase = read_word(in, "phase", phases);
    report.detail = in.text("detail");
    if (in.has("ending")) {
        JsonReader ending = in.object("ending");
        report.ending = read_ending(ending);
        ending.refuse_others();
    }
    report.daemons = read_list(in, "daemons", read_daemon);
    report.work_dir = in.text("work_dir");
    report.port = read_int(in, "port", 0, most_port, 0);
    report.ended = read_list(in, "ended", read_rank_end);
    report.work_done = in.boolean("work_done", false);
    report.network = read_network(in);
    report.environment = read_environment(in);
    if (report.phase >= Phase::exited && !report.ending) {
        in.fault("ending", "is needed once the run has exited");
    }
    return report;
}

} // namespace linarite::proto
