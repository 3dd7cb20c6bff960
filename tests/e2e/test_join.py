"""A second machine joins by one string: here another agent with a data directory of its own, over TLS."""

import subprocess

import pytest

from cluster import wait_until


@pytest.fixture
def guest(cluster, tmp_path):
    """An agent named guest-1 that has joined the shared cluster; it is gone again after the test."""
    join = cluster.cli("nodes", "join").stdout.splitlines()[-1]
    arguments = ["agent", join, "--name", "guest-1", "--data-dir", tmp_path / "guest"]
    with open(tmp_path / "guest.log", "wb") as log:
        process = cluster.spawn(*arguments, stdout=log, stderr=subprocess.STDOUT)

    def node():
        assert process.poll() is None, (tmp_path / "guest.log").read_text()
        return next((node for node in cluster.json("nodes")["nodes"] if node["name"] == "guest-1" and node["up"]), None)

    try:
        wait_until(node, "guest-1 is up")
        yield join
    finally:
        cluster.cancel_all()
        process.terminate()
        code = process.wait(20)
    assert code == 0
    wait_until(lambda: cluster.cli("nodes", "remove", "guest-1", code=None).returncode == 0, "guest-1 is removed", 60)
    assert [node["name"] for node in cluster.json("nodes")["nodes"]] == ["node-1", "node-2"]


def test_a_node_that_joined_gets_runs_and_sends_their_files(cluster, guest, project):
    for node in ("node-1", "node-2"):
        cluster.cli("nodes", "drain", node)
    try:
        run = cluster.run(project("open('outputs/x.txt', 'w').write('from the guest'); print('here')"), "train.py")
    finally:
        for node in ("node-1", "node-2"):
            cluster.cli("nodes", "resume", node)

    assert run["status"] == "Completed", run
    assert run["nodes"] == ["guest-1"]
    assert cluster.file(run["run_id"], "outputs/x.txt") == b"from the guest"
    assert b"here" in cluster.driver_log(run["run_id"])


def test_a_join_string_is_good_for_one_agent(cluster, guest, tmp_path):
    again = cluster.cli("agent", guest, "--name", "guest-2", "--data-dir", tmp_path / "again", code=None)

    assert again.returncode != 0
    assert "join" in again.stderr


def test_a_gang_over_both_kinds_of_nodes(cluster, guest, project):
    script = "import os; print('rank', os.environ['OMPI_COMM_WORLD_RANK'], 'of', os.environ['OMPI_COMM_WORLD_SIZE'])"

    run = cluster.run(project(script), "train.py", flags=["--nodes", "3", "--backend", "mpi"])

    assert run["status"] == "Completed", run
    assert sorted(run["nodes"]) == ["guest-1", "node-1", "node-2"]
    for rank in range(3):
        assert f"rank {rank} of 3" in cluster.driver_log(run["run_id"], rank).decode()
