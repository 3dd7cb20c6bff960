#include "agent/capture/gang_source.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

namespace linarite::agent {

namespace {

GangFile read_file_row(proto::JsonReader& in) {
    GangFile file;
    file.path = in.required_text("path");
    file.size = in.unsigned_integer("size", 0);
    file.sha256 = in.required_text("sha256");
    file.executable = in.boolean("executable", false);
    in.integer("node_index", 0, std::numeric_limits<int>::max(), 0);
    in.refuse_others();
    if (const auto path = parse_relative_path(file.path, "path"); !path) {
        in.fault("path", path.error().detail());
    }
    if (!is_sha256_hex(file.sha256)) {
        in.fault("sha256", "must be 64 lower-case hex digits");
    }
    return file;
}

Result<GangFileList> parse_list(const client::Json& document) {
    std::vector<Fault> faults;
    proto::JsonReader in(document, "", faults);
    GangFileList list;
    list.version = in.unsigned_integer("version", 0);
    in.objects("files", [&](proto::JsonReader& element) { list.files.push_back(read_file_row(element)); });
    in.refuse_others();
    return faults.empty() ? Result<GangFileList>(std::move(list))
                          : Error(Errc::unavailable, "the list of the other nodes' files cannot be understood: " +
                                                         Error(std::move(faults)).detail());
}

class HttpGangSource final : public GangSource {
public:
    HttpGangSource(std::shared_ptr<Coordinator> coordinator, const RunId& run, Fence fence)
        : coordinator_(std::move(coordinator)),
          target_("/api/v1/agent/runs/" + client::encode_part(run.str()) + "/gang-files"),
          query_("?fence=" + std::to_string(fence)) {}

    asio::awaitable<Result<GangFileList>> list(std::uint64_t since) override {
        const auto document = co_await coordinator_->get_json(target_ + query_ + "&since=" + std::to_string(since));
        if (!document) {
            co_return document.error();
        }
        co_return parse_list(*document);
    }

    asio::awaitable<Result<void>> fetch(std::vector<GangFile> files, Sink sink) override {
        client::Json wanted = client::Json::array();
        for (const GangFile& file : files) {
            wanted.push_back({{"path", file.path}, {"size", file.size}});
        }
        client::HttpClient::Request request;
        request.method = "POST";
        request.target = target_ + "/content" + query_;
        request.body = proto::print_json(client::Json{{"files", std::move(wanted)}});
        const auto response = co_await coordinator_->download(std::move(request), std::move(sink));
        if (!response) {
            co_return response.error();
        }
        co_return Result<void>{};
    }

private:
    std::shared_ptr<Coordinator> coordinator_;
    std::string target_;
    std::string query_;
};

} // namespace

std::shared_ptr<GangSource> make_http_gang_source(std::shared_ptr<Coordinator> coordinator, const RunId& run,
                                                  Fence fence) {
    return std::make_shared<HttpGangSource>(std::move(coordinator), run, fence);
}

} // namespace linarite::agent
