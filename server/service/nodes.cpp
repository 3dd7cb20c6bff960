#include "server/service/nodes.hpp"

#include "common/hash.hpp"

namespace linarite::service {

using namespace std::chrono_literals;

Nodes::Nodes(store::Store& store, Scheduler& scheduler, Computes& computes, const Clock& clock)
    : store_(store), scheduler_(scheduler), computes_(computes), clock_(clock) {}

asio::awaitable<Result<void>> Nodes::restore() {
    const auto rows = co_await list();
    if (!rows) {
        co_return rows.error();
    }
    for (const store::NodeRow& row : *rows) {
        by_secret_hash_[row.secret_hash] = row.name;
    }
    co_return Result<void>{};
}

asio::awaitable<Result<std::vector<store::NodeRow>>> Nodes::list() {
    co_return co_await store_.read([](store::Tables& tables) { return tables.list_nodes(); });
}

asio::awaitable<Result<std::string>> Nodes::make_join_token() {
    const std::string token = random_hex(32);
    store::JoinTokenRow row{sha256_hex(token), clock_.now() + 1h};
    auto put = [row](store::Tables& tables) -> Result<void> { return tables.put_join_token(row); };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    co_return token;
}

asio::awaitable<Result<proto::JoinAnswer>> Nodes::join(proto::JoinRequest request) {
    const auto name = parse_name(request.node, "node name");
    if (!name) {
        co_return Error({Fault{"/node", name.error().detail()}});
    }
    for (const core::NodeView& node : scheduler_.reactor().nodes()) {
        if (node.spec.name.str() == *name && node.up) {
            co_return Error(Errc::conflict,
                            "node name '" + *name + "' is taken by a node that is up; choose another with --name");
        }
    }
    proto::JoinAnswer answer{*name, random_hex(32)};
    const std::string hash = sha256_hex(answer.secret);
    auto write = [hash, name = NodeName(*name), token = sha256_hex(request.token),
                  now = clock_.now()](store::Tables& tables) -> Result<std::string> {
        if (auto used = tables.use_join_token(token, now); !used) {
            return Error(
                Errc::unauthorized,
                "the join token is unknown, used or older than an hour; make a new one with 'linarite nodes join'");
        }
        auto known = tables.find_node(name);
        store::NodeRow row = known ? *known : store::NodeRow{};
        const std::string former = row.secret_hash;
        row.name = name;
        row.secret_hash = hash;
        row.joined = now;
        row.last_seen = now;
        if (auto put = tables.put_node(row); !put) {
            return put.error();
        }
        return former;
    };
    const auto former = co_await store_.write(std::move(write));
    if (!former) {
        co_return former.error();
    }
    by_secret_hash_.erase(*former);
    by_secret_hash_[hash] = NodeName(*name);
    co_return answer;
}

NodeName Nodes::authenticate(const std::string& token) const {
    const auto found = by_secret_hash_.find(sha256_hex(token));
    return found == by_secret_hash_.end() ? NodeName() : found->second;
}

asio::awaitable<Result<proto::SyncAnswer>> Nodes::sync(NodeName caller, proto::SyncRequest request) {
    if (request.node != caller) {
        co_return Error(Errc::forbidden,
                        "this token belongs to node '" + caller.str() + "', not '" + request.node.str() + "'");
    }
    if (computes_.note_node(caller, request.resources.labels)) {
        co_await scheduler_.retarget();
    }
    co_return co_await scheduler_.sync(std::move(request));
}

asio::awaitable<Result<void>> Nodes::drain(NodeName name, bool drained) {
    co_return co_await scheduler_.set_drained(std::move(name), drained);
}

asio::awaitable<Result<void>> Nodes::remove(NodeName name) {
    const auto removed = co_await scheduler_.remove_node(name);
    if (removed) {
        std::erase_if(by_secret_hash_, [&](const auto& entry) { return entry.second == name; });
        if (computes_.forget_node(name)) {
            co_await scheduler_.retarget();
        }
    }
    co_return removed;
}

} // namespace linarite::service
