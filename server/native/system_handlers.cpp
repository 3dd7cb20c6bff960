#include "proto/json_reader.hpp"
#include "server/native/render.hpp"
#include "server/service/backup.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>

namespace linarite::native {
namespace {

using http::Exchange;
using Status = http::beast_http::status;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

asio::awaitable<void> health(ApiPtr api, Exchange& exchange) {
    co_await exchange.reply_json(Status::ok, Json{{"status", "ok"}, {"version", api->version}});
}

void add_gauge(prometheus::Registry& registry, const std::string& name, const std::string& help, double value,
               const prometheus::Labels& labels = {}) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels).Set(value);
}

void add_counter(prometheus::Registry& registry, const std::string& name, const std::string& help, std::uint64_t value,
                 const prometheus::Labels& labels = {}) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels).Increment(
        static_cast<double>(value));
}

// Gathered when asked for; nothing is counted twice or kept for it.
std::string gather(const Api& api) {
    prometheus::Registry registry;
    std::map<core::RunStatus, int> by_status;
    for (const core::RunView& run : api.scheduler.reactor().active_runs(api.scheduler.now())) {
        ++by_status[run.status];
    }
    for (const auto& [status, count] : by_status) {
        add_gauge(registry, "linarite_active_runs", "Runs that are not terminal, by status", count,
                  {{"status", std::string(core::to_wire(status))}});
    }
    add_gauge(registry, "linarite_queue_length", "Runs that wait for nodes",
              static_cast<double>(api.scheduler.reactor().queue_length()));
    int up = 0;
    int slots = 0;
    int used = 0;
    const auto nodes = api.scheduler.reactor().nodes();
    for (const core::NodeView& node : nodes) {
        up += node.up ? 1 : 0;
        slots += node.up ? node.spec.slots : 0;
        used += static_cast<int>(node.runs.size());
    }
    add_gauge(registry, "linarite_nodes", "Nodes, by state", up, {{"state", "up"}});
    add_gauge(registry, "linarite_nodes", "Nodes, by state", static_cast<double>(nodes.size()) - up,
              {{"state", "down"}});
    add_gauge(registry, "linarite_slots", "Slots of nodes that are up", slots);
    add_gauge(registry, "linarite_slots_used", "Slots that runs take", used);
    const store::Store::Counters store = api.store.counters();
    add_counter(registry, "linarite_store_commits_total", "Transactions committed", store.commits);
    add_counter(registry, "linarite_store_works_total", "Units of work in them", store.works);
    const http::Server::Counters counters = api.http_counters();
    add_gauge(registry, "linarite_http_connections", "Open connections",
              static_cast<double>(counters.connections_open));
    add_counter(registry, "linarite_http_connections_total", "Connections accepted", counters.connections_total);
    for (const auto& [key, count] : counters.by_route_and_status) {
        const std::size_t space = key.rfind(' ');
        add_counter(registry, "linarite_http_requests_total", "Requests answered, by route and status", count,
                    {{"route", key.substr(0, space)}, {"status", key.substr(space + 1)}});
    }
    return prometheus::TextSerializer().Serialize(registry.Collect());
}

asio::awaitable<void> metrics(ApiPtr api, Exchange& exchange) {
    std::string text = gather(*api);
    co_await exchange.reply_text(Status::ok, "text/plain; version=0.0.4; charset=utf-8", std::move(text));
}

asio::awaitable<void> backup(ApiPtr api, Exchange& exchange) {
    const Result<Json> body = co_await exchange.read_json();
    if (!body) {
        co_return co_await exchange.reply_error(body.error());
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*body, "", faults);
    const std::string directory = reader.required_text("directory");
    reader.refuse_others();
    if (!faults.empty()) {
        co_return co_await exchange.reply_error(Error(std::move(faults)));
    }
    const auto report =
        co_await service::back_up({api->store, api->metric_store}, api->datastores, api->data, directory);
    co_await reply(exchange, report, [&](const service::BackupReport& done) {
        Json not_copied = Json::array();
        for (const store::DatastoreRow& row : done.not_copied) {
            not_copied.push_back(Json{{"name", row.name}, {"path", row.path}});
        }
        return Json{{"directory", directory}, {"bytes", done.bytes}, {"not_copied", std::move(not_copied)}};
    });
}

} // namespace

void add_system_routes(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/healthz", admins, [api](Exchange& exchange) { return health(api, exchange); });
    router.add(Verb::get, "/metrics", admins, [api](Exchange& exchange) { return metrics(api, exchange); });
    router.add(Verb::post, "/api/v1/backup", admins, [api](Exchange& exchange) { return backup(api, exchange); });
}

} // namespace linarite::native
