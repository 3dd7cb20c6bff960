"""Submitting: what reaches the script, what the details say, tags, display names, snapshots, cancelling in every state."""

import json
import zipfile

import pytest

WAITS = """
    import os, sys, time
    print("started", flush=True)
    while not os.path.exists(sys.argv[1]): time.sleep(0.02)
    open("outputs/late.txt", "w").write("late")
"""


def test_a_script_run_from_submit_to_its_files(sdk):
    sdk.project(
        """
        import json, os, sys
        import helper
        json.dump({"argv": sys.argv[1:], "mine": os.environ.get("MINE")}, open("outputs/seen.json", "w"))
        os.makedirs("logs/deep", exist_ok=True)
        open("logs/deep/note.log", "w").write("note")
        print(helper.WORDS)
        """,
        helper="WORDS = 'from the helper'",
    )
    found = sdk.results("""
        from azureml.core.runconfig import RunConfiguration
        arguments = ["--rate", 1e-07, "--steps", 3, "--flag", True, "a b \\"c\\" $HOME", ""]
        job = config(arguments=arguments)
        job.run_config.environment_variables = {"MINE": "a=b;c"}
        experiment = Experiment(ws, "whole")
        run = experiment.submit(job, tags={"early": "yes"})
        result(id=run.id, kind=type(run).__name__)
        final = run.wait_for_completion(show_output=False)
        at_its_end(run)
        details = run.get_details()
        run.download_file("outputs/seen.json", output_file_path="seen.json")
        result(status=run.get_status(), final=final["status"], details=details, files=run.get_file_names(),
               seen=json.load(open("seen.json")), tags=run.get_tags(), properties=run.get_properties(),
               snapshot=run.get_snapshot_id())
    """)
    assert found["kind"] == "ScriptRun"
    assert found["id"].startswith("whole_")
    assert found["status"] == "Completed"
    assert found["final"] in ("Finalizing", "Completed")
    # as Python itself writes the values; nothing goes through a shell, and the SDK keeps the empty one
    assert found["seen"]["argv"][:6] == ["--rate", "1e-07", "--steps", "3", "--flag", "True"]
    assert 'a b "c" $HOME' in found["seen"]["argv"]
    assert found["seen"]["mine"] == "a=b;c"
    assert {"outputs/seen.json", "logs/deep/note.log", "azureml-logs/70_driver_log.txt"} <= set(found["files"])
    assert found["tags"]["early"] == "yes"
    assert found["properties"]["ContentSnapshotId"] == found["snapshot"]
    details = found["details"]
    assert (details["runId"], details["target"]) == (found["id"], "cpu-cluster")
    assert details["startTimeUtc"] < details["endTimeUtc"]
    assert details["runDefinition"]["script"] == "train.py"
    assert "azureml-logs/70_driver_log.txt" in details["logFiles"]


def test_a_run_configuration_is_kept_in_a_file_and_used(sdk):
    sdk.project("import os; open('outputs/seen.txt', 'w').write(os.environ['MINE'])")
    found = sdk.results("""
        from azureml.core import RunConfiguration, ScriptRun
        os.mkdir("project/.azureml")
        made = RunConfiguration(script="train.py")
        made.target = "cpu-cluster"
        made.environment = bare
        made.environment_variables = {"MINE": "kept"}
        made.auto_prepare_environment = True
        made.save("project", "mine")
        made.save("project", "mine.runconfig")
        kept = RunConfiguration.load("project", "mine")
        RunConfiguration.delete("project", "mine")
        run = Experiment(ws, "kept").submit(ScriptRunConfig("project", run_config=kept))
        at_its_end(run)
        by_id = ScriptRun(run.experiment, run.id)
        by_id.download_file("outputs/seen.txt", output_file_path="seen.txt")
        result(id=run.id, by_id=by_id.id, type=by_id.type, kept=[kept.target, kept.script, kept.environment_variables,
               kept.auto_prepare_environment], left=sorted(os.listdir("project/.azureml")), seen=open("seen.txt").read(),
               cleaned=run.clean())
    """)
    assert found["kept"] == ["cpu-cluster", "train.py", {"MINE": "kept"}, True]
    assert "mine.runconfig" not in found["left"] and "mine" in found["left"], "delete() takes the ending for granted"
    assert (found["by_id"], found["type"], found["seen"]) == (found["id"], "azureml.scriptrun", "kept")
    assert found["cleaned"] == [], "the node keeps nothing of a run that ended"


def test_a_run_below_a_notebooks_run(sdk):
    sdk.project("print('the child')")
    found = sdk.results("""
        run = Experiment(ws, "below").start_logging(outputs=None, snapshot_directory=None)
        child = run.submit_child(config())
        at_its_end(child)
        run.complete()
        result(kind=type(child).__name__, parent=child.parent.id == run.id, status=child.get_status(),
               children=[row.id == child.id for row in run.get_children()],
               top=[row.id == run.id for row in run.experiment.get_runs()])
    """)
    assert found == {"kind": "ScriptRun", "parent": True, "status": "Completed", "children": [True], "top": [True]}


