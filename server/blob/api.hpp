// server/blob/api.hpp: a subset of Azure's blob storage: what the v1 SDK's storage client needs of it. Azure's words
// for files and folders stay in this room.
#pragma once

#include "server/artifacts/block_folder.hpp"
#include "server/http/router.hpp"
#include "server/service/blob_uploads.hpp"
#include "server/service/datastores.hpp"
#include "server/service/run_storage.hpp"
#include "server/service/snapshots.hpp"
#include "server/service/tokens.hpp"

#include <memory>
#include <string>

namespace linarite::blob {

namespace asio = boost::asio;
using Status = http::beast_http::status;

/// Everything that handlers call. All of it outlives the server.
struct Api {
    service::RunStorage& storage;
    service::Snapshots& snapshots;
    service::BlobUploads& uploads;
    service::Datastores& datastores;
    service::Tokens& tokens;
    asio::thread_pool& pool;
    const Clock& clock;
    artifacts::BlockFolder blocks;
};
using ApiPtr = std::shared_ptr<Api>;

/// One request. Copied freely; the exchange outlives all copies.
struct Call {
    ApiPtr api;
    http::Exchange* exchange;

    [[nodiscard]] const http::RequestHead& head() const { return exchange->head(); }
    /// The query's value or the header's; "" if absent.
    [[nodiscard]] std::string query(const std::string& name) const;
    [[nodiscard]] std::string header(const std::string& name) const;
    /// The first part of the path, and what follows it.
    [[nodiscard]] std::string container() const;
    [[nodiscard]] std::string blob() const;
};

/// Adds "/{container}" and "/{container}/{blob...}". Who may do what is decided here, from signatures.
void add_routes(http::Router& router, const ApiPtr& api);

} // namespace linarite::blob
