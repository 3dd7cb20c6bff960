#include "component/server/blob_fixture.hpp"

#include "common/data_dir.hpp"
#include "server/blob/shared_key.hpp"

namespace linarite::test {

using namespace std::chrono_literals;

const std::string BlobFixture::scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/"
                                       "providers/Microsoft.MachineLearningServices/workspaces/linarite";
const std::string BlobFixture::container = "/azureml-blobstore-workspaceblobstore";

void BlobFixture::with_coordinator(Script script) {
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

asio::awaitable<void> BlobFixture::serve(asio::io_context& io, Script script) {
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
    executor_ = io.get_executor();
    const std::string token = read_file(folder_ / "token").value().substr(0, 64);
    admin_ = std::make_unique<HttpClient>(executor_, client::Address{url_, token, ""});
    stranger_ = std::make_unique<HttpClient>(executor_, client::Address{url_, "", ""});
    co_await script();
    admin_.reset();
    stranger_.reset();
    co_await (*app)->stop();
}

asio::awaitable<Response> BlobFixture::raw(std::string method, std::string target, std::string body, Headers headers) {
    HttpClient::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.content_type = "application/octet-stream";
    request.headers = std::move(headers);
    const auto answer = co_await stranger_->send(std::move(request));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : Response{};
}

asio::awaitable<Response> BlobFixture::ask(std::string method, std::string target, Json body) {
    HttpClient::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = body.is_null() ? "" : body.dump();
    const auto answer = co_await admin_->send(std::move(request));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : Response{};
}

asio::awaitable<Json> BlobFixture::must(std::string method, std::string target, Json body) {
    const Response answer = co_await ask(method, target, std::move(body));
    EXPECT_EQ(answer.status, 200) << method << " " << target << ": " << answer.body;
    co_return Json::parse(answer.body, nullptr, false);
}

asio::awaitable<Response> BlobFixture::put(std::string target, std::string body, Headers headers) {
    headers.emplace("x-ms-blob-type", "BlockBlob");
    headers.emplace("x-ms-version", "2021-08-06");
    return raw("PUT", std::move(target), std::move(body), std::move(headers));
}

std::string BlobFixture::target_of(const std::string& link) const {
    const std::string port = https_url_.substr(https_url_.rfind(':'));
    const std::string start = "https://linarite.blob.local@127.0.0.1" + port;
    EXPECT_TRUE(link.starts_with(start)) << link;
    return link.substr(std::min(start.size(), link.size()));
}

service::Tokens BlobFixture::tokens() const {
    return service::Tokens::open(DataDir(folder_.root()).signing_key()).value();
}

asio::awaitable<Response> BlobFixture::signed_by_key(std::string method, std::string target, std::string body,
                                                     Headers headers) {
    headers.emplace("x-ms-version", "2021-08-06");
    headers.emplace("x-ms-date", blob::print_http_date(SystemClock().now()));
    http::RequestHead head;
    head.method = http::beast_http::string_to_verb(method);
    head.target = target;
    head.headers = headers;
    if (!body.empty()) {
        head.headers["content-length"] = std::to_string(body.size());
        head.headers["content-type"] = "application/octet-stream";
    }
    for (std::size_t at = target.find('?'); at != std::string::npos; at = target.find('&', at + 1)) {
        const std::string pair = target.substr(at + 1, target.find('&', at + 1) - at - 1);
        head.query[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
    }
    const std::string text = blob::string_to_sign(head, "linarite");
    headers["Authorization"] = "SharedKey linarite:" + blob::sign(tokens().account_key("linarite"), text);
    return raw(std::move(method), std::move(target), std::move(body), std::move(headers));
}

std::string BlobFixture::sas(const std::string& rights) const {
    return service::container_sas(tokens(), {"linarite", container.substr(1)}, SystemClock().now() + 1h, rights);
}

asio::awaitable<void> BlobFixture::submit(std::string id) {
    const std::string hash = sha256_hex("");
    const Json files = Json::array({Json{{"path", "train.py"}, {"size", 0}, {"sha256", hash}}});
    proto::FrameHeader header;
    header.path = hash;
    header.sha256 = hash;
    HttpClient::Request blobs;
    blobs.method = "POST";
    blobs.target = "/api/v1/snapshots/blobs";
    blobs.content_type = "application/octet-stream";
    blobs.body = proto::print_frame_header(header);
    co_await admin_->send(std::move(blobs));
    const auto snapshot = co_await admin_->call("POST", "/api/v1/snapshots", Json{{"files", files}});
    EXPECT_TRUE(snapshot) << (snapshot ? "" : snapshot.error().detail());
    const Json body{{"run_id", id},
                    {"experiment", "e"},
                    {"snapshot", snapshot->at("id")},
                    {"definition", Json{{"script", "train.py"}}}};
    const auto run = co_await admin_->call("POST", "/api/v1/runs", body);
    EXPECT_TRUE(run) << (run ? "" : run.error().detail());
}

asio::awaitable<std::unique_ptr<HttpClient>> BlobFixture::join(std::string name) {
    const auto offered = co_await admin_->call("POST", "/api/v1/nodes/join-tokens", Json::object());
    EXPECT_TRUE(offered) << (offered ? "" : offered.error().detail());
    const auto join = proto::parse_join_string(offered->at("join").get<std::string>());
    const auto body = co_await stranger_->call("POST", "/api/v1/agent/join",
                                               proto::print(proto::JoinRequest{1, name, join ? join->token : ""}));
    EXPECT_TRUE(body) << (body ? "" : body.error().detail());
    const auto answer = proto::parse_join_answer(body ? *body : Json());
    auto agent = std::make_unique<HttpClient>(executor_, client::Address{url_, answer ? answer->secret : "", ""});
    co_await sync(*agent, name);
    co_return agent;
}

asio::awaitable<proto::SyncAnswer> BlobFixture::sync(HttpClient& agent, std::string name) {
    proto::SyncRequest request;
    request.node = NodeName(std::move(name));
    request.incarnation = 1;
    request.boot_id = "boot";
    request.host_id = "host";
    request.address = "127.0.0.1";
    request.version = "test";
    request.resources.cores = 2;
    const auto body = co_await agent.call("POST", "/api/v1/agent/sync", proto::print(request));
    EXPECT_TRUE(body) << (body ? "" : body.error().detail());
    auto answer = proto::parse_sync_answer(body ? *body : Json());
    co_return answer ? *answer : proto::SyncAnswer{};
}

asio::awaitable<Response> BlobFixture::bring(HttpClient& agent, std::string run, Fence fence, std::string path,
                                             std::string bytes, std::uint64_t offset, std::string sha256) {
    proto::FrameHeader header;
    header.path = std::move(path);
    header.size = bytes.size();
    header.offset = offset;
    header.sha256 = std::move(sha256);
    HttpClient::Request request;
    request.method = "POST";
    request.target = "/api/v1/agent/runs/" + run + "/files?fence=" + std::to_string(fence);
    request.content_type = "application/octet-stream";
    request.body = proto::print_frame_header(header) + bytes;
    const auto answer = co_await agent.send(std::move(request));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail());
    co_return answer ? *answer : Response{};
}

namespace {

void plant(Json& root, const std::string& path) {
    Json* node = &root;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t slash = std::min(path.find('/', at), path.size());
        const std::string name = path.substr(at, slash - at);
        node = &(*node)["children"][name];
        (*node)["name"] = name;
        (*node)["type"] = slash == path.size() ? "File" : "Directory";
        at = slash + 1;
    }
}

} // namespace

asio::awaitable<Response> BlobFixture::send_snapshot(std::string id, std::map<std::string, std::string> sent,
                                                     std::vector<std::string> inherited, std::string parent) {
    Json names = Json::array();
    Json root{{"name", ""}, {"type", "Directory"}, {"children", Json::object()}};
    for (const auto& [path, bytes] : sent) {
        names.push_back(path);
        plant(root, path);
    }
    for (const std::string& path : inherited) {
        plant(root, path);
    }
    const std::string base = "/content/v2.0" + scope + "/snapshots/";
    const Json given = co_await must("POST", base + "getblob", Json{{"FileNames", names}});
    Json nodes = Json::array();
    for (const Json& node : given.at("fileNodes")) {
        const std::string path = node.at("fullName");
        const std::string link = node.at("blobUri");
        const std::string target = target_of(link) + "&timeout=30";
        const Response stored = co_await put(target, sent.at(path), {{"If-None-Match", "*"}});
        EXPECT_EQ(stored.status, 201) << stored.body;
        const Response head = co_await raw("HEAD", target);
        EXPECT_EQ(head.status, 200) << path;
        EXPECT_EQ(head.headers.at("content-length"), std::to_string(sent.at(path).size()));
        nodes.push_back(Json{{"FullName", path}, {"BlobUri", link}, {"FileSize", sent.at(path).size()}});
    }
    const Json body{{"ParentSnapshotId", parent.empty() ? "00000000-0000-0000-0000-000000000000" : parent},
                    {"Tags", nullptr},
                    {"Properties", Json::object()},
                    {"DirTreeNode", root},
                    {"FileRevisionList", Json{{"FileNodes", nodes}}}};
    co_return co_await ask("POST", base + id, body);
}

} // namespace linarite::test
