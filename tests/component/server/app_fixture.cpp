#include "component/server/app_fixture.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/frames.hpp"
#include "server/app.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>

namespace linarite::test {

void AppTest::with_coordinator(Script script) {
    asio::io_context io(1);
    std::exception_ptr failure;
    asio::co_spawn(io, serve(io, std::move(script)), [&](const std::exception_ptr& thrown) {
        failure = thrown;
        io.stop();
    });
    io.run();
    if (failure) {
        admin_.reset(); // before the context that they live in
        stranger_.reset();
        std::rethrow_exception(failure);
    }
}

asio::awaitable<void> AppTest::serve(asio::io_context& io, Script script) {
    server::Options options;
    options.data = DataDir(folder_.root());
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
    admin_ = std::make_unique<HttpClient>(executor_, client::Address{url_, token_, ""});
    stranger_ = std::make_unique<HttpClient>(executor_, client::Address{url_, "", ""});
    co_await script();
    admin_.reset();
    stranger_.reset();
    co_await (*app)->stop();
}

asio::awaitable<Response> AppTest::send(HttpClient& http, HttpClient::Request request) {
    const auto answer = co_await http.send(std::move(request));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : Response{};
}

asio::awaitable<Response> AppTest::ask(std::string method, std::string target, Json body, HttpClient* as) {
    HttpClient::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = body.is_null() ? "" : body.dump();
    co_return co_await send(as == nullptr ? *admin_ : *as, std::move(request));
}

asio::awaitable<Json> AppTest::must(int status, std::string method, std::string target, Json body) {
    const Response response = co_await ask(method, target, std::move(body));
    EXPECT_EQ(response.status, status) << method << " " << target << ": " << response.body;
    co_return response.body.empty() ? Json() : Json::parse(response.body, nullptr, false);
}

asio::awaitable<Json> AppTest::must(std::string method, std::string target, Json body) {
    const auto answer = co_await admin_->call(method, target, std::move(body));
    EXPECT_TRUE(answer) << method << " " << target << ": " << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : Json();
}

asio::awaitable<Response> AppTest::send_frames(HttpClient& http, std::string target, std::string frames) {
    HttpClient::Request request;
    request.method = "POST";
    request.target = std::move(target);
    request.content_type = "application/octet-stream";
    request.body = std::move(frames);
    co_return co_await send(http, std::move(request));
}

asio::awaitable<std::string> AppTest::make_snapshot(std::string script) {
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

asio::awaitable<Json> AppTest::submit(std::string id, int nodes) {
    Json definition{{"script", "train.py"}, {"nodeCount", nodes}};
    if (nodes > 1) {
        definition["communicator"] = "IntelMpi";
    }
    const std::string snapshot = co_await make_snapshot("print('hello')\n");
    co_return co_await post(
        "/api/v1/runs", Json{{"run_id", id}, {"experiment", "e"}, {"snapshot", snapshot}, {"definition", definition}});
}

asio::awaitable<std::unique_ptr<HttpClient>> AppTest::join(std::string name) {
    const Json offered = co_await post("/api/v1/nodes/join-tokens", Json::object());
    const auto join = proto::parse_join_string(offered.at("join").get<std::string>());
    const auto body = co_await stranger_->call("POST", "/api/v1/agent/join",
                                               proto::print(proto::JoinRequest{1, name, join ? join->token : ""}));
    EXPECT_TRUE(body) << (body ? "" : body.error().detail());
    const auto answer = proto::parse_join_answer(body ? *body : Json());
    co_return std::make_unique<HttpClient>(executor_, client::Address{url_, answer ? answer->secret : "", ""});
}

asio::awaitable<std::unique_ptr<HttpClient>> AppTest::ready_node(std::string name, std::vector<std::string> labels) {
    auto agent = co_await join(name);
    co_await sync(*agent, picture(name, std::move(labels)));
    co_return agent;
}

proto::SyncRequest AppTest::picture(const std::string& name, std::vector<std::string> labels) {
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
    return request;
}

asio::awaitable<proto::SyncAnswer> AppTest::sync(HttpClient& agent, proto::SyncRequest request) {
    const auto body = co_await agent.call("POST", "/api/v1/agent/sync", proto::print(request));
    EXPECT_TRUE(body) << (body ? "" : body.error().detail());
    auto answer = proto::parse_sync_answer(body ? *body : Json());
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : proto::SyncAnswer{};
}

} // namespace linarite::test
