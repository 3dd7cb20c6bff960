"""Runs whose processes find each other without mpirun: a process group as torch.distributed has it, and workers with
parameter servers."""

import json
import os
import signal

import pytest

from cluster import processes_with, wait_until

# An allreduce over MASTER_ADDR and MASTER_PORT, as a script without torch can do it: rank 0 listens.
REDUCE = """
import json, os, socket, struct, sys, time

def meet():
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(address, timeout=60)
        except OSError:
            if time.monotonic() > end: raise
            time.sleep(0.02)

def receive(peer, size):
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece: raise EOFError("a peer is gone")
        data += piece
    return data

def allreduce(value):
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank == 0:
        server = socket.create_server(("", int(os.environ["MASTER_PORT"])))
        server.settimeout(60)
        peers = [server.accept()[0] for _ in range(size - 1)]
        total = value + sum(struct.unpack("!q", receive(peer, 8))[0] for peer in peers)
        for peer in peers: peer.sendall(struct.pack("!q", total))
        return total
    peer = meet()
    peer.sendall(struct.pack("!q", value))
    return struct.unpack("!q", receive(peer, 8))[0]
"""
STATUS = "azureml-logs/process_status.json"  # process_info.json is written before it
GLOO = ["--nodes", "2", "--processes-per-node", "2", "--backend", "gloo"]


def test_two_nodes_with_two_ranks_each_meet_and_reduce(cluster, project):
    script = """
import json, os
from reduce import allreduce
rank = int(os.environ["RANK"])
total = allreduce(rank + 1)
print(f"rank {rank}: {total}")
names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_PORT", "AZ_BATCH_MASTER_NODE", "GLOO_SOCKET_IFNAME")
open(f"outputs/rank-{rank}.json", "w").write(json.dumps({name: os.environ[name] for name in names} | {"total": total}))
"""
    run = cluster.run(project(script, reduce=REDUCE), "train.py", flags=GLOO, deadline=120)

    assert run["status"] == "Completed", run
    seen = [json.loads(cluster.file(run["run_id"], f"outputs/rank-{rank}.json")) for rank in range(4)]
    assert [row["total"] for row in seen] == [10] * 4
    assert [(row["RANK"], row["LOCAL_RANK"], row["NODE_RANK"]) for row in seen] == [
        ("0", "0", "0"),
        ("1", "1", "0"),
        ("2", "0", "1"),
        ("3", "1", "1"),
    ]
    assert len({row["MASTER_PORT"] for row in seen}) == 1
    for rank, row in enumerate(seen):
        assert (row["WORLD_SIZE"], row["GLOO_SOCKET_IFNAME"]) == ("4", "lo")
        assert row["AZ_BATCH_MASTER_NODE"] == "127.0.0.1:" + row["MASTER_PORT"]
        assert f"rank {rank}: 10" in cluster.driver_log(run["run_id"], rank).decode()
    assert "azureml-logs/70_mpi_log.txt" not in cluster.files(run["run_id"])


def test_the_lead_that_ends_first_does_not_cut_off_the_others(cluster, project, tmp_path):
    """What the other node writes after the lead's processes have ended is kept, too."""
    script = """
import os, sys, time
rank = int(os.environ["RANK"])
if rank == 3:
    while not os.path.exists(sys.argv[1]): time.sleep(0.02)
    open("outputs/late.txt", "w").write("late")
"""
    go = tmp_path / "go"
    submitted = cluster.submit(project(script), "train.py", str(go), flags=GLOO)
    wait_until(lambda: STATUS in cluster.files(submitted), "the status of the processes is written")
    states = lambda: [each["status"] for each in process_files(cluster, submitted)[1]["processes"]]  # noqa: E731
    wait_until(lambda: states()[:3] == ["Completed"] * 3, lambda: f"the others end: {states()}")
    go.touch()
    run = cluster.wait_for_end(submitted)

    assert run["status"] == "Completed", run
    assert cluster.file(run["run_id"], "outputs/late.txt") == b"late"


