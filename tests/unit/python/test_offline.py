"""Outside of a run."""

import copy

import pytest

from azureml.core import Run
from azureml.core.run import _OfflineRun
from azureml.exceptions import RunEnvironmentException, UserErrorException


@pytest.fixture
def offline(monkeypatch):
    for name in ("RUN_ID", "RUN_TOKEN", "SERVICE_ENDPOINT"):
        monkeypatch.delenv("AZUREML_" + name, raising=False)
    return Run.get_context()


def test_its_id_says_what_it_is(offline):
    assert offline.id.startswith("OfflineRun_") and isinstance(offline, _OfflineRun)
    assert Run.get_context() is offline


@pytest.mark.parametrize(
    "call, printed",
    [
        (lambda run: run.log("loss", 0.5), "Attempted to log scalar metric loss:\n0.5\n"),
        (lambda run: run.log_list("l", (1, 2.5)), "Attempted to log list metric l:\n[1, 2.5]\n"),
        (lambda run: run.log_row("r", x=1), "Attempted to log row metric r:\n{'x': 1}\n"),
        (lambda run: run.log_table("t", {"x": [1]}), "Attempted to log table metric t:\n{'x': [1]}\n"),
        (lambda run: run.log_image("i", path="p.png"), "Attempted to log image metric i:\np.png\n"),
        (lambda run: run.log_residuals("d", {}), "Attempted to log residuals metric d:\n{}\n"),
        (lambda run: run.upload_file("f", "path"), "Attempted to upload file f:\npath\n"),
        (lambda run: run.tag("k", 1), "Attempted to set tags:\n{'k': '1'}\n"),
        (lambda run: (run.start(), run.complete(), run.fail(), run.cancel(), run.flush()), ""),
    ],
)
def test_calls_are_printed(offline, capsys, call, printed):
    call(offline)
    assert capsys.readouterr().out == printed


def test_it_keeps_tags_and_makes_children(offline):
    with offline.child_run("a") as child:
        child.tag("k", "v")
    assert child.get_tags() == {"k": "v"} and child.parent is offline and child.name == "a"
    assert [one.tags for one in offline.create_children(tag_key="fold", tag_values=[1, 2])] == [
        {"fold": "1"},
        {"fold": "2"},
    ]


def test_wrong_values_are_refused_as_in_a_run(offline):
    with pytest.raises(UserErrorException):
        offline.log("x", object())


def test_it_has_no_experiment_and_says_what_else_is_missing(offline):
    assert not hasattr(offline, "experiment")
    with pytest.raises(AttributeError, match="azureml-core"):
        offline.wait_for_completion()
    assert copy.copy(offline).id == offline.id


def test_without_offline_the_missing_variables_are_named(offline):
    with pytest.raises(RunEnvironmentException, match="AZUREML_RUN_TOKEN"):
        Run.get_context(allow_offline=False)
    with pytest.raises(RunEnvironmentException):
        Run.get_submitted_run()


def test_a_run_says_what_is_missing(run):
    for call in (lambda: run.get_secret("x"), lambda: run.get_metrics(recursive=True)):
        with pytest.raises(NotImplementedError, match="azureml-core"):
            call()
    experiment = run.experiment
    for attempt in (lambda: run.register_model, lambda: experiment.submit, lambda: experiment.workspace.datastores):
        with pytest.raises(AttributeError, match="azureml-core"):
            attempt()
