#include "server/blob/answer.hpp"

#include "common/ids.hpp"
#include "server/blob/shared_key.hpp"
#include "server/blob/xml.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace linarite::blob {
namespace {

constexpr const char* own_version = "2021-08-06";
constexpr std::size_t longest_client_id = 1024;

/// Azure answers in the version that it was asked in.
std::string version_of(const Call& call) {
    const std::string asked = call.header("x-ms-version");
    const bool sane = asked.size() == 10 && std::all_of(asked.begin(), asked.end(),
                                                        [](char c) { return (c >= '0' && c <= '9') || c == '-'; });
    return sane ? asked : own_version;
}

struct Fault {
    Status status;
    const char* code;
};

Fault fault_of(Errc code) {
    switch (code) {
    case Errc::unauthorized: return {Status::forbidden, "AuthenticationFailed"};
    case Errc::forbidden: return {Status::forbidden, "AuthorizationPermissionMismatch"};
    case Errc::not_found: return {Status::not_found, "BlobNotFound"};
    case Errc::conflict: return {Status::conflict, "BlobAlreadyExists"};
    case Errc::gone: return {Status::conflict, "BlobBeingRehydrated"};
    case Errc::invalid_argument: return {Status::bad_request, "InvalidInput"};
    case Errc::too_large: return {Status::payload_too_large, "RequestBodyTooLarge"};
    case Errc::resource_exhausted: return {Status::too_many_requests, "ServerBusy"};
    case Errc::unavailable: return {Status::service_unavailable, "ServerBusy"};
    case Errc::no_space: return {Status::insufficient_storage, "InsufficientStorage"};
    case Errc::internal: return {Status::internal_server_error, "InternalError"};
    }
    return {Status::internal_server_error, "InternalError"};
}

} // namespace

void add_common_headers(const Call& call) {
    http::Exchange& exchange = *call.exchange;
    exchange.add_header("x-ms-request-id", random_guid());
    exchange.add_header("x-ms-version", version_of(call));
    exchange.add_header("Date", print_http_date(call.api->clock.now()));
    const std::string id = call.header("x-ms-client-request-id");
    if (!id.empty() && id.size() <= longest_client_id) {
        exchange.add_header("x-ms-client-request-id", id);
    }
}

void add_blob_headers(const Call& call, const Facts& facts, bool with_etag) {
    http::Exchange& exchange = *call.exchange;
    const std::string modified = print_http_date(facts.modified);
    if (with_etag) {
        exchange.add_header("ETag", '"' + facts.etag + '"');
    }
    exchange.add_header("Last-Modified", modified);
    exchange.add_header("x-ms-creation-time", modified);
    exchange.add_header("x-ms-blob-type", "BlockBlob");
    exchange.add_header("x-ms-lease-state", "available");
    exchange.add_header("x-ms-lease-status", "unlocked");
    exchange.add_header("x-ms-server-encrypted", "true");
}

void add_written_headers(const Call& call, const Facts& facts) {
    call.exchange->add_header("ETag", '"' + facts.etag + '"');
    call.exchange->add_header("Last-Modified", print_http_date(facts.modified));
    call.exchange->add_header("x-ms-request-server-encrypted", "true");
}

asio::awaitable<void> refuse(Call call, Status status, std::string code, std::string message) {
    call.exchange->add_header("x-ms-error-code", code);
    co_await call.exchange->reply_text(status, "application/xml", print_error(code, message));
}

asio::awaitable<void> refuse(Call call, Error error) {
    const Fault fault = fault_of(error.code());
    if (error.code() == Errc::internal) {
        spdlog::error("internal error path=\"{}\" peer={} error=\"{}\"", call.head().path, call.head().peer,
                      error.detail());
        error = Error(Errc::internal, "internal error");
    }
    co_await refuse(call, fault.status, fault.code, error.detail());
}

} // namespace linarite::blob
