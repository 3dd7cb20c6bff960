// tests/component/server/arm_fixture.hpp: a whole coordinator on free ports, asked as the genuine SDK would ask it.
#pragma once

#include "client/http_client.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"
#include "proto/agent_protocol.hpp"
#include "server/app.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <functional>

namespace linarite::test {

namespace asio = boost::asio;
using client::HttpClient;
using client::Json;
using client::Response;

class ArmFixture : public ::testing::Test {
protected:
    using Script = std::function<asio::awaitable<void>()>;

    ArmFixture() : folder_(fs::path(::testing::TempDir()) / ("linarite-" + random_hex(6))) {
        fs::create_directories(folder_);
    }
    ~ArmFixture() override {
        std::error_code ec;
        fs::remove_all(folder_, ec);
    }

    /// Starts a coordinator, runs the script against it, stops it.
    void with_coordinator(Script script) {
        asio::io_context io(1);
        std::exception_ptr failure;
        asio::co_spawn(io, serve(io, std::move(script)), [&](const std::exception_ptr& thrown) {
            failure = thrown;
            io.stop();
        });
        io.run();
        if (failure) {
            std::rethrow_exception(failure);
        }
    }

    /// One call with the admin's token, whatever its status. A null body sends none.
    asio::awaitable<Response> ask(std::string method, std::string target, Json body = nullptr) {
        HttpClient::Request request;
        request.method = std::move(method);
        request.target = std::move(target);
        request.body = body.is_null() ? "" : body.dump();
        co_return co_await send(*admin_, std::move(request));
    }
    /// The answer's JSON; a failure of the test if its status is another.
    asio::awaitable<Json> must(int status, std::string method, std::string target, Json body = nullptr) {
        const Response response = co_await ask(method, target, body);
        EXPECT_EQ(response.status, status) << method << " " << target << ": " << response.body;
        co_return response.body.empty() ? Json() : Json::parse(response.body, nullptr, false);
    }
    static asio::awaitable<Response> send(HttpClient& http, HttpClient::Request request) {
        const auto answer = co_await http.send(std::move(request));
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
        co_return answer ? *answer : Response{};
    }
    /// The words of a failure.
    static std::string words(const Json& body) { return body.at("error").at("message").get<std::string>(); }

    /// Joins a node and lets it say once what it has.
    asio::awaitable<std::unique_ptr<HttpClient>> join(std::string name, std::vector<std::string> labels = {}) {
        const Json offered = co_await must(200, "POST", "/api/v1/nodes/join-tokens", Json::object());
        const auto join = proto::parse_join_string(offered.at("join").get<std::string>());
        const proto::JoinRequest request{1, name, join ? join->token : ""};
        HttpClient anonymous(executor_, client::Address{url_, "", ""});
        const auto body = co_await anonymous.call("POST", "/api/v1/agent/join", proto::print(request));
        EXPECT_TRUE(body) << (body ? "" : body.error().detail());
        const auto answer = proto::parse_join_answer(body ? *body : Json());
        auto agent = std::make_unique<HttpClient>(executor_, client::Address{url_, answer ? answer->secret : "", ""});
        co_await sync(*agent, name, std::move(labels));
        co_return agent;
    }
    static asio::awaitable<void> sync(HttpClient& agent, std::string name, std::vector<std::string> labels) {
        proto::SyncRequest request;
        request.node = NodeName(name);
        request.incarnation = 1;
        request.boot_id = "boot";
        request.host_id = "host";
        request.address = "127.0.0.1";
        request.version = "test";
        request.resources.cores = 2;
        request.resources.memory_bytes = std::uint64_t{8} << 30U;
        request.resources.labels = std::move(labels);
        const auto answer = co_await agent.call("POST", "/api/v1/agent/sync", proto::print(request));
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    }

    /// The path of the workspace that is there from the start.
    static std::string scope() {
        return "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/"
               "Microsoft.MachineLearningServices/workspaces/linarite";
    }

    fs::path folder_;
    std::unique_ptr<HttpClient> admin_;
    std::string token_;
    std::string url_;       // plain http
    std::string https_url_; // as links are to begin
    asio::any_io_executor executor_;

private:
    asio::awaitable<void> serve(asio::io_context& io, Script script) {
        server::Options options;
        options.data = DataDir(folder_);
        options.https_port = 0;
        options.http_port = 0;
        options.version = "test";
        auto app = co_await server::App::start(io, options);
        EXPECT_TRUE(app) << (app ? "" : app.error().detail());
        if (!app) {
            co_return;
        }
        url_ = (*app)->http_url();
        https_url_ = (*app)->https_url();
        token_ = read_file(folder_ / "token").value();
        token_.pop_back();
        executor_ = io.get_executor();
        admin_ = std::make_unique<HttpClient>(io.get_executor(), client::Address{url_, token_, ""});
        co_await script();
        admin_.reset();
        co_await (*app)->stop();
    }
};

} // namespace linarite::test
