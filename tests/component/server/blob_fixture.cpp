#include "component/server/blob_fixture.hpp"

#include "common/data_dir.hpp"
#include "proto/frames.hpp"
#include "server/blob/shared_key.hpp"

namespace linarite::test {

using namespace std::chrono_literals;

const std::string BlobFixture::container = "/azureml-blobstore-workspaceblobstore";

asio::awaitable<Response> BlobFixture::raw(std::string method, std::string target, std::string body, Headers headers) {
    HttpClient::Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.content_type = "application/octet-stream";
    request.headers = std::move(headers);
    co_return co_await send(*stranger_, std::move(request));
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

asio::awaitable<Response> BlobFixture::bring(HttpClient& agent, std::string run, Fence fence, std::string path,
                                             std::string bytes, std::uint64_t offset, std::string sha256) {
    proto::FrameHeader header;
    header.path = std::move(path);
    header.size = bytes.size();
    header.offset = offset;
    header.sha256 = std::move(sha256);
    const std::string target = "/api/v1/agent/runs/" + run + "/files?fence=" + std::to_string(fence);
    co_return co_await send_frames(agent, target, proto::print_frame_header(header) + bytes);
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
    const Json given = co_await must(200, "POST", base + "getblob", Json{{"FileNames", names}});
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
