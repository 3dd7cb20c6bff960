"""Runs that may be tried again (maxAttempts): after the loss of a host, never after a failure of the script."""

import os
import signal

import pytest

from cluster import running, wait_until
from hosts import HostCluster, require_hosts

require_hosts()
LEASE, LOST_AFTER = 3, 10

# Every rank tells who it is until there is a file `go` on its own host.
WORK = """
import os, sys, time
name = f"outputs/{os.uname().nodename}.txt"
while not os.path.exists(sys.argv[1]):
    with open(name, "a") as file: file.write("here\\n")
    print("here", flush=True)
    time.sleep(0.05)
open("outputs/done-" + os.environ["OMPI_COMM_WORLD_RANK"], "w").close()
"""


@pytest.fixture(scope="module")
def three_hosts():
    flags = ["--lease", LEASE, "--lost-after", LOST_AFTER, "--stop-grace", 5]
    cluster = HostCluster(3, flags=flags, prefix="at")
    with running(cluster):
        yield cluster


@pytest.fixture
def hosts(three_hosts):
    yield three_hosts
    three_hosts.cancel_all()
    for host in three_hosts.hosts:
        (host.outside / "go").unlink(missing_ok=True)


def submit(hosts, folder, job_file):
    job = job_file(arguments=[str(hosts.network.folder / "go")], communicator="Mpi", nodeCount=2, maxAttempts=2)
    return hosts.submit(folder, flags=["--job", job])


def go(hosts, names):
    for name in names:
        (hosts.host(name).outside / "go").touch()


def both_work(hosts, run):
    """The nodes of the run once both ranks are heard of: a log may be there before its script has begun."""
    row = hosts.wait_for(run, "Running")
    logs = {f"azureml-logs/70_driver_log_{rank}.txt" for rank in range(2)}
    heard = lambda: logs <= set(hosts.files(run)) and all(b"here" in hosts.file(run, log) for log in logs)  # noqa: E731
    wait_until(heard, "both ranks say that they are here")
    return row


def outputs(hosts, run):
    return hosts.files(run, "outputs/")


def ranks_on(host):
    return [line for line in host.space.pids().values() if "train.py" in line]


def test_a_run_whose_host_is_cut_off_is_tried_again_elsewhere(hosts, project, job_file):
    run = submit(hosts, project(WORK), job_file)
    first = both_work(hosts, run)
    cut = hosts.host(first["nodes"][1])

    cut.cut()
    try:
        # it ends its own part before the coordinator may begin another attempt: never are there two
        wait_until(lambda: not ranks_on(cut) or hosts.show(run)["attempt"] == 2, "an end on the host that is cut off")
        assert hosts.show(run)["attempt"] == 1 and not ranks_on(cut)
        assert "ended its part" in cut.agent_log()
        wait_until(lambda: hosts.show(run)["attempt"] == 2, "another attempt")
        row = hosts.wait_for(run, "Running")
        assert cut.name not in row["nodes"]
        go(hosts, row["nodes"])
        row = hosts.wait_for_end(run)
    finally:
        cut.heal()

    assert row["status"] == "Completed", row
    files = outputs(hosts, run)
    assert {"outputs/done-0", "outputs/done-1"} <= set(files)
    wait_until(lambda: hosts.nodes_up() == 3, "the host is back")
    wait_until(lambda: not cut.data.joinpath("work", run).exists(), "what it had of the run is removed")
    assert outputs(hosts, run) == files, "the attempt that was given up writes no more"


def test_a_part_of_open_mpi_that_is_killed_costs_an_attempt_and_not_the_run(hosts, project, job_file):
    run = submit(hosts, project(WORK), job_file)
    lead = hosts.host(both_work(hosts, run)["nodes"][0])

    pid = next(pid for pid, line in lead.space.pids().items() if line.split()[0].endswith("mpirun"))
    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: hosts.show(run)["attempt"] == 2, "another attempt")
    go(hosts, both_work(hosts, run)["nodes"])
    row = hosts.wait_for_end(run)
    assert (row["status"], row["attempt"]) == ("Completed", 2), row["outcome"]
    reasons = [event["reason"] for event in hosts.get(f"/api/v1/runs/{run}/events").json()["events"]]
    assert any("attempt 1 was lost: mpirun on node" in reason and "SIGKILL" in reason for reason in reasons), reasons


def test_a_script_that_fails_is_not_tried_again(hosts, project, job_file):
    run = submit(hosts, project("raise SystemExit(3)"), job_file)

    row = hosts.wait_for_end(run)

    assert (row["status"], row["attempt"], row["outcome"]["code"]) == ("Failed", 1, "UserError")
