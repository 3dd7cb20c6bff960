"""How long a file that one node has closed takes to another host's node: two agents in mount namespaces of their own."""

import json
import os
import subprocess
import time

from harness import LINARITE, Cluster, median_ms, project, row, say

COUNT = 300
SCRIPT = f"""
import json, os, time
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
took = []
for number in range({COUNT}):
    name = f"outputs/{{number}}"
    if rank == 0:
        with open(name, "w") as file: file.write(repr(time.monotonic()))
        while not os.path.exists(f"outputs/back-{{number}}"): time.sleep(0.0005)
    else:
        while not os.path.exists(name): time.sleep(0.0005)
        took.append(time.monotonic() - float(open(name).read()))
        open(f"outputs/back-{{number}}", "w").close()
if rank == 1: json.dump(took, open("outputs/took.json", "w"))
"""
BURST = """
import json, os, time
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
if rank == 0:
    begin = time.monotonic()
    for number in range(5000):
        with open(f"outputs/{number}", "w") as file: file.write("x" * 1000)
    open("outputs/begun", "w").write(repr(begin))
else:
    while not os.path.exists("outputs/begun"): time.sleep(0.0005)
    took = time.monotonic() - float(open("outputs/begun").read())
    assert len(os.listdir("outputs")) == 5001
    json.dump(took, open("outputs/took.json", "w"))
"""


def join(cluster, name):
    """An agent that shares no directory with any other."""
    key = cluster.cli("nodes", "join").stdout.splitlines()[-1]
    command = ["unshare", "--mount", LINARITE, "agent", key, "--name", name, "--data-dir", cluster.dir / name,
               "--label", "target=far", "--address", "127.0.0.1", "--log-level", "warn"]
    return subprocess.Popen(command, env=cluster.env, stdin=subprocess.DEVNULL, stdout=cluster.log, stderr=cluster.log)


def measure(cluster, script):
    out = cluster.cli("submit", str(project(script)), "--experiment", "bench", "--wait", "-o", "json", "--nodes", "2",
                      "--backend", "mpi", "--target", "far", "--", "main.py").stdout
    return cluster.get(f"/api/v1/runs/{json.loads(out)['run_id']}/files/outputs/took.json")


def bench_dirsync():
    if os.geteuid() != 0:
        say("  skipped: only root makes mount namespaces")
        return
    cluster = Cluster(nodes=1)
    cluster.start()
    agents = [join(cluster, f"far-{number}") for number in range(2)]
    try:
        deadline = time.monotonic() + 30
        while sum(node["up"] for node in cluster.get("/api/v1/nodes")["nodes"]) < 3:
            if time.monotonic() > deadline:
                raise SystemExit("the agents did not join")
            time.sleep(0.01)
        took = sorted(measure(cluster, SCRIPT))
        floor = []
        for _ in range(200):
            begin = time.monotonic()
            cluster.get("/healthz")
            floor.append(time.monotonic() - begin)
        middle, late = median_ms(took), took[len(took) * 99 // 100] * 1000
        row("a closed file to another host's directory, p50", f"{middle:.0f} ms (p99 {late:.0f})",
            f"four GET /healthz {4 * median_ms(floor):.1f} ms", "1,000 ms (p99)", "met" if late < 1000 else "missed")
        burst = measure(cluster, BURST) * 1000
        row("5,000 files of 1 kB to another host's directory", f"{burst:.0f} ms", "-", "-", "-")
    finally:
        for agent in agents:
            agent.terminate()
            agent.wait(20)
        cluster.stop()
