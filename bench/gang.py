"""MPI programs over hosts that are network namespaces, and many ranks on one host, against bare mpirun."""

import datetime
import json
import os
import pathlib
import select
import statistics
import subprocess
import sys
import tempfile
import time

from harness import LINARITE, ROOT, Cluster, median_ms, project, row, say

sys.path.append(str(ROOT / "tests/e2e"))

HOSTS, RANKS = 4, 8
ROUNDS = 9
CANCELS = 60
MANY = 64
# Every rank tells when it came to main and when all were there, in ns of the wall clock; then works on if it is told so.
PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>
#include <time.h>
static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}
int main(int count, char** words) {
    const long long begun = now();
    MPI_Init(&count, &words);
    MPI_Barrier(MPI_COMM_WORLD);
    printf("main %lld init %lld\n", begun, now());
    fflush(stdout);
    while (count > 1) {
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, 0);
    }
    MPI_Finalize();
    return 0;
}
"""


def built():
    folder = project(PROGRAM, ".c")
    subprocess.run(["mpicc", "-O2", "-o", str(folder / "main"), str(folder / "main.c")], check=True)
    return folder


def job(folder, nodes, ranks, *words):
    """A run configuration of the program."""
    file = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-job-")) / "job.runconfig"
    file.write_text(json.dumps({"command": ["./main", *words], "target": "cpu-cluster", "communicator": "Mpi",
                                "nodeCount": nodes, "mpi": {"processCountPerNode": ranks}}))
    return [str(folder), "--job", str(file), "--experiment", "bench"]


def stamps(text):
    """(first main, last init) in seconds since 1970, of the lines of all ranks."""
    words = [line.split() for line in text.splitlines() if line.startswith("main ")]
    return min(int(each[1]) for each in words) / 1e9, max(int(each[3]) for each in words) / 1e9


def bare(folder, ranks):
    """(until the first main, until the last init), s, of mpirun on this machine."""
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), "./main"]
    begin = time.time()
    out = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    first, last = stamps(out.stdout)
    return first - begin, last - begin


def ended_after(pids, begin):
    """Seconds from `begin` until none of these processes is left."""
    handles = []
    for pid in pids:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            pass
    waiting = set(handles)
    while waiting:
        ready, _, _ = select.select(waiting, [], [], 60)
        if not ready:
            raise SystemExit("a canceled run does not end")
        waiting.difference_update(ready)
    took = time.monotonic() - begin
    for handle in handles:
        os.close(handle)
    return took


def measure_start(cluster, folder):
    ours, floor = [], []
    order = job(folder, HOSTS, RANKS // HOSTS)
    for number in range(ROUNDS + 1):
        run = json.loads(cluster.cli("submit", *order, "--wait", "-o", "json").stdout)["run_id"]
        events = cluster.get(f"/api/v1/runs/{run}/events").json()["events"]
        ready = next(event["at"] for event in events if event["status"] == "Running")
        text = "\n".join(cluster.driver_log(run, rank).decode() for rank in range(RANKS))
        if number > 0:  # the first one fills caches
            ours.append(stamps(text)[0] - datetime.datetime.fromisoformat(ready).timestamp())
            floor.append(bare(folder, RANKS)[0])
    ours, floor = median_ms(ours), median_ms(floor)
    row(f"all of {HOSTS} hosts ready to the first rank's `main`, {RANKS} ranks, p50", f"{ours:.0f} ms",
        f"bare local `mpirun -np {RANKS}` {floor:.0f} ms", f"bare + 300 = {floor + 300:.0f} ms",
        "met" if ours < floor + 300 else "missed")


def measure_cancel(cluster, folder):
    from cluster import wait_until  # of tests/e2e
    from gang_kills import Parts

    order = job(folder, HOSTS, RANKS // HOSTS, "on")
    took = []
    for _ in range(CANCELS):
        run = json.loads(cluster.cli("submit", *order, "-o", "json").stdout)["run_id"]
        wait_until(lambda: f"azureml-logs/70_driver_log_{RANKS - 1}.txt" in cluster.files(run), "the last rank's log")
        pids = [pid for host in cluster.hosts for pid, line in host.space.pids().items()
                if "./main" in line or any(p.match(line) for p in Parts.PATTERNS.values())]  # fmt: skip
        begin = time.monotonic()
        cluster.post(f"/api/v1/runs/{run}/cancel", {})
        took.append(ended_after(pids, begin))
        status = cluster.wait_for_end(run)["status"]
        if status != "Canceled":
            raise SystemExit(f"a canceled run ended as {status}")
    took.sort()
    late = took[-(-len(took) * 99 // 100) - 1] * 1000
    row(f"cancel to the end of all processes on {HOSTS} hosts, p99 of {CANCELS}", f"{late:.0f} ms (p50 {median_ms(took):.0f})",
        "-", "2,000 ms", "met" if late < 2000 else "missed")


def bench_hosts():
    """Both are of `hosts` as the end-to-end tests make them."""
    from hosts import HostCluster, missing

    if why := missing():
        say(f"  skipped: {why}")
        return
    folder = built()
    cluster = HostCluster(HOSTS, slots=1, prefix="bm", flags=["--log-level", "warn"])
    try:
        cluster.start()
        measure_start(cluster, folder)
        measure_cancel(cluster, folder)
        cluster.stop()
    finally:
        cluster.destroy()


def bench_ranks():
    folder = built()
    cluster = Cluster(nodes=1)
    cluster.start()
    order = job(folder, 1, MANY)
    ours, floor = [], []
    for number in range(6):
        begin = time.time()
        run = json.loads(cluster.cli("submit", *order, "--wait", "-o", "json").stdout)["run_id"]
        logs = [cluster.cli("logs", run, "--rank", str(rank)).stdout for rank in range(MANY)]
        if number > 0:
            ours.append(stamps("\n".join(logs))[1] - begin)
            floor.append(bare(folder, MANY)[1])
    cluster.stop()
    ratio = statistics.median(ours) / statistics.median(floor)
    row(f"submit to the return of all `MPI_Init`, {MANY} ranks on one node, p50", f"{median_ms(ours):.0f} ms",
        f"bare `mpirun -np {MANY}` {median_ms(floor):.0f} ms ({ratio:.2f} x)", "1.3 x", "met" if ratio < 1.3 else "missed")
