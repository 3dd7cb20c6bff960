"""Nodes on hosts that share no disk see one working directory all the same. A host is an agent in a mount namespace of
its own: that is what tells hosts apart."""

import contextlib
import hashlib
import json
import os
import subprocess

import pytest

from cluster import Cluster, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes mount namespaces")
RANK = "int(os.environ['OMPI_COMM_WORLD_RANK'])"
MPI = ["--nodes", "2", "--backend", "mpi", "--target", "far"]
BETWEEN = """
import os, time
def await_file(name):
    while not os.path.exists(name): time.sleep(0.005)
"""


class Host:
    """One agent in a mount namespace of its own."""

    def __init__(self, cluster, folder, name, *flags):
        self.cluster, self.folder, self.name, self.flags = cluster, folder, name, flags
        self.process = None

    def start(self, join=None):
        arguments = ["agent", *([join] if join else []), "--name", self.name, "--data-dir", self.folder / self.name]
        arguments += ["--label", "target=far", "--address", "127.0.0.1", *self.flags]
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", self.cluster.binary, *map(str, arguments)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.cluster.environment)

    def is_up(self):
        assert self.process.poll() is None, (self.folder / f"{self.name}.log").read_text()
        return any(node["name"] == self.name and node["up"] for node in self.cluster.json("nodes")["nodes"])

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0


@contextlib.contextmanager
def hosts(cluster, folder, *names, flags=()):
    made = [Host(cluster, folder, name, *flags) for name in names]
    try:
        for host in made:
            host.start(cluster.cli("nodes", "join").stdout.splitlines()[-1])
        wait_until(lambda: all(host.is_up() for host in made), f"{names} are up")
        yield made
    finally:
        cluster.cancel_all()
        for host in made:
            host.stop()


@pytest.fixture(scope="module")
def far_cluster(tmp_path_factory):
    """A coordinator and two nodes of compute target "far", neither of which sees the other one's files."""
    cluster = Cluster(nodes=1)
    try:
        cluster.start()
        with hosts(cluster, tmp_path_factory.mktemp("hosts"), "far-0", "far-1") as far:
            cluster.hosts = far
            yield cluster
        cluster.stop()
    finally:
        cluster.destroy()


def test_every_rank_waits_for_a_file_of_rank_0_and_then_reads_its_data_whole(far_cluster, project):
    script = f"""{BETWEEN}
import hashlib, json
rank = {RANK}
if rank == 0:
    data = os.urandom(24 << 20)
    os.makedirs("outputs/MNIST/raw")
    with open("outputs/MNIST/raw/z-data.bin", "wb") as file:
        for at in range(0, len(data), 1 << 20): file.write(data[at:at + (1 << 20)])
    open("outputs/MNIST/complete.txt", "w").close()
await_file("outputs/MNIST/complete.txt")
seen = open("outputs/MNIST/raw/z-data.bin", "rb").read()
row = {{"cwd": os.getcwd(), "hash": hashlib.sha256(seen).hexdigest(), "size": len(seen)}}
open(f"outputs/rank-{{rank}}.json", "w").write(json.dumps(row))
await_file("outputs/rank-0.json"); await_file("outputs/rank-1.json")
"""
    run = far_cluster.run(project(script), "train.py", flags=MPI)

    assert run["status"] == "Completed", run
    rows = [json.loads(far_cluster.file(run["run_id"], f"outputs/rank-{rank}.json")) for rank in range(2)]
    assert rows[0]["cwd"] != rows[1]["cwd"], "the two nodes had one directory: this shows nothing"
    assert rows[0]["hash"] == rows[1]["hash"] and rows[1]["size"] == 24 << 20
    stored = far_cluster.file(run["run_id"], "outputs/MNIST/raw/z-data.bin")
    assert hashlib.sha256(stored).hexdigest() == rows[0]["hash"]
    assert run["warnings"] == []


