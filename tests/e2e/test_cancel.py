"""Cancelling in each state: Canceled (or, once the outcome is latched, that outcome), and nothing left running."""

import os
import signal

import pytest

from cluster import processes_with, wait_until

BOTH_NODES = ["--nodes", "2", "--backend", "mpi"]
SLEEP = "import time; print('started', flush=True); time.sleep(3600)"


def test_a_queued_run_never_starts(cluster, project):
    folder = project(SLEEP)
    busy = cluster.submit(folder, "train.py", flags=BOTH_NODES)
    cluster.wait_for(busy, "Running")
    queued = cluster.submit(folder, "train.py")
    cluster.wait_for(queued, "Queued")

    cluster.cli("cancel", queued)

    run = cluster.wait_for_end(queued)
    assert run["status"] == "Canceled"
    assert "Provisioning" not in cluster.statuses(queued)
    assert cluster.show(busy)["status"] == "Running"


def test_a_run_that_builds_its_environment_is_canceled_at_once(cluster, project, hanging_index):
    package = f"slowpoke @ {hanging_index.url}/slowpoke-1.0-py3-none-any.whl"
    run = cluster.submit(project(SLEEP), "train.py", flags=["--pip", package])
    cluster.wait_for(run, "Preparing")
    hanging_index.wait_for_a_request()

    cluster.cli("cancel", run)

    row = cluster.wait_for_end(run, deadline=20)
    assert row["status"] == "Canceled"
    assert "Running" not in cluster.statuses(run)
    assert processes_with("slowpoke") == {}


def test_a_running_script_and_all_that_it_started_end(cluster, project):
    script = """
import os, subprocess, time
subprocess.Popen(["sleep", "3600"])
subprocess.Popen(["sleep", "3600"], start_new_session=True)
print("started", flush=True)
time.sleep(3600)
"""
    run = cluster.submit(project(script), "train.py")
    cluster.wait_for(run, "Running")

    cluster.cli("cancel", run)

    row = cluster.wait_for_end(run, deadline=45)
    assert row["status"] == "Canceled"
    assert cluster.statuses(run)[-2:] == ["CancelRequested", "Canceled"]
    assert processes_with(f"/work/{run}") == {}


def test_a_running_mpi_run_ends_on_both_nodes(cluster, project):
    run = cluster.submit(project(SLEEP), "train.py", flags=[*BOTH_NODES, "--processes-per-node", "2"])
    cluster.wait_for(run, "Running")

    cluster.cli("cancel", run)

    row = cluster.wait_for_end(run, deadline=45)
    assert row["status"] == "Canceled"
    assert processes_with(f"/work/{run}") == {}


def test_ranks_of_a_canceled_mpi_run_have_their_whole_grace(cluster, project):
    """mpirun by itself would kill them a second after their TERM."""
    script = """
import os, signal, time
rank = os.environ["OMPI_COMM_WORLD_RANK"]
def save(*_):
    time.sleep(3)  # as long as it takes
    open("outputs/saved-" + rank, "w").close()
    raise SystemExit(7)
signal.signal(signal.SIGTERM, save)
open("outputs/up-" + rank, "w").close()
while True: signal.pause()
"""
    run = cluster.submit(project(script), "train.py", flags=[*BOTH_NODES, "--processes-per-node", "2"])
    ranks = range(4)
    wait_until(lambda: {f"outputs/up-{rank}" for rank in ranks} <= set(cluster.files(run)), "all ranks run")

    cluster.cli("cancel", run)

    assert cluster.wait_for_end(run)["status"] == "Canceled"
    assert {f"outputs/saved-{rank}" for rank in ranks} <= set(cluster.files(run))
    assert processes_with(run) == {}


def test_in_finalizing_the_latched_outcome_stands(cluster, project):
    """The second node's agent is stopped, so that its part of a finished run cannot be reported as done."""
    script = """
import os, time
open("outputs/up-" + os.environ["OMPI_COMM_WORLD_RANK"], "w").close()
while not os.path.exists("outputs/go"): time.sleep(0.01)
"""
    run = cluster.submit(project(script), "train.py", flags=BOTH_NODES)
    row = cluster.wait_for(run, "Running")
    lead, other = (cluster.agent_pid(name) for name in row["nodes"])
    assert lead and other, cluster.survivors()
    outputs = next(iter(cluster.data.glob(f"agent-{row['nodes'][0]}/work/{run}/wd/outputs")))
    wait_until(lambda: {"up-0", "up-1"} <= {file.name for file in outputs.iterdir()}, "both ranks run")
    os.kill(other, signal.SIGSTOP)
    try:
        (outputs / "go").write_text("")
        cluster.wait_for(run, "Finalizing")

        answer = cluster.post(f"/api/v1/runs/{run}/cancel", {})

        assert (answer.status, answer.json()["status"]) == (200, "Finalizing")
    finally:
        os.kill(other, signal.SIGCONT)
    assert cluster.wait_for_end(run)["status"] == "Completed"


def test_a_run_that_ended_stays_as_it_is(cluster, project):
    run = cluster.run(project("raise SystemExit(3)"), "train.py")

    cluster.cli("cancel", run["run_id"], code=None)

    assert cluster.show(run["run_id"]) == run


@pytest.mark.parametrize("status", ["Queued", "Running"])
def test_an_unknown_run_is_an_error_and_a_second_cancel_is_not(cluster, project, status):
    assert "no-such-run" in cluster.cli("cancel", "no-such-run", code=None).stderr
    folder = project(SLEEP)
    busy = cluster.submit(folder, "train.py", flags=BOTH_NODES)
    run = busy if status == "Running" else cluster.submit(folder, "train.py")
    cluster.wait_for(run, status)

    for _ in range(2):
        assert cluster.post(f"/api/v1/runs/{run}/cancel", {}).status == 200

    assert cluster.wait_for_end(run, deadline=45)["status"] == "Canceled"
