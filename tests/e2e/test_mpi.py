"""Runs of several ranks under one mpirun: over two nodes, on one node, and when a rank fails."""

import json
import os
import pathlib

import pytest

MPI = ["--backend", "mpi"]
RANK = "int(os.environ['OMPI_COMM_WORLD_RANK'])"
SIZE = "int(os.environ['OMPI_COMM_WORLD_SIZE'])"


def test_two_nodes_with_two_ranks_each_reduce_to_the_right_sum(cluster, project):
    script = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
total = comm.allreduce(comm.rank + 1)
print(f"rank {comm.rank} of {comm.size}: {total}")
if comm.rank == 0: open("outputs/total.txt", "w").write(str(total))
"""
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI, "--pip", "mpi4py"]
    run = cluster.run(project(script), "train.py", flags=flags, deadline=120)

    assert run["status"] == "Completed", run
    assert sorted(run["nodes"]) == ["node-1", "node-2"]
    assert cluster.file(run["run_id"], "outputs/total.txt") == b"10"
    for rank in range(4):
        assert f"rank {rank} of 4: 10" in cluster.driver_log(run["run_id"], rank).decode()


def test_ranks_are_placed_by_node_and_share_one_working_directory(cluster, project):
    """As in the old CNTK notebook: every rank spins until a file of rank 0 is in the relative outputs folder."""
    script = f"""
import json, os, time
rank = {RANK}
if rank == 0: open("outputs/complete.txt", "w").write("x")
while not os.path.exists("outputs/complete.txt"): time.sleep(0.01)
ompi = ("SIZE", "LOCAL_RANK", "LOCAL_SIZE")
keys = [*("OMPI_COMM_WORLD_" + name for name in ompi), "MINE", "AZUREML_NODE_COUNT"]
open(f"outputs/rank-{{rank}}.json", "w").write(json.dumps({{key: os.environ.get(key) for key in keys}}))
"""
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI, "--env", "MINE=a b;c"]
    run = cluster.run(project(script), "train.py", flags=flags)

    assert run["status"] == "Completed", run
    seen = [json.loads(cluster.file(run["run_id"], f"outputs/rank-{rank}.json")) for rank in range(4)]
    assert [row["OMPI_COMM_WORLD_LOCAL_RANK"] for row in seen] == ["0", "1", "0", "1"]
    for row in seen:
        assert (row["OMPI_COMM_WORLD_SIZE"], row["OMPI_COMM_WORLD_LOCAL_SIZE"]) == ("4", "2")
        assert (row["MINE"], row["AZUREML_NODE_COUNT"]) == ("a b;c", "2")


def test_one_node_with_four_ranks(cluster, project):
    script = f"import os; print('rank', {RANK}, 'of', {SIZE})"

    run = cluster.run(project(script), "train.py", flags=["--processes-per-node", "4", *MPI])

    assert run["status"] == "Completed", run
    assert len(run["nodes"]) == 1
    for rank in range(4):
        assert f"rank {rank} of 4" in cluster.driver_log(run["run_id"], rank).decode()
    assert "azureml-logs/70_mpi_log.txt" in cluster.files(run["run_id"])


@pytest.mark.parametrize("failing", [0, 3])
def test_a_rank_that_fails_is_named_with_its_node_code_and_last_lines(cluster, project, failing):
    script = f"""
import os, sys, time
rank = {RANK}
if rank == {failing}:
    print("the teapot of rank", rank, flush=True)
    sys.exit(5)
time.sleep(3600)
"""
    run = cluster.run(project(script), "train.py", flags=["--nodes", "2", "--processes-per-node", "2", *MPI])

    assert run["status"] == "Failed"
    outcome = run["outcome"]
    assert (outcome["rank"], outcome["exit_code"]) == (failing, 5)
    assert outcome["node"] == run["nodes"][failing // 2]
    assert f"rank {failing}" in outcome["message"] and f"the teapot of rank {failing}" in outcome["message"]


def test_one_rank_of_many_is_shown_by_logs(cluster, project):
    script = f"import os; print('I am rank', {RANK})"
    run = cluster.run(project(script), "train.py", flags=["--nodes", "2", "--processes-per-node", "2", *MPI])["run_id"]

    said = cluster.cli("logs", run, "--rank", "2").stdout

    assert "I am rank 2" in said and "I am rank 1" not in said


def test_two_mpi_runs_at_once_on_the_same_machine(new_cluster, project):
    cluster = new_cluster(nodes=2, slots=2)
    script = f"import os; print('rank', {RANK}, 'of', {SIZE})"
    folder = project(script)
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI]

    runs = [cluster.submit(folder, "train.py", flags=flags) for _ in range(2)]

    for run in runs:
        assert cluster.wait_for_end(run)["status"] == "Completed", cluster.show(run)


def physical_cores():
    def part(cpu, name):
        return pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/{name}").read_text()

    return {(part(cpu, "physical_package_id"), part(cpu, "core_id")) for cpu in os.sched_getaffinity(0)}


def test_ranks_have_cores_of_their_own_where_there_are_enough(new_cluster, project):
    cluster = new_cluster(nodes=1)
    script = f"import json, os; json.dump(sorted(os.sched_getaffinity(0)), open('outputs/%d' % {RANK}, 'w'))"
    cores = len(physical_cores())

    def affinities(ranks):
        run = cluster.run(project(script), "train.py", flags=["--processes-per-node", str(ranks), *MPI])
        assert run["status"] == "Completed", run
        return [json.loads(cluster.file(run["run_id"], f"outputs/{rank}")) for rank in range(ranks)]

    oversubscribed = affinities(os.cpu_count() + 1)
    assert all(len(seen) == len(os.sched_getaffinity(0)) for seen in oversubscribed)
    if cores < 2:
        pytest.skip("this machine has one core")
    first, second = affinities(2)
    assert not set(first) & set(second) and len(first) + len(second) == len(os.sched_getaffinity(0))
