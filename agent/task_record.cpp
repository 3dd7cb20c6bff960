#include "agent/task_record.hpp"

#include "proto/json_reader.hpp"

namespace linarite::agent {

using proto::Json;

namespace {

std::optional<Json> read_document(const fs::path& file) {
    const auto text = read_file(file);
    if (!text) {
        return std::nullopt;
    }
    const auto document = proto::parse_json(*text);
    return document ? std::optional<Json>(*document) : std::nullopt;
}

} // namespace

Result<void> write_record(const fs::path& file, const TaskRecord& record) {
    // not fsynced: after a power cut nothing runs any more, and the boot id says so
    const Json document{{"fence", record.fence}, {"launched", record.launched}, {"output", record.output},
                        {"port", record.port},   {"gpu_slot", record.gpu_slot}, {"shared", record.shared}};
    return replace_file(file, proto::print_json(document) + "\n");
}

std::optional<TaskRecord> read_record(const fs::path& file) {
    const auto document = read_document(file);
    if (!document) {
        return std::nullopt;
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    TaskRecord record;
    record.fence = reader.unsigned_integer("fence", 0);
    record.launched = reader.boolean("launched", false);
    record.output = reader.text("output");
    record.port = static_cast<int>(reader.integer("port", 0, 65'535, 0));
    record.gpu_slot = static_cast<int>(reader.integer("gpu_slot", -1, 1'000'000, -1));
    record.shared = reader.text("shared");
    return faults.empty() ? std::optional(record) : std::nullopt;
}

Result<void> write_ending(const fs::path& file, const proto::Ending& ending) {
    return write_file_durably(file, proto::print_json(proto::print(ending)) + "\n", 0600);
}

std::optional<proto::Ending> read_ending(const fs::path& file) {
    const auto document = read_document(file);
    if (!document) {
        return std::nullopt;
    }
    const auto ending = proto::parse_ending(*document);
    return ending ? std::optional(*ending) : std::nullopt;
}

} // namespace linarite::agent
