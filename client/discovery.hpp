// client/discovery.hpp: how the CLI and local agents find the coordinator and prove who they are.
#pragma once

#include "client/http_client.hpp"
#include "common/data_dir.hpp"

namespace linarite::client {

/// Where the coordinator of this data directory is. Without overrides ("") it is read from endpoint.json and the token
/// file; the plain http address is preferred, since it is loopback and cheaper. With another url, that one, with
/// `token_override` and the CA of the data directory if there is one: the local token is never sent to a server that
/// endpoint.json does not name. unavailable if none is running, unauthorized if there is no token to be had.
Result<Address> find_coordinator(const DataDir& data_dir, const std::string& url_override,
                                 const std::string& token_override);

/// The same coordinator by its https address, for clients that insist on TLS.
struct SecureAddress {
    Address address;
    bool is_local = false; // it is the one of this data directory
};
/// As find_coordinator; invalid_argument if `url_override` is a plain http address of another coordinator.
Result<SecureAddress> find_secure_coordinator(const DataDir& data_dir, const std::string& url_override,
                                              const std::string& token_override);

} // namespace linarite::client
