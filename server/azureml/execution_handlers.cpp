// The execution service: starting a run from a snapshot, and canceling it.
#include "proto/json_reader.hpp"
#include "server/azureml/run_changes.hpp"

namespace linarite::azureml {
namespace {

/// A body of `snapshotrun`, as far as it is ours.
struct Start {
    service::SubmitRequest request;
    std::string snapshot; // as the client names it
};

Result<Start> read_start(const Call& call, const Json& body) {
    std::vector<Fault> faults;
    proto::JsonReader reader(body, "", faults);
    Start start;
    start.snapshot = reader.required_text("SnapshotId");
    start.request.parent = RunId(reader.text("ParentRunId"));
    start.request.definition = reader.raw("Configuration");
    if (!start.request.definition.is_object()) {
        faults.push_back({"/Configuration", "expected an object: a run configuration"});
    }
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    start.request.id = RunId(call.query("runId"));
    start.request.experiment = call.parameter("experiment");
    start.request.workspace = call.workspace.id;
    start.request.submitted_by = call.caller().name;
    start.request.properties["ContentSnapshotId"] = start.snapshot;
    start.request.keeps_document = true;
    return start;
}

// The SDK caches the id of the last snapshot of a folder, and sends nothing if the folder is as it was: a coordinator
// whose data were thrown away must say what to do.
Error lost_snapshot(const std::string& id, const Error& why) {
    if (why.code() != Errc::not_found) {
        return why;
    }
    return Error(Errc::invalid_argument,
                 "snapshot '" + id +
                     "' is not here; if this coordinator's data were replaced, remove the client's "
                     "cache (~/.azureml/.projectcontent) and submit again");
}

asio::awaitable<void> start_run(Call call) {
    const auto body = co_await call.exchange->read_json();
    if (!body) {
        co_return co_await reply_error(call, body.error());
    }
    auto start = read_start(call, *body);
    if (!start) {
        co_return co_await reply_error(call, start.error());
    }
    const auto snapshot = co_await call.api->snapshots.resolve(start->snapshot);
    if (!snapshot) {
        co_return co_await reply_error(call, lost_snapshot(start->snapshot, snapshot.error()));
    }
    start->request.snapshot = *snapshot;
    if (call.caller().role == http::Principal::Role::run) {
        start->request.parent = RunId(call.caller().name); // whatever a run starts is below it
    }
    auto submitted = co_await call.api->runs.submit(std::move(start->request));
    co_await reply(call, std::move(submitted), [](const service::Submitted& done) {
        return Json{{"runId", done.row.id.str()}};
    });
}

asio::awaitable<void> cancel(Call call) {
    const auto row = co_await find_run(call, call.parameter("run"));
    if (!row) {
        co_return co_await reply_error(call, row.error());
    }
    const auto done = co_await call.api->runs.cancel(row->id, call.caller().name);
    if (!done) {
        co_return co_await reply_error(call, done.error());
    }
    co_await call.exchange->reply_empty(Status::ok);
}

// A node removes a run's folders as soon as the run has ended: of none of them is anything left to delete.
asio::awaitable<void> clean(Call call) {
    co_await reply_json(call, Json::array());
}

asio::awaitable<void> refuse_local(Call call) {
    co_await reply_fault(call, Status::bad_request, "UserError",
                         "target 'local' would run the script on the client's own machine, which Linarite does not do: "
                         "name a compute target, such as 'cpu-cluster'");
}

asio::awaitable<void> refuse_zip(Call call) {
    co_await reply_fault(call, Status::bad_request, "UserError",
                         "runs are started from snapshots only: unset AML_FORCE_EXECUTE_WITH_ZIP");
}

} // namespace

void add_execution_routes(http::Router& router, const ApiPtr& api) {
    const std::string experiment = "/execution/v1.0" + workspace_scope + "/experiments/{experiment}";
    add_route(router, api, verb::post, experiment + "/snapshotrun", clients_and_runs, start_run);
    add_route(router, api, verb::post, experiment + "/runId/{run}/cancel", clients_and_runs, cancel);
    add_route(router, api, verb::post, experiment + "/clean", clients, clean);
    add_route(router, api, verb::post, experiment + "/localrun", clients, refuse_local);
    add_route(router, api, verb::post, experiment + "/startrun", clients, refuse_zip);
}

} // namespace linarite::azureml
