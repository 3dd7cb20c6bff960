// agent/identity.hpp: who this agent is to the coordinator, kept in its directory.
#pragma once

#include "client/http_client.hpp"
#include "common/data_dir.hpp"
#include "common/error.hpp"
#include "proto/agent_protocol.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace linarite::agent {

namespace asio = boost::asio;

/// What identity.json holds (0600).
struct Identity {
    std::string node;
    std::string secret;            // bearer token
    std::uint64_t incarnation = 0; // of the last start
    bool local = false;            // the coordinator is found by endpoint.json in `data`, else at `url`
    std::string url;
    std::string ca_pem;
};

Result<std::optional<Identity>> read_identity(const fs::path& agent_folder);
Result<void> write_identity(const fs::path& agent_folder, const Identity& identity);

/// Where the coordinator is now for this identity.
Result<client::Address> coordinator_address(const Identity& identity, const DataDir& data);

/// Uses up the join string's token; tries again while the coordinator is not reachable, for up to a minute.
asio::awaitable<Result<Identity>> join(asio::any_io_executor executor, proto::JoinString join, std::string node);

} // namespace linarite::agent