@pytest.mark.parametrize("failing", [0, 3])
def test_a_rank_that_fails_is_named_and_ends_all_others(cluster, project, failing):
    script = f"""
import os, sys, time
rank = int(os.environ["RANK"])
if rank == {failing}:
    print("the teapot of rank", rank, flush=True)
    sys.exit(5)
time.sleep(3600)
"""
    run = cluster.run(project(script), "train.py", flags=GLOO)

    assert run["status"] == "Failed"
    outcome = run["outcome"]
    assert (outcome["rank"], outcome["exit_code"], outcome["code"]) == (failing, 5, "UserError")
    assert outcome["node"] == run["nodes"][failing // 2]
    assert f"rank {failing}" in outcome["message"] and f"the teapot of rank {failing}" in outcome["message"]


def test_who_fails_because_a_peer_is_gone_is_not_the_culprit(cluster, project):
    """All ranks but one fail within moments of the first, on both nodes."""
    script = """
import os, sys
from reduce import allreduce
if os.environ["RANK"] == "2":
    import socket, time
    from reduce import meet
    peer = meet()
    print("no memory for rank 2", flush=True)
    os._exit(7)
allreduce(1)
"""
    run = cluster.run(project(script, reduce=REDUCE), "train.py", flags=GLOO)

    assert run["status"] == "Failed"
    assert (run["outcome"]["rank"], run["outcome"]["exit_code"]) == (2, 7), run["outcome"]


def test_a_count_that_the_nodes_do_not_divide_is_refused(cluster, project, job_file):
    job = job_file(framework="PyTorch", communicator="Gloo", nodeCount=2, pytorch={"processCount": 3})

    refused = cluster.cli("submit", project("pass"), "--experiment", "e2e", "--job", job, code=None)

    assert refused.returncode != 0
    assert "3 processes cannot be shared out evenly over 2 nodes" in refused.stderr


def test_a_canceled_process_group_leaves_nothing(cluster, project):
    script = "import time; print('up', flush=True); time.sleep(3600)"
    run = cluster.submit(project(script), "train.py", flags=GLOO)
    cluster.wait_for(run, "Running")

    cluster.cli("cancel", run)

    assert cluster.wait_for_end(run)["status"] == "Canceled"


def test_a_process_group_outlives_the_coordinator_and_all_agents(new_cluster, project):
    cluster = new_cluster(nodes=2)
    script = """
import os, time
print("up", flush=True)
while not os.path.exists("outputs/go"): time.sleep(0.02)
open("outputs/" + os.environ["RANK"], "w").write(os.environ["MASTER_PORT"])
"""
    run = cluster.submit(project(script), "train.py", flags=GLOO)
    cluster.wait_for(run, "Running")
    wait_until(lambda: len(cluster.files(run, "azureml-logs/70_driver_log_")) == 4, "all ranks have printed")

    cluster.kill(then=[cluster.agent_pid("node-1"), cluster.agent_pid("node-2")])
    cluster.start()
    (cluster.data / "agent-node-1" / "work" / run / "wd" / "outputs" / "go").write_text("")

    assert cluster.wait_for_end(run)["status"] == "Completed", cluster.show(run)
    assert len({cluster.file(run, f"outputs/{rank}") for rank in range(4)}) == 1


def test_what_starts_the_ranks_of_a_node_may_be_killed(cluster, project):
    script = "import time; print('up', flush=True); time.sleep(3600)"
    run = cluster.submit(project(script), "train.py", flags=GLOO)
    wait_until(lambda: len(cluster.files(run, "azureml-logs/70_driver_log_")) == 4, "all ranks have printed")
    starters = [pid for pid, line in processes_with(run).items() if line.endswith("linarite-shim ranks")]

    os.kill(starters[0], signal.SIGKILL)

    row = cluster.wait_for_end(run)
    assert (row["status"], row["outcome"]["code"]) == ("Failed", "ServiceError")
    assert "What starts the processes of the run" in row["outcome"]["message"]
    assert not processes_with(run)


SERVED = """
import json, os, socket, time
config = json.loads(os.environ["TF_CONFIG"])
role, index = config["task"]["type"], config["task"]["index"]
assert (role, str(index)) == (os.environ["AZ_BATCHAI_TASK_TYPE"], os.environ["AZ_BATCHAI_TASK_INDEX"])
host, port = config["cluster"][role][index].split(":")
if role == "ps": # serves for ever, as one of TensorFlow does
    server = socket.create_server((host, int(port)))
    print("serving", flush=True)
    while True:
        peer = server.accept()[0]
        peer.sendall(b"weights\\n")
        peer.close()
for server in config["cluster"]["ps"]:
    host, port = server.split(":")
    end = time.monotonic() + 60
    while True:
        try:
            peer = socket.create_connection((host, int(port)), timeout=60)
            break
        except OSError:
            if time.monotonic() > end: raise
            time.sleep(0.02)
    print(server, "gave", peer.makefile().readline().strip())
open(f"outputs/worker-{index}.json", "w").write(json.dumps(config))
"""
PS = ["--nodes", "2", "--backend", "ps", "--workers", "2", "--parameter-servers", "2"]


def test_parameter_servers_end_when_all_workers_have(cluster, project):
    run = cluster.run(project(SERVED), "train.py", flags=PS, deadline=120)

    assert run["status"] == "Completed", run
    configs = [json.loads(cluster.file(run["run_id"], f"outputs/worker-{index}.json")) for index in range(2)]
    assert configs[0]["cluster"] == configs[1]["cluster"]
    assert [len(configs[0]["cluster"][role]) for role in ("ps", "worker")] == [2, 2]
    everywhere = configs[0]["cluster"]["ps"] + configs[0]["cluster"]["worker"]
    assert len(set(everywhere)) == 4
    assert [config["task"] for config in configs] == [{"type": "worker", "index": index} for index in range(2)]
    assert {config["environment"] for config in configs} == {"cloud"}
    logs = cluster.files(run["run_id"], "azureml-logs/70_driver_log_")
    assert sorted(name.split("log_")[1] for name in logs) == ["ps_0.txt", "ps_1.txt", "worker_0.txt", "worker_1.txt"]
    assert "gave weights" in cluster.cli("logs", run["run_id"], "--rank", "1").stdout
    merged = cluster.cli("logs", run["run_id"]).stdout
    assert "[worker_0] " in merged and "[ps_1] serving" in merged


def test_a_run_without_parameter_servers_has_no_such_key(cluster, project):
    script = "import json, os; print(sorted(json.loads(os.environ['TF_CONFIG'])['cluster']))"
    flags = ["--nodes", "2", "--backend", "ps", "--workers", "2", "--parameter-servers", "0"]

    run = cluster.run(project(script), "train.py", flags=flags)

    assert run["status"] == "Completed", run
    assert "['worker']" in cluster.cli("logs", run["run_id"], "--rank", "0").stdout


@pytest.mark.parametrize("role", ["worker", "ps"])
def test_a_task_that_fails_fails_the_run(cluster, project, role):
    script = f"""
import json, os, sys, time
task = json.loads(os.environ["TF_CONFIG"])["task"]
if (task["type"], task["index"]) == ("{role}", 1): sys.exit(6)
time.sleep(3600)
"""
    run = cluster.run(project(script), "train.py", flags=PS)

    assert run["status"] == "Failed"
    assert run["outcome"]["exit_code"] == 6
    assert {"worker": "worker 1", "ps": "parameter server 1"}[role] in run["outcome"]["message"]


def process_files(cluster, run):
    return [json.loads(cluster.file(run, f"azureml-logs/process_{what}.json")) for what in ("info", "status")]


@pytest.mark.parametrize("backend", ["gloo", "mpi"])
def test_which_process_is_where_and_how_it_ended_is_written_down(cluster, project, backend):
    script = "import os; print(os.environ['RANK'], os.environ['WORLD_SIZE'])"
    flags = [*GLOO[:-1], backend]

    run = cluster.run(project(script), "train.py", flags=flags)

    assert run["status"] == "Completed", run

    def end():
        """What is written down once it tells of the last rank's end, which may be a moment after the run's."""
        written = STATUS in cluster.files(run["run_id"]) and process_files(cluster, run["run_id"])
        return written if written and written[1]["processes"][3]["status"] == "Completed" else None

    info, status = wait_until(end, "the end of the last rank is written down")
    assert [(row["rank"], row["node"], row["localRank"]) for row in info["processes"]] == [
        (rank, run["nodes"][rank // 2], rank % 2) for rank in range(4)
    ]
    assert info["processes"][3]["log"] == "azureml-logs/70_driver_log_3.txt"
    assert [(row["status"], row["exitCode"]) for row in status["processes"]] == [("Completed", 0)] * 4
    for rank in range(4):
        assert f"{rank} 4" in cluster.driver_log(run["run_id"], rank).decode()
