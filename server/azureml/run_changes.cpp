#include "server/azureml/run_changes.hpp"

#include "proto/json_reader.hpp"
#include "server/azureml/run_filter.hpp"
#include "server/service/run_history.hpp"

namespace linarite::azureml {
namespace {

constexpr std::string_view event_prefix = "Microsoft.MachineLearning.Run.";

store::Labels read_labels(proto::JsonReader& reader, std::string_view key) {
    store::Labels labels;
    reader.members(key, [&](const std::string& name, const Json& value) {
        labels[name] = value.is_null()     ? std::nullopt
                       : value.is_string() ? std::optional(value.get<std::string>())
                                           : std::optional(proto::print_json(value));
    });
    return labels;
}

std::optional<std::string> optional_text(proto::JsonReader& reader, std::string_view key) {
    return reader.has(key) ? std::optional(reader.text(key)) : std::nullopt;
}

std::optional<core::RunStatus> read_status(proto::JsonReader& reader) {
    const std::string word = reader.text("status");
    const auto status = core::status_from_wire(word);
    if (!word.empty() && !status) {
        reader.fault("status", "'" + word + "' is no status of a run");
    }
    return status;
}

Result<store::RunPatch> read_patch(const std::string& id, const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    store::RunPatch patch;
    patch.run = RunId(id);
    patch.display_name = optional_text(reader, "displayName");
    patch.description = optional_text(reader, "description");
    patch.tags = read_labels(reader, "tags");
    patch.properties = read_labels(reader, "properties");
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return patch;
}

Result<service::InteractiveRun> read_interactive(const std::string& id, const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    service::InteractiveRun run;
    run.id = RunId(id);
    run.parent = RunId(reader.text("parentRunId"));
    run.target = reader.text("target");
    run.kind = reader.text("runType", interactive_run);
    run.display_name = reader.text("displayName");
    run.description = reader.text("description");
    run.status = read_status(reader).value_or(core::RunStatus::not_started);
    run.tags = read_labels(reader, "tags");
    run.properties = read_labels(reader, "properties");
    run.document = proto::print_json(Json{{"name", reader.raw("name")}, {"runTypeV2", reader.raw("runTypeV2")}});
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return run;
}

asio::awaitable<Result<store::RunRow>> create(Call call, std::string id, Json body) {
    auto run = read_interactive(id, body);
    if (!run) {
        co_return run.error();
    }
    if (call.caller().role == http::Principal::Role::run) {
        const auto parent = co_await call.api->runs.find(run->parent);
        if (!parent || (parent->id.str() != call.caller().name && parent->root.str() != call.caller().name)) {
            co_return Error(Errc::not_found, "run '" + id + "' not found");
        }
    }
    const auto experiment = co_await experiment_name(call);
    if (!experiment) {
        co_return experiment.error();
    }
    run->experiment = *experiment;
    run->workspace = call.workspace.id;
    run->submitted_by = call.caller().name;
    co_return co_await call.api->history.create(std::move(*run));
}

// A word of what an event's error says, for the reason of the move.
std::string error_message(const Json& error) {
    const Json::json_pointer message("/error/message");
    return error.is_object() && error.contains(message) && error[message].is_string()
               ? error[message].get<std::string>()
               : "";
}

std::optional<core::RunStatus> status_after(std::string_view event) {
    using core::RunStatus;
    constexpr std::array<std::pair<std::string_view, RunStatus>, 7> moves{
        std::pair{std::string_view("Start"), RunStatus::running},
        {"Queued", RunStatus::queued},
        {"Preparing", RunStatus::preparing},
        {"Completed", RunStatus::completed},
        {"Failed", RunStatus::failed},
        {"Canceled", RunStatus::canceled},
        {"CancelRequested", RunStatus::cancel_requested}};
    for (const auto& [name, status] : moves) {
        if (name == event) {
            return status;
        }
    }
    return std::nullopt;
}

asio::awaitable<Result<void>> take_words(Call call, std::string id, std::string name, Json data) {
    store::RunPatch patch;
    patch.run = RunId(id);
    if (name == "Warning") {
        Json warning{{"source", data.value("Source", Json("client"))}, {"message", data.value("Message", Json(""))}};
        patch.warning = proto::print_json(warning);
    } else if (data.contains("ErrorResponse")) {
        patch.error = proto::print_json(data["ErrorResponse"]);
    } else {
        co_return Result<void>{};
    }
    const auto done = co_await call.api->history.patch(std::move(patch));
    co_return done ? Result<void>() : Result<void>(done.error());
}

// What a client says of a run that is ours to run: to end it early is a wish, all else is no news.
asio::awaitable<Result<void>> take_managed(Call call, RunId id, core::RunStatus status) {
    if (status == core::RunStatus::canceled || status == core::RunStatus::cancel_requested) {
        const auto canceled = co_await call.api->runs.cancel(id, call.caller().name);
        co_return canceled ? Result<void>() : Result<void>(canceled.error());
    }
    co_return Result<void>{};
}

} // namespace

asio::awaitable<Result<std::string>> experiment_name(Call call) {
    const std::string id = call.parameter("experiment_id");
    if (id.empty()) {
        co_return call.parameter("experiment");
    }
    const auto row = co_await call.api->experiments.find_by_id(call.workspace.id, id);
    co_return row ? Result<std::string>(row->name) : Result<std::string>(row.error());
}

asio::awaitable<Result<store::RunRow>> find_run(Call call, std::string id) {
    auto row = co_await call.api->runs.find(RunId(id));
    if (row && row->workspace != call.workspace.id) {
        co_return Error(Errc::not_found, "run '" + id + "' not found");
    }
    co_return row;
}

asio::awaitable<Result<store::RunRow>> put_run(Call call, std::string id, Json body) {
    if (!body.is_object()) {
        co_return Error(Errc::invalid_argument, "the body must be an object");
    }
    const auto known = co_await find_run(call, id);
    if (!known && known.error().code() == Errc::not_found) {
        co_return co_await create(call, id, std::move(body));
    }
    if (!known) {
        co_return known;
    }
    auto patch = read_patch(id, body);
    if (!patch) {
        co_return patch.error();
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    const auto status = read_status(reader);
    if (status && known->interactive) {
        const auto moved = co_await call.api->history.move(known->id, *status, "set by its client");
        if (!moved) {
            co_return moved.error();
        }
    }
    co_return co_await call.api->history.patch(std::move(*patch));
}

asio::awaitable<Result<void>> take_event(Call call, std::string id, Json event) {
    const auto row = co_await find_run(call, id);
    if (!row) {
        co_return row.error();
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(event, "", faults);
    std::string name = reader.required_text("name");
    const Json data = reader.raw("data").is_object() ? reader.raw("data") : Json::object();
    if (!faults.empty()) {
        co_return Error(std::move(faults));
    }
    name = name.starts_with(event_prefix) ? name.substr(event_prefix.size()) : name;
    if (auto words = co_await take_words(call, id, name, data); !words) {
        co_return words;
    }
    const auto status = status_after(name);
    if (!status) {
        co_return Result<void>{};
    }
    if (!row->interactive) {
        co_return co_await take_managed(call, row->id, *status);
    }
    std::string reason = data.contains("ErrorResponse") ? error_message(data["ErrorResponse"]) : "";
    co_return co_await call.api->history.move(row->id, *status, reason.empty() ? "its client said so" : reason);
}

} // namespace linarite::azureml
