// tests/component/server/app_fixture.hpp: a whole coordinator on free ports, driven over HTTP as the CLI and an agent
// would; no agent process, no job.
#pragma once

#include "client/http_client.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/frames.hpp"
#include "server/app.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <memory>
#include <string>

namespace linarite {

namespace asio = boost::asio;
using client::HttpClient;
using client::Json;
using namespace std::chrono_literals;

class TemporaryFolder {
public:
    TemporaryFolder() : path_(fs::path(::testing::TempDir()) / ("linarite-" + random_hex(6))) {
        fs::create_directories(path_);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ec;
        fs::remove_all(path_, ec);
    }
    [[nodiscard]] const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

class AppTest : public ::testing::Test {
protected:
    using Script = std::function<asio::awaitable<void>()>;

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

    asio::awaitable<Json> get(std::string target) { co_return co_await must("GET", std::move(target), nullptr); }
    asio::awaitable<Json> post(std::string target, Json body) {
        co_return co_await must("POST", std::move(target), std::move(body));
    }

    asio::awaitable<Json> must(std::string method, std::string target, Json body) {
        const auto answer = co_await admin_->call(method, target, body);
        EXPECT_TRUE(answer) << method << " " << target << ": " << (answer ? "" : answer.error().detail());
        co_return answer ? *answer : Json();
    }

    /// A snapshot of one script; gives its id.
    asio::awaitable<std::string> send_snapshot(std::string script) {
        const std::string hash = sha256_hex(script);
        const Json manifest{
            {"files", Json::array({Json{{"path", "train.py"}, {"size", script.size()}, {"sha256", hash}}})}};
        const Json offered = co_await post("/api/v1/snapshots", manifest);
        if (offered.contains("missing")) {
            proto::FrameHeader header;
            header.path = hash;
            header.size = script.size();
            header.sha256 = hash;
            co_await send_frames(*admin_, "/api/v1/snapshots/blobs", proto::print_frame_header(header) + script);
            co_await post("/api/v1/snapshots", manifest);
        }
        co_return offered.at("id").get<std::string>();
    }

    static asio::awaitable<client::Response> send_frames(HttpClient& http, std::string target, std::string frames) {
        HttpClient::Request request;
        request.method = "POST";
        request.target = std::move(target);
        request.content_type = "application/octet-stream";
        request.body = std::move(frames);
        const auto answer = co_await http.send(std::move(request));
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
        co_return answer ? *answer : client::Response{};
    }

    asio::awaitable<Json> submit(std::string id, int nodes = 1) {
        Json definition{{"script", "train.py"}, {"nodeCount", nodes}};
        if (nodes > 1) {
            definition["communicator"] = "IntelMpi";
        }
        const std::string snapshot = co_await send_snapshot("print('hello')\n");
        co_return co_await post(
            "/api/v1/runs",
            Json{{"run_id", id}, {"experiment", "e"}, {"snapshot", snapshot}, {"definition", definition}});
    }

    /// Joins a node and gives its client.
    asio::awaitable<std::unique_ptr<HttpClient>> join(std::string name) {
        const Json offered = co_await post("/api/v1/nodes/join-tokens", Json::object());
        const auto join = proto::parse_join_string(offered.at("join").get<std::string>());
        HttpClient anonymous(executor_, client::Address{url_, "", ""});
        const auto body = co_await anonymous.call("POST", "/api/v1/agent/join",
                                                  proto::print(proto::JoinRequest{1, name, join ? join->token : ""}));
        EXPECT_TRUE(body) << (body ? "" : body.error().detail());
        const auto answer = proto::parse_join_answer(body ? *body : Json());
        co_return std::make_unique<HttpClient>(executor_, client::Address{url_, answer ? answer->secret : "", ""});
    }

    static proto::SyncRequest picture(const std::string& name) {
        proto::SyncRequest request;
        request.node = NodeName(name);
        request.incarnation = 1;
        request.boot_id = "boot";
        request.host_id = "host";
        request.address = "127.0.0.1";
        request.version = "test";
        request.resources.cores = 2;
        return request;
    }

    static asio::awaitable<proto::SyncAnswer> sync(HttpClient& agent, proto::SyncRequest request) {
        const auto body = co_await agent.call("POST", "/api/v1/agent/sync", proto::print(request));
        EXPECT_TRUE(body) << (body ? "" : body.error().detail());
        auto answer = proto::parse_sync_answer(body ? *body : Json());
        EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
        co_return answer ? *answer : proto::SyncAnswer{};
    }

    TemporaryFolder folder_;
    std::unique_ptr<HttpClient> admin_;
    std::string url_;
    std::string https_url_;
    asio::any_io_executor executor_;

private:
    asio::awaitable<void> serve(asio::io_context& io, Script script) {
        server::Options options;
        options.data = DataDir(folder_.path());
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
        std::string token = read_file(folder_.path() / "token").value();
        token.pop_back();
        executor_ = io.get_executor();
        admin_ = std::make_unique<HttpClient>(io.get_executor(), client::Address{url_, token, ""});
        co_await script();
        admin_.reset();
        co_await (*app)->stop();
    }
};

} // namespace linarite
