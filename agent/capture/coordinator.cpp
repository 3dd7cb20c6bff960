#include "agent/capture/coordinator.hpp"

#include "proto/json_reader.hpp"

namespace linarite::agent {

namespace {

constexpr std::size_t most_idle = 16; // a slot may use one at any time; a new one costs more than a request

Errc errc_of(int status) {
    switch (status) {
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 409: return Errc::conflict;
    case 410: return Errc::gone;
    case 413: return Errc::too_large;
    case 429: return Errc::resource_exhausted;
    case 500: return Errc::internal;
    case 507: return Errc::no_space;
    default: return status < 500 ? Errc::invalid_argument : Errc::unavailable;
    }
}

} // namespace

Error error_of(const client::Response& response) {
    std::string message = "the coordinator answered " + std::to_string(response.status);
    const auto document = proto::parse_json(response.body);
    if (document && document->is_object() && document->contains("error") && (*document)["error"].is_object()) {
        const auto& error = (*document)["error"];
        if (error.contains("message") && error["message"].is_string()) {
            message = error["message"].get<std::string>();
        }
    }
    return {errc_of(response.status), message};
}

Result<Coordinator::Client> Coordinator::borrow() {
    if (!idle_.empty()) {
        Client client = std::move(idle_.back());
        idle_.pop_back();
        return client;
    }
    auto address = address_();
    if (!address) {
        return Error(Errc::unavailable, address.error().detail());
    }
    return std::make_unique<client::HttpClient>(executor_, std::move(*address));
}

void Coordinator::give_back(Client client, bool sound) {
    if (!sound) {
        idle_.clear(); // they lead to the same coordinator, which may be elsewhere when it comes back
    } else if (idle_.size() < most_idle) {
        idle_.push_back(std::move(client));
    }
}

asio::awaitable<Result<client::Response>> Coordinator::send(client::HttpClient::Request request) {
    const auto self = shared_from_this();
    auto client = borrow();
    if (!client) {
        co_return client.error();
    }
    auto response = co_await (*client)->send(std::move(request));
    give_back(std::move(*client), response.has_value());
    co_return response;
}

asio::awaitable<Result<client::Response>> Coordinator::upload(client::HttpClient::Request request,
                                                              client::HttpClient::Source source, std::int64_t length) {
    const auto self = shared_from_this();
    auto client = borrow();
    if (!client) {
        co_return client.error();
    }
    auto response = co_await (*client)->upload(std::move(request), std::move(source), length);
    give_back(std::move(*client), response.has_value());
    co_return response;
}

asio::awaitable<Result<client::Response>> Coordinator::download(client::HttpClient::Request request,
                                                                client::HttpClient::Sink sink) {
    const auto self = shared_from_this();
    auto client = borrow();
    if (!client) {
        co_return client.error();
    }
    auto response = co_await (*client)->download(std::move(request), std::move(sink));
    give_back(std::move(*client), response.has_value());
    co_return response;
}

asio::awaitable<Result<client::Json>> Coordinator::get_json(std::string target) {
    client::HttpClient::Request request;
    request.target = std::move(target);
    const auto response = co_await send(std::move(request));
    if (!response) {
        co_return response.error();
    }
    if (response->status > 299) {
        co_return error_of(*response);
    }
    auto document = proto::parse_json(response->body);
    if (!document) {
        co_return Error(Errc::unavailable, "the coordinator's answer is not JSON: " + document.error().detail());
    }
    co_return *document;
}

std::string datastore_target(const std::string& datastore) {
    return "/api/v1/agent/datastores/" + client::encode_part(datastore);
}

} // namespace linarite::agent
