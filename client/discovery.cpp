#include "client/discovery.hpp"

#include "common/files.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/json_reader.hpp"

#include <cerrno>
#include <csignal>

namespace linarite::client {
namespace {

Error not_running(const DataDir& data_dir) {
    return {Errc::unavailable, "no coordinator is running for data directory '" + data_dir.root().string() +
                                   "': start one with 'linarite up'"};
}

Result<proto::Endpoint> read_endpoint(const DataDir& data_dir) {
    const Result<std::string> text = read_file(data_dir.endpoint());
    if (!text) {
        return text.error().code() == Errc::not_found ? not_running(data_dir) : text.error();
    }
    const Result<Json> document = proto::parse_json(*text);
    if (!document) {
        return document.error().within("read '" + data_dir.endpoint().string() + "'");
    }
    Result<proto::Endpoint> endpoint = proto::parse_endpoint(*document);
    if (!endpoint) {
        return endpoint.error().within("read '" + data_dir.endpoint().string() + "'");
    }
    // a coordinator that was killed leaves its file behind
    if (endpoint->pid > 0 && ::kill(endpoint->pid, 0) != 0 && errno == ESRCH) {
        return not_running(data_dir);
    }
    return endpoint;
}

Result<std::string> read_token(const DataDir& data_dir) {
    const Result<std::string> text = read_file(data_dir.token(), 4096);
    if (!text) {
        return Error(Errc::unauthorized, "the token cannot be read: " + text.error().detail());
    }
    const std::size_t end = text->find_last_not_of(" \t\r\n");
    if (end == std::string::npos) {
        return Error(Errc::unauthorized, "the token file '" + data_dir.token().string() + "' is empty");
    }
    return text->substr(0, end + 1);
}

std::string without_slash(std::string url) {
    if (url.ends_with('/')) {
        url.pop_back();
    }
    return url;
}

/// A server that this data directory knows nothing about.
Result<Address> elsewhere(const DataDir& data_dir, const std::string& url, const std::string& token) {
    if (token.empty()) {
        return Error(Errc::unauthorized, "a token is needed for " + url + ": set LINARITE_TOKEN");
    }
    const Result<std::string> ca = read_file(data_dir.tls() / "ca.pem");
    return Address{url, token, ca && url.starts_with("https://") ? *ca : ""};
}

bool is_ours(const Result<proto::Endpoint>& endpoint, const std::string& url) {
    return endpoint && (url.empty() || url == endpoint->https_url || url == endpoint->http_url);
}

/// Our own coordinator by one of its addresses.
Result<Address> at_home(const DataDir& data_dir, const proto::Endpoint& endpoint, const std::string& url,
                        const std::string& token_override) {
    Address address;
    address.url = url;
    if (url.starts_with("https://") && !endpoint.ca_file.empty()) {
        const Result<std::string> ca = read_file(endpoint.ca_file);
        if (!ca) {
            return ca.error().within("read the coordinator's CA");
        }
        address.ca_pem = *ca;
    }
    const Result<std::string> token = token_override.empty() ? read_token(data_dir) : token_override;
    if (!token) {
        return token.error();
    }
    address.token = *token;
    return address;
}

} // namespace

Result<Address> find_coordinator(const DataDir& data_dir, const std::string& url_override,
                                 const std::string& token_override) {
    const Result<proto::Endpoint> endpoint = read_endpoint(data_dir);
    const std::string url = without_slash(url_override);
    if (!url.empty() && !is_ours(endpoint, url)) {
        return elsewhere(data_dir, url, token_override);
    }
    if (!endpoint) {
        return endpoint.error();
    }
    const std::string& preferred = endpoint->http_url.empty() ? endpoint->https_url : endpoint->http_url;
    return at_home(data_dir, *endpoint, url.empty() ? preferred : url, token_override);
}

Result<SecureAddress> find_secure_coordinator(const DataDir& data_dir, const std::string& url_override,
                                              const std::string& token_override) {
    const Result<proto::Endpoint> endpoint = read_endpoint(data_dir);
    const std::string url = without_slash(url_override);
    const bool is_local = is_ours(endpoint, url);
    if (!is_local && url.empty()) {
        return endpoint.error();
    }
    if (!is_local && !url.starts_with("https://")) {
        return Error(Errc::invalid_argument, "an address with https:// is needed here, not '" + url + "'");
    }
    auto address = is_local ? at_home(data_dir, *endpoint, endpoint->https_url, token_override)
                            : elsewhere(data_dir, url, token_override);
    if (!address) {
        return address.error();
    }
    return SecureAddress{std::move(*address), is_local};
}

} // namespace linarite::client
