"""What goes wrong reaches the user as the SDK's own exception, with our words in it, soon."""

import sqlite3

TELLS = """
    try:
        {call}
        result(nothing="was raised")
    except Exception as error:
        result(kind=type(error).__name__, words=str(getattr(error, "message", error)))
"""


def told(sdk, call, *arguments, before="", timeout=30):
    """Runs `call` in a user script and gives how it failed: its kind, its words, and how long that took."""
    indent = "\n        "
    script = sdk.run(
        before + TELLS.replace("{call}", call.replace("\n", indent)).replace("\n    ", "\n"), *arguments, timeout=timeout
    )
    found = script.results()
    assert "kind" in found, found
    return found | {"took": script.took}


def test_an_unknown_compute_target(sdk):
    sdk.project()
    found = told(sdk, 'Experiment(ws, "errors").submit(ScriptRunConfig("project", script="train.py", compute_target="none"))')
    assert found["kind"] in ("ComputeTargetException", "ExperimentExecutionException", "UserErrorException")
    assert "none" in found["words"]


def test_an_entry_script_that_is_not_in_the_tree(sdk):
    sdk.project()
    found = told(sdk, 'Experiment(ws, "errors").submit(config(script="missing.py"))')
    assert "missing.py" in found["words"]


def test_a_failed_script_raises_with_its_exit_code_and_its_last_words(sdk):
    sdk.project("""
        import sys
        print("reading the data")
        raise ValueError("the data is made of cheese")
    """)
    found = sdk.results("""
        from azureml.exceptions import ActivityFailedException
        run = Experiment(ws, "errors").submit(config())
        try:
            run.wait_for_completion(show_output=True)
        except ActivityFailedException as error:
            result(words=str(error.message))
        try:
            run.wait_for_completion()
        except ActivityFailedException as error:
            result(quiet=str(error.message))
        details = run.get_details()
        result(status=run.get_status(), error=details["error"]["error"], no_raise=run.wait_for_completion(
            raise_on_error=False)["status"])
    """)
    assert found["status"] == found["no_raise"] == "Failed"
    for words in (found["words"], found["quiet"], found["error"]["message"]):
        assert "the data is made of cheese" in words
    assert "exit" in found["error"]["message"] and "1" in found["error"]["message"]
    assert found["error"]["code"] == "UserError"


def test_a_failed_rank_is_named(sdk):
    sdk.project("""
        import os, sys, time
        if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
            print("rank one gives up")
            sys.exit(7)
        time.sleep(60)
    """)
    found = sdk.results("""
        from azureml.core.runconfig import MpiConfiguration
        job = config(distributed_job_config=MpiConfiguration(process_count_per_node=1, node_count=2))
        run = Experiment(ws, "errors").submit(job)
        run.wait_for_completion(raise_on_error=False)
        result(error=run.get_details()["error"]["error"]["message"], status=run.get_status())
    """)
    assert found["status"] == "Failed"
    assert "7" in found["error"] and "rank 1" in found["error"].lower()


def test_a_snapshot_that_the_coordinator_does_not_have_is_named(sdk):
    """The SDK keeps a note of its last snapshot and does not upload again what it believes to be there."""
    sdk.project("print('the same as before')")
    found = sdk.results("""
        import pathlib, uuid
        experiment = Experiment(ws, "lost")
        first = experiment.submit(config())
        lost = str(uuid.uuid4())
        notes = [p for p in pathlib.Path.home().glob(".azureml/.projectcontent/**/*") if p.is_file()]
        for note in notes:
            note.write_text(note.read_text().replace(first.get_snapshot_id(), lost))
        try:
            second = experiment.submit(config())
            second.wait_for_completion()
            result(second=second.get_status())
        except Exception as error:
            result(kind=type(error).__name__, words=str(getattr(error, "message", error)), lost=lost)
    """)
    assert "second" not in found, "the run went on without its source tree"
    assert "snapshot" in found["words"].lower() and found["lost"] in found["words"]


def test_a_secret_that_is_wrong_from_the_start(sdk):
    script = sdk.finish(
        sdk.start_cold(
            """
            import os
            os.environ["AZUREML_SERVICE_PRINCIPAL_PASSWORD"] = "wrong"
            from azureml.core import Workspace
            Workspace.from_config()
            """
        ),
        code=1,
    )
    assert "AuthenticationError" in script.err, script.story()
    assert "the client secret is not" in script.err


def test_a_foreign_runs_token_opens_nothing(sdk):
    """A token that we did not sign, and one that we signed and somebody changed."""
    found = sdk.results("""
        import base64, requests
        from azureml.core.authentication import ServicePrincipalAuthentication
        header = ws._auth_object.get_authentication_header()["Authorization"]
        head, body, signature = header.split(" ", 1)[1].split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        claims["exp"] += 1000
        forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        url = ws.service_context._get_run_history_url() + "/history/v1.0" + ws.service_context._get_workspace_scope()
        answers = {}
        for name, token in (("good", ".".join((head, body, signature))), ("forged", ".".join((head, forged, signature))),
                            ("unsigned", none + "." + body + "."), ("none", None)):
            headers = {"Authorization": "Bearer " + token} if token else {}
            answers[name] = requests.post(url + "/experiments:query", json={}, headers=headers).status_code
        result(answers=answers)
    """)
    assert found["answers"] == {"good": 200, "forged": 401, "unsigned": 401, "none": 401}


def test_the_history_is_whole_after_all_that(cluster):
    """Whatever clients did, the rows hold: the store's own checks on the file."""
    with sqlite3.connect(f"file:{cluster.data}/history.db?mode=ro", uri=True) as history:
        assert history.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert history.execute("PRAGMA foreign_key_check").fetchall() == []
