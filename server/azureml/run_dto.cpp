#include "server/azureml/run_dto.hpp"

#include "server/azureml/artifacts.hpp"
#include "server/azureml/run_filter.hpp"
#include "server/service/process_picture.hpp"

namespace linarite::azureml {
namespace {

Json parsed(const std::string& text) {
    return text.empty() ? Json() : Json::parse(text, nullptr, false);
}

Json time_or_null(const std::optional<Time>& at) {
    return at ? Json(format_time(*at)) : Json();
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

Json labels(const store::Labels& labels) {
    Json out = Json::object();
    for (const auto& [name, value] : labels) {
        out[name] = value ? Json(*value) : Json();
    }
    return out;
}

// What went wrong, as the services say it: whose fault it is, and the message with exit code, rank, node and last
// lines that the outcome has.
Json error_of(const store::RunRow& row) {
    Json told = parsed(row.error);
    const bool failed = row.status == core::RunStatus::failed;
    if (row.interactive || !row.outcome || row.outcome->message.empty()) {
        return failed && told.is_null() ? error_body("ServiceError", row.reason, row.changed) : told;
    }
    if (!failed && !row.outcome->timed_out) {
        return told;
    }
    Json error = error_body(row.outcome->code.empty() ? "UserError" : row.outcome->code, row.outcome->message,
                            row.ended.value_or(row.changed));
    if (told.is_object() && told.contains("error")) {
        error["error"]["details"].push_back(told["error"]); // the script's own word on it
    }
    return error;
}

// As it was submitted, with what we understood of it where that is one thing only: texts in `arguments`.
Json definition_of(const store::RunRow& row) {
    if (row.interactive) {
        return nullptr;
    }
    Json understood = parsed(row.definition);
    Json document = parsed(row.document);
    if (!document.is_object()) {
        return understood;
    }
    for (const char* name : {"arguments", "framework", "communicator"}) {
        if (understood.contains(name)) {
            document[name] = understood[name];
        }
    }
    return document;
}

Json properties_of(const store::RunRow& row) {
    Json out = labels(row.properties);
    if (!row.interactive) {
        out.emplace("_azureml.ComputeTargetType", "amlctrain");
        if (row.node_count * row.processes_per_node > 1) { // service/process_files writes them
            out.emplace("ProcessInfoFile", service::process_info_file);
            out.emplace("ProcessStatusFile", service::process_status_file);
        }
    }
    return out;
}

Json run_type(const store::RunRow& row) {
    if (row.kind.empty()) {
        return script_run;
    }
    return row.kind == interactive_run ? Json() : Json(row.kind);
}

std::string script_of(const Json& definition) {
    return definition.is_object() ? definition.value("script", Json("")).is_string()
                                        ? definition.value("script", Json("")).get<std::string>()
                                        : ""
                                  : "";
}

void add_times(Json& dto, const store::RunRow& row) {
    dto["createdUtc"] = format_time(row.created);
    dto["startTimeUtc"] = time_or_null(row.started);
    dto["endTimeUtc"] = time_or_null(row.ended);
    dto["lastModifiedUtc"] = format_time(row.changed);
}

void add_links(Json& dto, const Call& call, const store::RunRow& row) {
    const std::string run = call.base_url() + "/execution/v1.0" + call.scope() + "/experiments/" + row.experiment +
                            "/runId/" + row.id.str();
    dto["cancelUri"] = row.interactive ? Json() : Json(run + "/cancel");
    dto["completeUri"] = nullptr;
    dto["diagnosticsUri"] = nullptr;
}

} // namespace

Json experiment_dto(const store::ExperimentRow& row) {
    return Json{{"experimentId", row.id},
                {"name", row.name},
                {"description", text_or_null(row.description)},
                {"createdUtc", format_time(row.created)},
                {"tags", labels(row.tags)},
                {"archivedTime", time_or_null(row.archived)},
                {"retainForLifetimeOfWorkspace", false},
                {"artifactLocation", nullptr}};
}

Json run_dto(const Call& call, const store::RunRow& row) {
    const Json document = row.interactive ? parsed(row.document) : Json();
    const Json definition = definition_of(row);
    Json dto{{"runId", row.id.str()},
             {"runNumber", row.number},
             {"rootRunId", row.root.str()},
             {"parentRunId", text_or_null(row.parent.str())},
             {"experimentId", row.experiment_id},
             {"experimentName", row.experiment},
             {"status", core::to_wire(row.status)},
             {"dataContainerId", container_of(row.id)},
             {"displayName", row.display_name.empty() ? row.id.str() : row.display_name},
             {"name", document.is_object() ? document.value("name", Json()) : Json()},
             {"description", text_or_null(row.description)},
             {"hidden", false},
             {"runType", run_type(row)},
             {"runTypeV2", document.is_object() && document.contains("runTypeV2")
                               ? document["runTypeV2"]
                               : Json{{"orchestrator", nullptr}, {"traits", Json::array()}}},
             {"properties", properties_of(row)},
             {"parameters", Json::object()},
             {"tags", labels(row.tags)},
             {"target", text_or_null(row.target)},
             {"scriptName", text_or_null(script_of(definition))},
             {"runDefinition", definition},
             {"error", error_of(row)},
             {"warnings", parsed(row.warnings)},
             {"createdBy", Json{{"userName", row.submitted_by}, {"userObjectId", row.submitted_by}}},
             {"userId", row.submitted_by},
             {"currentAttemptId", row.attempt},
             {"revision", row.sequence},
             {"inputDatasets", Json::array()},
             {"outputDatasets", Json::array()},
             {"services", Json::object()},
             {"token", nullptr},
             {"tokenExpiryTimeUtc", nullptr},
             {"queueingInfo", nullptr}};
    add_times(dto, row);
    add_links(dto, call, row);
    return dto;
}

Json details_dto(const Call& call, const store::RunRow& row, Json log_files) {
    Json dto = run_dto(call, row);
    Json details{{"logFiles", std::move(log_files)}, {"submittedBy", row.submitted_by}};
    for (const char* name : {"runId", "target", "status", "startTimeUtc", "endTimeUtc", "services", "error", "warnings",
                             "properties", "inputDatasets", "outputDatasets", "runDefinition"}) {
        details[name] = std::move(dto[name]);
    }
    return details;
}

} // namespace linarite::azureml
