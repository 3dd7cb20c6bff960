// tests/component/server/app_fixture.hpp: a whole coordinator on free ports, driven over HTTP as the CLI, an agent or a
// client of Azure would; no agent process, no job.
#pragma once

#include "client/http_client.hpp"
#include "proto/agent_protocol.hpp"
#include "support/scratch.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace linarite::test {

namespace asio = boost::asio;
using client::HttpClient;
using client::Json;
using client::Response;

/// The path of the workspace that is there from the start.
inline const std::string scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/"
                                 "Microsoft.MachineLearningServices/workspaces/linarite";

class AppTest : public ::testing::Test {
protected:
    using Script = std::function<asio::awaitable<void>()>;

    /// Starts a coordinator, runs the script against it, stops it.
    void with_coordinator(Script script);

    /// One request, whatever the status of its answer.
    static asio::awaitable<Response> send(HttpClient& http, HttpClient::Request request);
    /// The same with the admin's token, or as another client. A null body sends none.
    asio::awaitable<Response> ask(std::string method, std::string target, Json body = nullptr,
                                  HttpClient* as = nullptr);
    /// The answer's JSON; a failure of the test if its status is another.
    asio::awaitable<Json> must(int status, std::string method, std::string target, Json body = nullptr);
    /// The answer's JSON; a failure of the test if its status is not a success.
    asio::awaitable<Json> must(std::string method, std::string target, Json body = nullptr);
    asio::awaitable<Json> get(std::string target) { return must("GET", std::move(target)); }
    asio::awaitable<Json> post(std::string target, Json body) {
        return must("POST", std::move(target), std::move(body));
    }
    /// The words of a failure.
    static std::string words(const Json& body) { return body.at("error").at("message").get<std::string>(); }

    static asio::awaitable<Response> send_frames(HttpClient& http, std::string target, std::string frames);
    /// A snapshot of one script, by the native API; gives its id.
    asio::awaitable<std::string> make_snapshot(std::string script);
    /// Submits a run by the native API.
    asio::awaitable<Json> submit(std::string id, int nodes = 1);

    /// Joins a node and gives its client; the node has not said anything yet.
    asio::awaitable<std::unique_ptr<HttpClient>> join(std::string name);
    /// Joins a node and lets it say once what it has.
    asio::awaitable<std::unique_ptr<HttpClient>> ready_node(std::string name, std::vector<std::string> labels = {});
    /// What an idle node says of itself.
    static proto::SyncRequest picture(const std::string& name, std::vector<std::string> labels = {});
    static asio::awaitable<proto::SyncAnswer> sync(HttpClient& agent, proto::SyncRequest request);

    Scratch folder_;        // the data directory
    std::string token_;     // the admin's
    std::string url_;       // plain http
    std::string https_url_; // as links are to begin
    std::unique_ptr<HttpClient> admin_;
    std::unique_ptr<HttpClient> stranger_; // without a token
    asio::any_io_executor executor_;

private:
    asio::awaitable<void> serve(asio::io_context& io, Script script);
};

} // namespace linarite::test
