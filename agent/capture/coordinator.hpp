// agent/capture/coordinator.hpp: connections to the coordinator for files, shared by all runs of an agent.
#pragma once

#include "client/http_client.hpp"
#include "common/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;

/// Lends a connection for each request and keeps some idle ones. Any number of requests may be under way. Answers are
/// as those of client::HttpClient; statuses over 299 of send and upload are successes.
class Coordinator : public std::enable_shared_from_this<Coordinator> {
public:
    /// `address` is asked before each new connection, since a restarted coordinator may listen elsewhere.
    Coordinator(asio::any_io_executor executor, std::function<Result<client::Address>()> address)
        : executor_(std::move(executor)), address_(std::move(address)) {}

    asio::awaitable<Result<client::Response>> send(client::HttpClient::Request request);
    asio::awaitable<Result<client::Response>> upload(client::HttpClient::Request request,
                                                     client::HttpClient::Source source, std::int64_t length);
    asio::awaitable<Result<client::Response>> download(client::HttpClient::Request request,
                                                       client::HttpClient::Sink sink);
    asio::awaitable<Result<client::Json>> get_json(std::string target);

private:
    using Client = std::unique_ptr<client::HttpClient>;
    Result<Client> borrow();
    /// Takes it back, unless it turned out to be broken.
    void give_back(Client client, bool sound);

    asio::any_io_executor executor_;
    std::function<Result<client::Address>()> address_;
    std::vector<Client> idle_;
};

/// An answer with a status over 299 as the error that it stands for, with the coordinator's words.
Error error_of(const client::Response& response);

/// "/api/v1/agent/datastores/NAME", encoded.
std::string datastore_target(const std::string& datastore);

} // namespace linarite::agent
