// tests/component/server/blob_fixture.hpp: a whole coordinator on free ports, asked as the SDK and its storage client
// ask it.
#pragma once

#include "client/http_client.hpp"
#include "common/hash.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/frames.hpp"
#include "server/app.hpp"
#include "server/service/blob_links.hpp"
#include "support/scratch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include <exception>
#include <functional>

namespace linarite::test {

namespace asio = boost::asio;
using client::HttpClient;
using client::Json;
using client::Response;

class BlobFixture : public ::testing::Test {
protected:
    using Script = std::function<asio::awaitable<void>()>;
    using Headers = std::map<std::string, std::string>;

    /// Starts a coordinator, runs the script against it, stops it.
    void with_coordinator(Script script);

    /// One request without a bearer token, whatever its status.
    asio::awaitable<Response> raw(std::string method, std::string target, std::string body = "", Headers headers = {});
    /// One request of the services with the admin's token.
    asio::awaitable<Response> ask(std::string method, std::string target, Json body = nullptr);
    /// The answer's JSON; a failure of the test if its status is not 200.
    asio::awaitable<Json> must(std::string method, std::string target, Json body = nullptr);

    /// A whole blob, to a link or a container.
    asio::awaitable<Response> put(std::string target, std::string body, Headers headers = {});
    /// The path and query of a link that a service gave out, after checking how it begins.
    std::string target_of(const std::string& link) const;
    /// With a signature of the account's key, as a storage client makes it.
    asio::awaitable<Response> signed_by_key(std::string method, std::string target, std::string body = "",
                                            Headers headers = {});
    /// What opens the default datastore's container, for an hour from now.
    [[nodiscard]] std::string sas(const std::string& rights = "racwdl") const;

    /// Submits a run with the native API; its node never takes it up.
    asio::awaitable<void> submit(std::string id);
    /// Joins a node and gives its client.
    asio::awaitable<std::unique_ptr<HttpClient>> join(std::string name);
    static asio::awaitable<proto::SyncAnswer> sync(HttpClient& agent, std::string name);
    /// Bytes of a file of a run, from its node. `sha256` "": the file grows.
    static asio::awaitable<Response> bring(HttpClient& agent, std::string run, Fence fence, std::string path,
                                           std::string bytes, std::uint64_t offset = 0, std::string sha256 = "");

    /// Sends files and makes a snapshot of them, as the SDK does; gives the answer to the last step.
    asio::awaitable<Response> send_snapshot(std::string id, std::map<std::string, std::string> sent,
                                            std::vector<std::string> inherited = {}, std::string parent = "");

    static const std::string scope;
    static const std::string container; // of the default datastore
    Scratch folder_;
    std::unique_ptr<HttpClient> admin_;
    std::unique_ptr<HttpClient> stranger_;
    std::string url_;
    std::string https_url_;
    asio::any_io_executor executor_;

private:
    asio::awaitable<void> serve(asio::io_context& io, Script script);
    [[nodiscard]] service::Tokens tokens() const;
};

} // namespace linarite::test
