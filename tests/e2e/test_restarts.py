"""kill -9 of the coordinator or of an agent in the middle of a run: the run goes on, and nothing of it is lost."""

import os
import signal

import pytest

from cluster import is_alive, wait_until

# Counts until the file that is named by its argument is there, then writes down how far it came.
COUNTER = """
import os, sys, time
n = 0
while not os.path.exists(sys.argv[1]):
    print(f"line {n}", flush=True)
    n += 1
    time.sleep(0.002)
open("outputs/count.txt", "w").write(str(n))
"""


def counted_lines(log):
    return [line for line in log.decode().splitlines() if line.startswith("line ")]


def start_counter(cluster, project, go):
    run = cluster.submit(project(COUNTER), "train.py", go)
    cluster.wait_for(run, "Running")
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > 50, "the first lines are in the log")
    return run


def log_of(cluster, run, name="70_driver_log.txt"):
    answer = cluster.get(f"/api/v1/runs/{run}/files/azureml-logs/{name}")
    return answer.body if answer.status == 200 else b""


def finish(cluster, run, go):
    """Lets the counter end; everything that it printed must be there, once and in order."""
    seen = len(counted_lines(log_of(cluster, run)))
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > seen, "the log goes on to grow")
    go.write_text("")
    row = cluster.wait_for_end(run)
    assert row["status"] == "Completed", row
    assert row["attempt"] == 1
    count = int(cluster.file(run, "outputs/count.txt"))
    assert counted_lines(cluster.driver_log(run)) == [f"line {n}" for n in range(count)]


def test_a_killed_coordinator_goes_on_with_the_run(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    go = tmp_path / "go"
    run = start_counter(cluster, project, go)
    waiting = cluster.submit(project("print('waited')"), "train.py")

    cluster.kill()
    cluster.start()

    finish(cluster, run, go)
    assert cluster.wait_for_end(waiting)["status"] == "Completed"
    assert cluster.statuses(run).count("NotStarted") == 1


def test_a_run_that_ends_while_the_coordinator_is_down_is_completed_afterwards(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    go = tmp_path / "go"
    run = start_counter(cluster, project, go)

    cluster.kill()
    go.write_text("")
    # what is left of the run must have ended before the coordinator is back
    wait_until(lambda: not [c for c in cluster.survivors().values() if "train.py" in c], "the script ends by itself")
    cluster.start()

    row = cluster.wait_for_end(run)
    assert row["status"] == "Completed"
    count = int(cluster.file(run, "outputs/count.txt"))
    assert counted_lines(cluster.driver_log(run)) == [f"line {n}" for n in range(count)]


def test_a_killed_agent_goes_on_with_the_run(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    go = tmp_path / "go"
    run = start_counter(cluster, project, go)
    name = cluster.show(run)["nodes"][0]
    agent = cluster.agent_pid(name)
    assert agent, cluster.survivors()

    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: not is_alive(agent), "the agent is dead")
    wait_until(lambda: cluster.agent_pid(name), "another agent is started in its place")

    finish(cluster, run, go)


def kill_agent_then_coordinator(cluster, name):
    os.kill(cluster.agent_pid(name), signal.SIGKILL)
    wait_until(lambda: cluster.agent_pid(name), "another agent is started in its place")
    cluster.kill()


def kill_both_at_once(cluster, name):
    os.kill(cluster.agent_pid(name), signal.SIGKILL)
    cluster.kill()


def kill_coordinator_then_agent(cluster, name):
    cluster.kill(then=[cluster.agent_pid(name)])


@pytest.mark.parametrize("node", [0, 1], ids=["lead", "second"])
@pytest.mark.parametrize("kill", [kill_agent_then_coordinator, kill_both_at_once, kill_coordinator_then_agent])
def test_an_mpi_run_outlives_both_kinds_of_death(new_cluster, project, tmp_path, kill, node):
    cluster = new_cluster(nodes=2)
    script = """
import os, sys, time
print("up", flush=True)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
print("down")
"""
    go = tmp_path / "go"
    run = cluster.submit(project(script), "train.py", go, flags=["--nodes", "2", "--backend", "mpi"])
    row = cluster.wait_for(run, "Running")
    for rank in range(2):
        log = f"70_driver_log_{rank}.txt"
        wait_until(lambda log=log: b"up\n" in log_of(cluster, run, log), f"rank {rank} is up")

    kill(cluster, row["nodes"][node])
    cluster.start()

    assert cluster.show(run)["status"] not in ("Failed", "Completed", "Canceled")
    go.write_text("")
    row = cluster.wait_for_end(run)
    assert row["status"] == "Completed", row
    for rank in range(2):
        assert b"up\n" in cluster.driver_log(run, rank) and b"down\n" in cluster.driver_log(run, rank)


def test_a_clean_stop_and_start_keeps_the_history(new_cluster, project):
    cluster = new_cluster(nodes=1)
    run = cluster.run(project("print('kept')"), "train.py")

    cluster.stop()
    cluster.start()

    assert cluster.show(run["run_id"]) == run
    assert b"kept" in cluster.driver_log(run["run_id"])


def test_an_answered_submit_survives_the_death_of_the_coordinator(new_cluster, project):
    cluster = new_cluster(nodes=1)
    folder = project("print('ran')")

    runs = [cluster.submit(folder, "train.py", flags=["--env", f"N={n}"]) for n in range(5)]
    cluster.kill()
    cluster.start()

    for run in runs:
        assert cluster.wait_for_end(run)["status"] == "Completed"


@pytest.mark.parametrize("times", [3])
def test_the_supervisor_outlives_repeated_deaths(new_cluster, project, tmp_path, times):
    cluster = new_cluster(nodes=1)
    go = tmp_path / "go"
    run = start_counter(cluster, project, go)

    for _ in range(times):
        cluster.kill()
        cluster.start()

    finish(cluster, run, go)
