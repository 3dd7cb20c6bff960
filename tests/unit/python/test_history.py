"""Tags, properties, status, children, the token."""

import base64
import json
import time

import pytest

from fake_service import FakeService

from azureml.core._dropin import times
from azureml.core._dropin.run_token import expiry_in
from azureml.exceptions import AzureMLException, ServiceException, UserErrorException


def bodies(service, method, tail):
    found = [request for request in service.requests if request.method == method and request.path.endswith(tail)]
    return [json.loads(request.body) for request in found]


def test_the_record_is_read_once_for_its_properties(service, run):
    assert (run.number, run.status, run.name, run.parent) == (2, "Running", None, None)
    assert (run.display_name, run.type) == (run.id, "azureml.scriptrun")
    assert len(service.requests) == 1
    service.runs[run.id]["status"] = "Finalizing"
    assert run.status == "Running" and run.get_status() == "Finalizing"
    assert run.get_details() == {"runId": run.id, "status": "Finalizing", "logFiles": {}}


def test_the_experiment_and_workspace_have_names(run):
    assert run.experiment.name == "digits"
    workspace = run.experiment.workspace
    assert (workspace.name, workspace.resource_group) == ("ws", "rg")
    assert workspace.subscription_id == "11111111-2222-3333-4444-555555555555"


def test_tags_are_set_read_and_removed(service, run):
    run.tag("stage", "training")
    assert bodies(service, "PATCH", run.id) == [{"runId": run.id, "tags": {"stage": "training"}}]
    run.set_tags({"n": 3, "empty": None})
    assert run.tags == {"stage": "training", "n": "3", "empty": ""}
    run.remove_tags(["n"])
    run.remove_tags("empty")
    assert bodies(service, "DELETE", "/tags") == [["n"], ["empty"]]
    assert run.tags == run.get_tags() == {"stage": "training"}


def test_tags_of_others_show_on_a_fresh_look(service, run):
    assert run.tags == {}
    service.runs[run.id]["tags"]["by"] = "another"
    assert run.tags == {} and run.get_tags() == {"by": "another"} == run.tags


def test_properties_and_display_name_are_patched(service, run):
    run.add_properties({"p": 1})
    run.display_name = "a better name"
    assert bodies(service, "PATCH", run.id) == [
        {"runId": run.id, "properties": {"p": "1"}},
        {"runId": run.id, "displayName": "a better name"},
    ]
    assert run.get_properties() == run.properties == {"p": "1"}
    assert run.display_name == "a better name"


def test_a_child_is_made_started_and_completed(service, run):
    with run.child_run("a") as child:
        child.log("v", 1)
        assert child.parent == run and child.get_status() == "Running"
    assert bodies(service, "PATCH", child.id) == [
        {"runId": child.id, "parentRunId": run.id, "status": "NotStarted", "name": ">a", "target": "cpu-cluster"}
    ]
    assert service.events == [(child.id, "Start"), (child.id, "Completed")]
    assert service.values(child.id, "v") == [1]
    assert child.get_status() == "Completed"


def test_a_child_whose_block_raises_fails_with_the_reason(service, run):
    with pytest.raises(ZeroDivisionError):
        with run.child_run() as child:
            1 / 0
    assert service.events == [(child.id, "Start"), (child.id, "Error"), (child.id, "Failed")]
    error = {"error": {"code": "UserError", "message": "ZeroDivisionError: division by zero"}}
    assert service.runs[child.id]["error"] == error


def test_a_child_fails_with_code_and_details(service, run):
    child = run.child_run(run_id="my-child")
    child.fail(error_details="out of luck", error_code="Luck")
    assert service.runs["my-child"]["error"] == {"error": {"code": "Luck", "message": "out of luck"}}