def test_the_snapshot_of_a_run_comes_back_as_a_zip(sdk):
    sdk.project("print('snapshot')", other="OTHER = 'one'")
    found = sdk.results("""
        experiment = Experiment(ws, "snapshots")
        first = experiment.submit(config())
        second = experiment.submit(config())
        open("project/other.py", "w").write("OTHER = 'two'")
        os.mkdir("project/with space")
        open("project/with space/100%.txt", "w").write("")
        third = experiment.submit(config())
        zips = [run.restore_snapshot(path="zip-%d" % n) for n, run in enumerate((first, third))]
        result(zips=zips, same=first.get_snapshot_id() == second.get_snapshot_id(),
               differs=first.get_snapshot_id() != third.get_snapshot_id())
        for run in (first, second, third):
            run.wait_for_completion()
    """)
    assert found["same"] and found["differs"]
    with zipfile.ZipFile(sdk.user / found["zips"][0]) as before, zipfile.ZipFile(sdk.user / found["zips"][1]) as after:
        assert set(before.namelist()) == {"train.py", "other.py"}
        assert before.read("other.py") == b"OTHER = 'one'"
        assert after.read("other.py") == b"OTHER = 'two'"
        assert after.read("with space/100%.txt") == b""


def test_what_is_ignored_is_not_in_the_snapshot(sdk):
    sdk.project("print('ignored')", secret="S = 1", kept="K = 1")
    (sdk.user / "project/.amlignore").write_text("secret.py\n")
    found = sdk.results("""
        run = Experiment(ws, "ignored").submit(config())
        run.wait_for_completion()
        result(zip=run.restore_snapshot(path="zip"))
    """)
    names = zipfile.ZipFile(sdk.user / found["zip"]).namelist()
    assert "kept.py" in names
    assert "secret.py" not in names


def test_tags_properties_and_names_of_a_submitted_run(sdk):
    sdk.project("print('named')")
    found = sdk.results("""
        run = Experiment(ws, "named").submit(config())
        run.tag("stage", "first")
        run.tag("stage", "second")
        run.tag("alone")
        run.set_tags({"a": "1", "b": "2"})
        run.remove_tags(["a"])
        run.add_properties({"owner": "me"})
        run.display_name = "a name for people"
        run.description = "some words"
        run.wait_for_completion()
        again = Run.get(ws, run.id)
        result(tags=again.get_tags(), properties=again.get_properties(), name=again.display_name,
               description=again.description)
    """)
    assert found["tags"]["stage"] == "second"
    assert found["tags"]["b"] == "2"
    assert "a" not in found["tags"] and "alone" in found["tags"]
    assert found["properties"]["owner"] == "me"
    assert (found["name"], found["description"]) == ("a name for people", "some words")


@pytest.mark.parametrize("state", ["at once", "Queued", "Running"])
def test_a_run_is_cancelled_in_every_state(sdk, cluster, tmp_path, state):
    sdk.project(WAITS)
    blocker = []
    if state == "Queued":  # the nodes have four slots
        blocker = ["blocker = [Experiment(ws, 'cancelled').submit(config(arguments=[go])) for _ in range(4)]"]
    wait = {
        "at once": "pass",
        "Queued": "assert run.get_status() in ('NotStarted', 'Queued'), run.get_status()",
        "Running": "while run.get_status() != 'Running': time.sleep(0.05)",
    }[state]
    found = sdk.results(
        "\n".join(
            [
                "go = sys.argv[1]",
                *blocker,
                "run = Experiment(ws, 'cancelled').submit(config(arguments=[go]))",
                wait,
                "run.cancel()",
                "result(id=run.id, soon=run.get_status())",
                "while run.get_status() == 'CancelRequested': time.sleep(0.05)",
                "result(status=run.get_status(), details=run.get_details()['status'])",
                "run.cancel()",
                "result(again=run.get_status())",
            ]
        ),
        tmp_path / "never",
    )
    assert found["soon"] in ("CancelRequested", "Canceled")
    assert (found["status"], found["details"], found["again"]) == ("Canceled",) * 3
    assert "outputs/late.txt" not in cluster.files(found["id"])


def test_a_finished_run_stays_as_it_ended_when_it_is_cancelled(sdk):
    sdk.project("print('done')")
    found = sdk.results("""
        run = Experiment(ws, "cancelled").submit(config())
        run.wait_for_completion()
        run.cancel()
        result(status=run.get_status())
    """)
    assert found["status"] == "Completed"


def test_a_run_that_takes_longer_than_it_may_is_cancelled(sdk, tmp_path):
    sdk.project(WAITS)
    found = sdk.results(
        """
        run = Experiment(ws, "too-long").submit(config(arguments=[sys.argv[1]], max_run_duration_seconds=1))
        run.wait_for_completion(raise_on_error=False)
        while run.get_status() not in ("Canceled", "Failed", "Completed"): time.sleep(0.05)
        result(status=run.get_status(), error=json.dumps(run.get_details().get("error")))
        """,
        tmp_path / "never",
    )
    assert found["status"] == "Canceled"
    assert "1 s" in found["error"] or "maxRunDurationSeconds" in found["error"]


def test_mpi_runs_of_a_script_run_config(sdk, cluster):
    sdk.project("""
        import os
        rank = os.environ["OMPI_COMM_WORLD_RANK"]
        open("outputs/rank-%s.txt" % rank, "w").write(os.environ["OMPI_COMM_WORLD_SIZE"])
    """)
    found = sdk.results("""
        from azureml.core.runconfig import MpiConfiguration
        run = Experiment(ws, "mpi").submit(config(distributed_job_config=MpiConfiguration(process_count_per_node=2,
                                                                                          node_count=2)))
        run.wait_for_completion()
        result(id=run.id, status=run.get_status(), definition=run.get_details()["runDefinition"],
               files=run.get_file_names())
    """)
    assert found["status"] == "Completed", json.dumps(found, indent=1)
    assert found["definition"]["nodeCount"] == 2
    assert found["definition"]["mpi"]["processCountPerNode"] == 2
    for rank in range(4):
        assert cluster.file(found["id"], f"outputs/rank-{rank}.txt") == b"4"
        assert f"azureml-logs/70_driver_log_{rank}.txt" in found["files"]
