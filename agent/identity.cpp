#include "agent/identity.hpp"

#include "common/files.hpp"
#include "proto/json_reader.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace linarite::agent {

using namespace std::chrono_literals;
using proto::Json;

Result<std::optional<Identity>> read_identity(const fs::path& agent_folder) {
    const auto text = read_file(agent_folder / "identity.json");
    if (!text) {
        if (text.error().code() == Errc::not_found) {
            return std::optional<Identity>();
        }
        return text.error();
    }
    const auto document = proto::parse_json(*text);
    if (!document) {
        return document.error().within("read '" + (agent_folder / "identity.json").string() + "'");
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    Identity identity;
    identity.node = reader.required_text("node");
    identity.secret = reader.required_text("secret");
    identity.incarnation = reader.unsigned_integer("incarnation", 0);
    identity.local = reader.boolean("local", false);
    identity.url = reader.text("url");
    identity.ca_pem = reader.text("ca_pem");
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return std::optional<Identity>(std::move(identity));
}

Result<void> write_identity(const fs::path& agent_folder, const Identity& identity) {
    const Json document{{"node", identity.node},   {"secret", identity.secret}, {"incarnation", identity.incarnation},
                        {"local", identity.local}, {"url", identity.url},       {"ca_pem", identity.ca_pem}};
    return write_file_durably(agent_folder / "identity.json", proto::print_json_pretty(document) + "\n", 0600);
}

Result<client::Address> coordinator_address(const Identity& identity, const DataDir& data) {
    if (!identity.local) {
        return client::Address{identity.url, identity.secret, identity.ca_pem};
    }
    const auto text = read_file(data.endpoint());
    if (!text) {
        return Error(Errc::unavailable, "no coordinator is running for data directory '" + data.root().string() + "'");
    }
    const auto document = proto::parse_json(*text);
    if (!document) {
        return Error(Errc::unavailable, "endpoint.json is not readable");
    }
    const auto endpoint = proto::parse_endpoint(*document);
    if (!endpoint) {
        return Error(Errc::unavailable, "endpoint.json is not readable: " + endpoint.error().detail());
    }
    return client::Address{endpoint->http_url, identity.secret, ""};
}

asio::awaitable<Result<Identity>> join(asio::any_io_executor executor, proto::JoinString join, std::string node) {
    client::HttpClient http(executor, client::Address{join.url, "", join.ca_pem});
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    const proto::JoinRequest request{proto::agent_protocol_version, node, join.token};
    for (;;) {
        const auto body = co_await http.call("POST", "/api/v1/agent/join", proto::print(request));
        if (body) {
            const auto answer = proto::parse_join_answer(*body);
            if (!answer) {
                co_return answer.error();
            }
            Identity identity;
            identity.node = answer->node;
            identity.secret = answer->secret;
            identity.url = join.url;
            identity.ca_pem = join.ca_pem;
            co_return identity;
        }
        if (body.error().code() != Errc::unavailable || std::chrono::steady_clock::now() > deadline) {
            co_return body.error().within("join the coordinator");
        }
        asio::steady_timer pause(executor, 250ms);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

} // namespace linarite::agent
