#include "server/store/statements.hpp"

#include <SQLiteCpp/Database.h>

namespace linarite::store {
namespace {

constexpr std::string_view select_nodes = "SELECT name, secret_hash, incarnation, boot_id, host_id, address, version, "
                                          "cores, memory_bytes, gpus, slots, labels, "
                                          "drained, joined, last_seen, shared_dir FROM nodes ";

NodeRow read_node(Use& row) {
    NodeRow node;
    node.name = NodeName(row.text());
    node.secret_hash = row.text();
    node.incarnation = row.bits();
    node.boot_id = row.text();
    node.host_id = row.text();
    node.address = row.text();
    node.version = row.text();
    node.cores = row.integer();
    node.memory_bytes = row.bits();
    node.gpus = row.integer();
    node.slots = row.integer();
    node.labels = from_json_array(row.text());
    node.drained = row.flag();
    node.joined = row.time();
    node.last_seen = row.time();
    node.shared_dir = row.text();
    return node;
}

Error unknown_node(const NodeName& name) {
    return Error(Errc::not_found, "node '" + name.str() + "' not found");
}

} // namespace

Result<void> Tables::put_node(const NodeRow& row) {
    return guarded("store a node", [&]() -> Result<void> {
        Use put(
            *statements_,
            "INSERT OR REPLACE INTO nodes (name, secret_hash, incarnation, boot_id, host_id, address, version, cores, "
            "memory_bytes, gpus, slots, labels, drained, joined, last_seen, shared_dir) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        put.bind(row.name, row.secret_hash, row.incarnation, row.boot_id, row.host_id, row.address, row.version);
        put.bind(row.cores, row.memory_bytes, row.gpus, row.slots, to_json_array(row.labels), row.drained);
        put.bind(row.joined, row.last_seen, row.shared_dir).run();
        return {};
    });
}

Result<NodeRow> Tables::find_node(const NodeName& name) {
    return guarded("find a node", [&]() -> Result<NodeRow> {
        Use query(*statements_, std::string(select_nodes) + "WHERE name = ?");
        if (!query.bind(name).next()) {
            return unknown_node(name);
        }
        return read_node(query);
    });
}

Result<NodeRow> Tables::find_node_by_secret(const std::string& secret_hash) {
    return guarded("find a node by its secret", [&]() -> Result<NodeRow> {
        Use query(*statements_, std::string(select_nodes) + "WHERE secret_hash = ?");
        // a node that has no secret can't be reached by an empty one
        if (secret_hash.empty() || !query.bind(secret_hash).next()) {
            return Error(Errc::not_found, "no node has this secret");
        }
        return read_node(query);
    });
}

Result<std::vector<NodeRow>> Tables::list_nodes() {
    return guarded("list nodes", [&]() -> Result<std::vector<NodeRow>> {
        Use query(*statements_, std::string(select_nodes) + "ORDER BY name");
        std::vector<NodeRow> rows;
        while (query.next()) {
            rows.push_back(read_node(query));
        }
        return rows;
    });
}

Result<void> Tables::remove_node(const NodeName& name) {
    return guarded("remove a node", [&]() -> Result<void> {
        Use remove(*statements_, "DELETE FROM nodes WHERE name = ?");
        return remove.bind(name).run() == 1 ? Result<void>() : unknown_node(name);
    });
}

Result<void> Tables::set_drained(const NodeName& name, bool drained) {
    return guarded("drain a node", [&]() -> Result<void> {
        Use update(*statements_, "UPDATE nodes SET drained = ? WHERE name = ?");
        return update.bind(drained, name).run() == 1 ? Result<void>() : unknown_node(name);
    });
}

Result<void> Tables::put_join_token(const JoinTokenRow& row) {
    return guarded("store a join token", [&]() -> Result<void> {
        Use put(*statements_, "INSERT OR REPLACE INTO join_tokens (hash, expires) VALUES (?, ?)");
        put.bind(row.hash, row.expires).run();
        return {};
    });
}

Result<void> Tables::use_join_token(const std::string& hash, Time now) {
    return guarded("use a join token", [&]() -> Result<void> {
        Use use(*statements_, "DELETE FROM join_tokens WHERE hash = ? AND expires > ?");
        if (use.bind(hash, now).run() != 1) {
            return Error(Errc::not_found, "the join token is unknown, used or expired");
        }
        Use(*statements_, "DELETE FROM join_tokens WHERE expires <= ?").bind(now).run();
        return {};
    });
}

} // namespace linarite::store