def test_the_outputs_folder_of_a_child_is_stored(service, run, tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    with run.child_run("a", outputs=str(tmp_path)) as child:
        pass
    assert service.content(child.id, "outputs/model.bin") == b"weights"


def test_children_are_made_by_count_or_by_tag(service, run):
    assert len(run.create_children(count=3)) == 3
    tagged = run.create_children(tag_key="fold", tag_values=[0, 1])
    assert [child.tags for child in tagged] == [{"fold": "0"}, {"fold": "1"}]
    assert [name for _, name in service.events] == ["Start"] * 5
    with pytest.raises(UserErrorException):
        run.create_children()


def test_children_are_listed_over_pages_and_filtered(service, run):
    children = run.create_children(tag_key="fold", tag_values=range(5))
    grandchild = children[0].child_run("deep")
    children[3].complete()
    assert [child.tags["fold"] for child in run.get_children()] == ["4", "3", "2", "1", "0"]
    assert list(run.get_children(status="Completed")) == [children[3]]
    assert list(run.get_children(tags={"fold": "2"})) == [children[2]]
    assert len(list(run.get_children(tags="fold"))) == 5
    assert grandchild in run.get_children(recursive=True)
    assert grandchild not in run.get_children()


def test_a_script_cannot_end_its_own_run(service, run, capsys):
    run.start()
    run.log("v", 1)
    run.complete()
    assert service.values(run.id, "v") == [1]
    run.fail("I give up")
    assert "I give up" in capsys.readouterr().err
    assert service.events == []


def test_cancel_goes_where_the_record_says(service, run):
    run.cancel()
    assert service.runs[run.id]["status"] == "CancelRequested"


def test_the_token_does_not_go_to_another_host(service, run):
    other = FakeService()
    child = run.child_run()
    service.runs[child.id]["cancelUri"] = other.url + "/cancel"
    child.cancel()
    other.stop()
    assert other.requests == []
    assert service.events[-1] == (child.id, "Canceled")


def test_a_refused_call_raises_what_the_service_says(run, service):
    del service.runs[run.id]
    with pytest.raises(ServiceException, match=r"\(UserError\) Run .* was not found") as caught:
        run.get_status()
    assert caught.value.status_code == 404
    assert isinstance(caught.value, AzureMLException)


def test_a_call_waits_for_a_service_that_is_away(service, scripts):
    service.stop()
    script = "from azureml.core import Run\nprint('calling', flush=True)\nprint(Run.get_context().get_status())"
    process = scripts.start(script, service)
    assert process.stdout.readline() == "calling\n"
    service.start()
    assert scripts.finish(process) == "Running\n"


def test_a_call_to_a_service_that_stays_away_raises(service, run, monkeypatch):
    monkeypatch.setenv("LINARITE_PATIENCE_SECONDS", "0.5")
    service.stop()
    with pytest.raises(ServiceException, match="cannot be reached: ConnectionRefusedError"):
        run.tag("a")
    service.start()


def test_a_connection_that_was_closed_meanwhile_is_replaced_at_once(service, run, monkeypatch):
    monkeypatch.setenv("LINARITE_PATIENCE_SECONDS", "0")
    run.get_status()
    service.stop()
    service.start()
    assert run.get_status() == "Running"
    assert len([request for request in service.requests if request.method == "GET"]) == 2


def test_names_that_need_it_are_quoted(service, monkeypatch):
    from azureml.core import Run

    odd = "run /?#%ü"
    service.add_run(odd)
    for name, value in service.environment(odd).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZUREML_EXPERIMENT_ID")
    run = Run.get_context()
    assert run.get_status() == "Running"
    assert "/experiments/digits/runs/run%20%2F%3F%23%25%C3%BC" in service.requests[-1].path


@pytest.mark.parametrize("expiry", ["{:.0f}", "iso", "jwt"])
def test_the_token_is_renewed_before_it_expires(service, monkeypatch, expiry):
    from azureml.core import Run

    run_id = "renewal-" + expiry.strip("{:.0f}")
    service.add_run(run_id)
    soon = time.time() + 60
    environment = service.environment(run_id)
    if expiry == "jwt":
        claims = base64.urlsafe_b64encode(json.dumps({"exp": int(soon)}).encode()).decode().rstrip("=")
        environment["AZUREML_RUN_TOKEN"] = service.token = "h.{}.s".format(claims)
    else:
        environment["AZUREML_RUN_TOKEN_EXPIRY"] = times.iso(soon) if expiry == "iso" else expiry.format(soon)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    service.next_token = "fresh.e30.token"
    run = Run.get_context()
    assert run.get_status() == run.get_status() == "Running"
    assert [request.path.rsplit("/", 1)[1] for request in service.requests] == ["token", run_id, run_id]
    assert service.requests[-1].headers["Authorization"] == "Bearer fresh.e30.token"


def test_a_token_that_is_refused_is_renewed_once(service, run):
    service.retired_token, service.token = service.token, "gone.e30.token"
    service.next_token = "fresh.e30.token"
    assert run.get_status() == "Running"
    assert [request.path.rsplit("/", 1)[1] for request in service.requests] == [run.id, "token", run.id]


def test_times_are_read_in_all_forms():
    moment = 1795446811.0
    forms = ["2026-11-23T15:13:31.685528Z", "2026-11-23T16:13:31+01:00", "2026-11-23T15:13:31", "1795446811"]
    assert [int(times.epoch(form)) for form in forms] == [int(moment)] * 4
    assert times.epoch("soon") is None and times.epoch(None) is None
    assert times.iso(moment + 0.25) == "2026-11-23T15:13:31.250000Z"
    assert expiry_in("no token") is None and expiry_in("a.!!!.c") is None
