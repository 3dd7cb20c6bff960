// server/service/nodes.hpp: use cases on nodes: joining, authenticating, syncing, draining.
#pragma once

#include "proto/agent_protocol.hpp"
#include "server/service/computes.hpp"
#include "server/service/scheduler.hpp"
#include "server/store/store.hpp"

#include <map>
#include <string>
#include <vector>

namespace linarite::service {

class Nodes {
public:
    Nodes(store::Store& store, Scheduler& scheduler, Computes& computes, const Clock& clock);
    /// Reads who may speak; call once.
    asio::awaitable<Result<void>> restore();

    /// A token for one new agent, good for an hour. Only its hash is kept.
    asio::awaitable<Result<std::string>> make_join_token();
    /// Uses up the token. A name that is taken by a node that is up is a conflict; one that is down is taken over.
    asio::awaitable<Result<proto::JoinAnswer>> join(proto::JoinRequest request);
    /// The node that a bearer token belongs to; empty if none.
    [[nodiscard]] NodeName authenticate(const std::string& token) const;
    asio::awaitable<Result<proto::SyncAnswer>> sync(NodeName caller, proto::SyncRequest request);
    asio::awaitable<Result<void>> drain(NodeName name, bool drained);
    asio::awaitable<Result<void>> remove(NodeName name);
    asio::awaitable<Result<std::vector<store::NodeRow>>> list();

private:
    store::Store& store_;
    Scheduler& scheduler_;
    Computes& computes_;
    const Clock& clock_;
    std::map<std::string, NodeName> by_secret_hash_;
};

} // namespace linarite::service
