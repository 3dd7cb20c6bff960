"""The genuine Run.get_context() inside runs: metrics, files, tags, children; every rank at once; only its own run."""

import json

import pytest
from in_run import LOGGING, READ_BACK, check_the_driver_log, check_the_rest, check_what_was_logged
from sdk import Sdk


@pytest.fixture(scope="module")
def logged(cluster, worker, tmp_path_factory):
    """The run that logs everything, once for the tests of this file: (what is read back, its driver log)."""
    user = Sdk(cluster, worker, tmp_path_factory.mktemp("logged"))
    user.project(LOGGING)
    try:
        run = user.results("""
            run = Experiment(ws, "inside").submit(config(environment=genuine))
            result(id=run.id)
        """)["id"]
        row = cluster.wait_for_end(run, deadline=120)
        log = cluster.driver_log(run).decode()
        assert row["status"] == "Completed", log
        yield user.results(READ_BACK, run), log
    finally:
        user.end()


def test_what_is_logged_inside_is_read_outside(logged):
    check_what_was_logged(logged[0])


def test_files_tags_names_and_children_are_there_afterwards(logged):
    check_the_rest(logged[0])
    assert json.loads(logged[0]["filled"]["confusion"])["data"]["matrix"] == [[3, 1], [0, 2]]
    assert len(logged[0]["recursive"]) > 1


@pytest.mark.differs("Run.complete", "inside a submitted run: only a flush; the exit code decides, as with the service")
def test_the_script_sees_its_own_run(logged):
    check_the_driver_log(logged[1])


def test_every_rank_logs_at_once(sdk, cluster):
    sdk.project("""
        import os
        from azureml.core import Run
        run = Run.get_context()
        rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
        for n in range(100):
            run.log("of rank %d" % rank, n)
            run.log("of all", rank * 1000 + n)
        open("mine.txt", "w").write(str(rank))
        run.upload_file("ranks/%d.txt" % rank, "mine.txt")
        run.tag("rank%d" % rank, "was here")
        if rank == 0: run.log_list("Loss", [1 / (n + 1) for n in range(19)])
    """)
    run = sdk.results("""
        from azureml.core.runconfig import MpiConfiguration
        job = config(environment=genuine, distributed_job_config=MpiConfiguration(process_count_per_node=1, node_count=2))
        result(id=Experiment(ws, "ranks").submit(job).id)
    """)["id"]
    row = cluster.wait_for_end(run, deadline=120)
    assert row["status"] == "Completed", cluster.driver_log(run, 0).decode()

    found = sdk.results(
        """
        run = Run.get(ws, sys.argv[1])
        result(metrics=run.get_metrics(), names=run.get_file_names(), tags=run.get_tags())
        """,
        run,
    )
    for rank in range(2):
        assert sorted(found["metrics"][f"of rank {rank}"]) == list(range(100))  # batches go side by side
        assert f"ranks/{rank}.txt" in found["names"]
        assert found["tags"][f"rank{rank}"] == "was here"
    assert sorted(found["metrics"]["of all"]) == [rank * 1000 + n for rank in range(2) for n in range(100)]
    assert len(found["metrics"]["Loss"]) == 19


def test_a_runs_token_reaches_that_run_and_no_other(sdk, cluster):
    """The script has the service's address and a token; with it another run is as closed as if it were not there."""
    sdk.project("print('the other one')", probe="")
    sdk.project(
        """
        import os, sys
        from azureml.core import Run
        run = Run.get_context(allow_offline=False)
        run.log("mine", 1)
        print("MINE", run.get_status())
        for what in (lambda other: other.get_status(), lambda other: other.tag("stolen", "yes"),
                     lambda other: other.log("stolen", 1) or other.flush(), lambda other: other.cancel()):
            try:
                other = Run(run.experiment, sys.argv[1])
                print("OTHER", what(other))
            except Exception as error:
                print("REFUSED", type(error).__name__, str(error).replace("\\n", " ")[:300])
        """,
        name="probe.py",
    )
    found = sdk.results("""
        experiment = Experiment(ws, "tokens")
        other = experiment.submit(config())
        other.wait_for_completion()
        probe = experiment.submit(config(script="probe.py", environment=genuine, arguments=[other.id]))
        result(other=other.id, probe=probe.id)
    """)
    cluster.wait_for_end(found["probe"], deadline=120)
    log = cluster.driver_log(found["probe"]).decode()
    assert "MINE Running" in log, log
    assert "OTHER" not in log, log
    assert log.count("REFUSED") == 4
    after = sdk.results(
        "other = Run.get(ws, sys.argv[1]); result(tags=other.get_tags(), metrics=other.get_metrics())", found["other"]
    )
    assert "stolen" not in after["tags"]
    assert after["metrics"] == {}
