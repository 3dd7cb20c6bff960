#include "agent/launch/launch_request.hpp"

#include "common/files.hpp"
#include "proto/json_reader.hpp"

namespace linarite::agent {

Result<AskedLaunch> parse_launch_request(const std::string& line) {
    const auto document = proto::parse_json(line);
    if (!document) {
        return document.error();
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    AskedLaunch asked;
    asked.token = reader.required_text("token");
    asked.request.run = RunId(reader.required_text("run"));
    asked.fence = reader.required_text("fence");
    asked.request.host = reader.required_text("host");
    asked.request.command = reader.required_text("command");
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return asked;
}

std::string read_launch_token(const std::filesystem::path& job_file) {
    const auto text = read_file(job_file);
    if (!text) {
        return "";
    }
    const auto document = proto::parse_json(*text);
    if (!document || !document->is_object()) {
        return "";
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    return reader.object("env").text("LINARITE_LAUNCH_TOKEN");
}

} // namespace linarite::agent