def test_a_name_that_both_nodes_wrote_is_kept_twice_with_a_warning(far_cluster, project):
    script = f"""{BETWEEN}
rank = {RANK}
open("outputs/model.txt", "w").write(f"of {{rank}}")
log = open("logs/train.log", "w")
for step in range(50): print("step", step, "of", rank, file=log, flush=True)
log.close()
open("outputs/same.txt", "w").write("the same")
open(f"outputs/done-{{rank}}", "w").close()
await_file(f"outputs/done-{{1 - rank}}")
assert open("outputs/model.txt").read() == f"of {{rank}}", "a node's own file stays"
"""
    run = far_cluster.run(project(script), "train.py", flags=MPI)

    assert run["status"] == "Completed", run
    files = far_cluster.files(run["run_id"])
    steps = {rank: "".join(f"step {step} of {rank}\n" for step in range(50)).encode() for rank in range(2)}
    assert far_cluster.file(run["run_id"], "outputs/model.txt") == b"of 0"
    assert far_cluster.file(run["run_id"], "outputs/model.node1.txt") == b"of 1"
    assert far_cluster.file(run["run_id"], "logs/train.log") == steps[0]
    assert far_cluster.file(run["run_id"], "logs/train.node1.log") == steps[1]
    assert "outputs/same.txt" in files and "outputs/same.node1.txt" not in files
    assert sorted(warning.split("'")[1] for warning in run["warnings"]) == ["logs/train.log", "outputs/model.txt"]
    assert "outputs/model.node1.txt" in far_cluster.cli("show", run["run_id"]).stdout


def test_it_goes_on_when_agents_and_the_coordinator_were_killed(far_cluster, project):
    script = f"""{BETWEEN}
rank = {RANK}
for turn in range(4):
    if turn % 2 == rank: open(f"outputs/turn-{{turn}}", "w").write(str(turn))
    await_file(f"outputs/turn-{{turn}}")
    print("saw", turn, flush=True)
    if turn in (0, 1): await_file(f"logs/go-{{turn}}-{{rank}}")
"""
    run = far_cluster.submit(project(script), "train.py", flags=MPI)
    far_cluster.wait_for(run, "Running")
    nodes = far_cluster.show(run)["nodes"]
    place = {host.name: host for host in far_cluster.hosts}

    def all_saw(turn):
        logs = [name for name in far_cluster.files(run) if "70_driver_log_" in name]
        return len(logs) == 2 and all(f"saw {turn}".encode() in far_cluster.file(run, name) for name in logs)

    def release(turn):
        for rank, name in enumerate(nodes):
            folder = next((place[name].folder / name).glob(f"agent-{name}/work/{run}/wd/logs"))
            (folder / f"go-{turn}-{rank}").write_text("")

    wait_until(lambda: all_saw(0), "both saw the first file")
    for host in far_cluster.hosts:
        host.process.kill()  # unshare has become the agent
        host.process.wait(10)
        host.start()
    release(0)
    wait_until(lambda: all_saw(1), "both saw the second file")
    far_cluster.kill()
    release(1)
    far_cluster.start()

    row = far_cluster.wait_for_end(run)
    assert row["status"] == "Completed", row
    assert row["warnings"] == []
    assert not any(".node" in name for name in far_cluster.files(run))


def test_a_shared_directory_is_used_and_nothing_is_copied(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    shared = tmp_path / "shared"
    shared.mkdir()
    script = f"""{BETWEEN}
rank = {RANK}
with open(f"outputs/part-{{rank}}", "w") as file: file.write(os.getcwd())
os.rename(f"outputs/part-{{rank}}", f"outputs/node-{{rank}}")  # in one directory an open file is seen, too
await_file(f"outputs/node-{{1 - rank}}")
assert open(f"outputs/node-{{1 - rank}}").read() == os.getcwd()
open("outputs/both", "a").write(f"{{rank}}\\n")
print(sorted(os.listdir("outputs")))
"""
    with hosts(cluster, tmp_path, "far-0", "far-1", flags=["--shared-dir", shared]):
        run = cluster.run(project(script), "train.py", flags=MPI)

        assert run["status"] == "Completed", cluster.driver_log(run["run_id"], 0) + cluster.driver_log(run["run_id"], 1)
        assert cluster.file(run["run_id"], "outputs/node-0").startswith(str(shared).encode())
        assert sorted(cluster.file(run["run_id"], "outputs/both").split()) == [b"0", b"1"]
        wait_until(lambda: list(shared.iterdir()) == [shared / ".linarite-shared-dir"], "the run's folder is removed")


def test_a_shared_directory_that_is_none_is_refused(far_cluster, tmp_path):
    refused = far_cluster.cli("agent", "--name", "n", "--data-dir", tmp_path / "x", "--shared-dir", "relative", code=1)

    assert "--shared-dir: 'relative' is not an absolute path to a folder" in refused.stderr
