// server/blob/shared_key.hpp: requests that are signed with the key of a storage account.
#pragma once

#include "common/clock.hpp"
#include "server/http/exchange.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace linarite::blob {

/// "Authorization: SharedKey ACCOUNT:SIGNATURE".
struct SharedKey {
    std::string account;
    std::string signature; // base64
};
/// Nothing if the header is of another kind.
std::optional<SharedKey> parse_shared_key(std::string_view authorization);

/// What is signed of a request, as Azure defines it (storage services since 2015-02-21).
std::string string_to_sign(const http::RequestHead& head, std::string_view account);

/// The signature of a text with an account's key, both in base64.
std::string sign(const std::string& key, const std::string& text);

/// "Mon, 23 Nov 2026 15:12:51 GMT", and back.
std::string print_http_date(Time at);
std::optional<Time> parse_http_date(const std::string& text);

} // namespace linarite::blob
