// `nodes`: the machines, and who may join.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/table.hpp"
#include "client/http_client.hpp"

#include <fmt/core.h>

namespace linarite::cli {
namespace {

constexpr const char* footer = R"(Without a subcommand: the list of nodes.

Examples:
  linarite nodes
  linarite nodes join              on the coordinator's machine; prints a join string as its last line
  linarite agent JOIN-STRING       on the machine that joins
  linarite nodes drain node-2      its runs go on, it gets no new ones)";

struct NodeNames {
    std::vector<std::string> names;
};

Cell state_of(const Json& node) {
    if (!flag(node, "up")) {
        return {"down", Style::red};
    }
    return flag(node, "drained") ? Cell{"drained", Style::yellow} : Cell{"up", Style::green};
}

std::string seen(const Json& node, Time now) {
    const auto at = parse_time(text(node, "last_seen"));
    return at ? format_ago(*at, now) : "never";
}

Result<int> list_nodes(CommandContext& context) {
    const auto answer = context.connection.get("/api/v1/nodes");
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    const Json& nodes = member(*answer, "nodes");
    if (nodes.empty()) {
        context.notice("no nodes; 'linarite nodes join' says how one joins");
        return exit_ok;
    }
    using enum Table::Align;
    Table table({{"NODE"},
                 {"STATE"},
                 {"SLOTS", right},
                 {"CORES", right},
                 {"MEMORY", right},
                 {"GPUS", right},
                 {"TARGETS"},
                 {"SEEN"},
                 {"RUNS"}});
    const Time now = SystemClock().now();
    for (const Json& node : nodes) {
        table.add({{text(node, "name")},
                   state_of(node),
                   {fmt::format("{}/{}", number(node, "used_slots"), number(node, "slots"))},
                   {std::to_string(number(node, "cores"))},
                   {format_bytes(static_cast<std::uint64_t>(number(node, "memory_bytes")))},
                   {std::to_string(number(node, "gpus"))},
                   {join(texts(node, "targets"), ",")},
                   {seen(node, now)},
                   {join(texts(node, "runs"), " ")}});
    }
    write_out(table.render(context.terminal));
    return exit_ok;
}

Result<int> make_join_string(CommandContext& context) {
    const auto answer = context.connection.call("POST", "/api/v1/nodes/join-tokens", Json::object());
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    context.notice("On the machine that is to join, once: linarite agent JOIN-STRING. The join string:");
    write_out(text(*answer, "join") + "\n");
    return exit_ok;
}

/// A change of nodes: what is sent for each name.
struct Change {
    std::string name;
    std::string description;
    std::string method;
    std::string rest; // of the target, behind the node's name
};

Result<int> change_nodes(CommandContext& context, const NodeNames& given, const Change& change) {
    Json answers = Json::array();
    for (const std::string& name : given.names) {
        const std::string target = "/api/v1/nodes/" + client::encode_part(name) + change.rest;
        const auto answer =
            context.connection.call(change.method, target, change.method == "POST" ? Json::object() : Json());
        if (!answer) {
            return answer.error();
        }
        answers.push_back(*answer);
    }
    if (context.options.json()) {
        CommandContext::print_json(Json{{"nodes", std::move(answers)}});
    }
    return exit_ok;
}

void add_change(CLI::App& nodes, GlobalOptions& options, Chosen& chosen, const Change& change) {
    CLI::App& command =
        add_command(nodes, change.name, change.description, "Example:\n  linarite nodes " + change.name + " node-2");
    const auto given = std::make_shared<NodeNames>();
    command.add_option("NAME", given->names, "nodes")->required()->type_name("");
    command.callback([&options, &chosen, given, change] {
        chosen = [&options, given, change] {
            return run_command(options, [&](CommandContext& context) { return change_nodes(context, *given, change); });
        };
    });
}

} // namespace

void add_nodes_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& nodes = add_command(app, "nodes", "List the nodes, let one join, take one out\n  linarite nodes", footer);
    nodes.require_subcommand(0, 1);
    nodes.callback([&nodes, &options, &chosen] {
        if (nodes.get_subcommands().empty()) {
            chosen = [&options] { return run_command(options, list_nodes); };
        }
    });
    CLI::App& joining =
        add_command(nodes, "join", "Print a join string, good for one machine", "Example:\n  linarite nodes join");
    joining.callback([&options, &chosen] { chosen = [&options] { return run_command(options, make_join_string); }; });
    add_change(nodes, options, chosen, {"drain", "Give a node no new runs", "POST", "/drain"});
    add_change(nodes, options, chosen, {"resume", "Give a drained node runs again", "POST", "/resume"});
    add_change(nodes, options, chosen, {"remove", "Forget a node; it has to join anew", "DELETE", ""});
}

} // namespace linarite::cli
