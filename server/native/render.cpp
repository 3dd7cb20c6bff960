#include "server/native/render.hpp"

#include <array>
#include <utility>

namespace linarite::native {

Json render_time(const std::optional<Time>& at) {
    return at ? Json(format_time(*at)) : Json();
}

namespace {

Json render_outcome(const core::Outcome& outcome) {
    return Json{{"exit_code", outcome.exit_code}, {"signal", outcome.signal},  {"out_of_memory", outcome.out_of_memory},
                {"timed_out", outcome.timed_out}, {"rank", outcome.rank},      {"node", outcome.node.str()},
                {"code", outcome.code},           {"message", outcome.message}};
}

Json render_environment(const store::RunEnvironmentRow& environment) {
    return Json{{"key", environment.key},       {"provider", environment.provider},
                {"python", environment.python}, {"interpreter", environment.interpreter},
                {"image", environment.image},   {"image_digest", environment.image_digest}};
}

} // namespace

Json render_run(const store::RunRow& row) {
    Json nodes = Json::array();
    for (const NodeName& node : row.nodes) {
        nodes.push_back(node.str());
    }
    Json definition = Json::parse(row.definition, nullptr, false);
    Json warnings = Json::array();
    if (const auto parsed = proto::parse_run_definition(definition)) {
        warnings = service::warnings_of(*parsed);
    }
    // and what was seen while it ran
    for (const Json& warning : Json::parse(row.warnings, nullptr, false)) {
        if (warning.is_object()) {
            warnings.push_back(warning.value("message", ""));
        }
    }
    return Json{{"run_id", row.id.str()},
                {"experiment", row.experiment},
                {"target", row.target},
                {"status", core::to_wire(row.status)},
                {"attempt", row.attempt},
                {"node_count", row.node_count},
                {"processes_per_node", row.processes_per_node},
                {"priority", row.priority},
                {"created", render_time(row.created)},
                {"started", render_time(row.started)},
                {"ended", render_time(row.ended)},
                {"snapshot", row.snapshot.str()},
                {"definition", std::move(definition)},
                {"submitted_by", row.submitted_by},
                {"nodes", std::move(nodes)},
                {"reason", row.reason},
                {"outcome", row.outcome ? render_outcome(*row.outcome) : Json()},
                {"warnings", std::move(warnings)},
                {"environment", row.environment ? render_environment(*row.environment) : Json()}};
}

Json render_event(const store::EventRow& row) {
    return Json{{"sequence", row.sequence},
                {"status", core::to_wire(row.status)},
                {"attempt", row.attempt},
                {"at", render_time(row.at)},
                {"reason", row.reason}};
}

Json render_node(const store::NodeRow& row, const core::NodeView* view) {
    Json runs = Json::array();
    if (view != nullptr) {
        for (const RunId& run : view->runs) {
            runs.push_back(run.str());
        }
    }
    return Json{{"name", row.name.str()},
                {"up", view != nullptr && view->up},
                {"drained", view != nullptr ? view->drained : row.drained},
                {"slots", row.slots},
                {"used_slots", runs.size()},
                {"cores", row.cores},
                {"memory_bytes", row.memory_bytes},
                {"gpus", row.gpus},
                {"labels", row.labels},
                {"targets", view != nullptr ? Json(view->spec.targets) : Json::array()},
                {"runs", std::move(runs)},
                {"last_seen", render_time(view != nullptr ? view->last_seen : row.last_seen)},
                {"version", row.version},
                {"address", row.address}};
}

std::string content_type_of(const std::string& path) {
    using Entry = std::pair<std::string_view, std::string_view>;
    constexpr std::array types{
        Entry{".txt", "text/plain; charset=utf-8"},
        Entry{".log", "text/plain; charset=utf-8"},
        Entry{".csv", "text/plain; charset=utf-8"},
        Entry{".json", "application/json"},
        Entry{".png", "image/png"},
        Entry{".jpg", "image/jpeg"},
        Entry{".jpeg", "image/jpeg"},
        Entry{".gif", "image/gif"},
    };
    for (const auto& [ending, type] : types) {
        if (path.ends_with(ending)) {
            return std::string(type);
        }
    }
    return "application/octet-stream";
}

std::string parameter(const http::Exchange& exchange, const std::string& name) {
    const auto found = exchange.head().parameters.find(name);
    return found == exchange.head().parameters.end() ? "" : found->second;
}

std::string query(const http::Exchange& exchange, const std::string& name) {
    const auto found = exchange.head().query.find(name);
    return found == exchange.head().query.end() ? "" : found->second;
}

void add_routes(http::Router& router, const std::shared_ptr<Api>& api) {
    add_run_routes(router, api);
    add_follow_route(router, api);
    add_metric_routes(router, api);
    add_file_routes(router, api);
    add_snapshot_routes(router, api);
    add_node_routes(router, api);
    add_datastore_routes(router, api);
    add_workspace_routes(router, api);
    add_agent_routes(router, api);
    add_system_routes(router, api);
}

} // namespace linarite::native
