"""The part `sdk` of bench/run: the genuine Azure ML v1 SDK as the client, and our drop-in module inside a run."""

import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from harness import LINARITE, ROOT, Cluster, cpu_ms, note, project, row, say

PYTHON = ROOT / "build/tools/sdk-3.11-1.61/bin/python"  # tests/contract/install puts it there

# What the scripts below begin with: answers go through `tell`, one JSON document a line; orders come by stdin.
PREAMBLE = f"""
import json, os, sys, time, warnings
warnings.simplefilter("ignore")
from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

def tell(**values):
    print(json.dumps(values), file=answers, flush=True)

environment = Environment("bench")
environment.python.user_managed_dependencies = True
environment.python.interpreter_path = {sys.executable!r}

def submit(**more):
    return experiment.submit(ScriptRunConfig(source_directory=sys.argv[1], script="main.py", environment=environment,
                                             compute_target="cpu-cluster", **more))

experiment = Experiment(Workspace.from_config(), "bench")
"""

SUBMITS = """
submit()
tell(ready=True)
for order in sys.stdin:
    begin = time.monotonic()
    submit()
    tell(ms=(time.monotonic() - begin) * 1000)
"""

FOLLOWS = """
run = submit(arguments=[sys.argv[2], sys.argv[3]])
tell(run=run.id)
sys.stdin.readline()
run.wait_for_completion(show_output=True)
tell(status=run.get_status())
"""

PRINTS = """
import os, sys, time
line = "x" * 99 + "\\n"
for _ in range(int(sys.argv[1]) // len(line) // 1000):
    sys.stdout.write(line * 1000)
sys.stdout.flush()
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
"""

LOGS = """
import json, os, sys, time
from azureml.core import Run
rank, count, folder = os.environ["OMPI_COMM_WORLD_RANK"], int(sys.argv[1]), sys.argv[2]
run = Run.get_context()
open(os.path.join(folder, "ready-" + rank), "w").close()
while not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.005)
begin = time.time()
for n in range(count):
    run.log("rank " + rank, n)
last = time.time()
run.flush()
with open(os.path.join(folder, "new-" + rank), "w") as file:
    json.dump({"begin": begin, "last": last, "flushed": time.time()}, file)
os.rename(os.path.join(folder, "new-" + rank), os.path.join(folder, "times-" + rank))
while not os.path.exists(os.path.join(folder, "end")):
    time.sleep(0.02)
"""


def wait(predicate, what, seconds=120, pause=0.02):
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Client:
    """A user script with the genuine SDK, as `linarite run python script` runs it."""

    def __init__(self, cluster, text, *arguments):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-sdk-"))
        (self.folder / "script.py").write_text(PREAMBLE + text)
        cluster.cli("init", str(self.folder))
        kept = {k: v for k, v in cluster.env.items() if not k.startswith(("AZURE", "ARM_", "MSI_"))}
        self.errors = open(self.folder / "errors", "w+b")
        self.process = subprocess.Popen(
            [LINARITE, "run", str(PYTHON), "script.py", *map(str, arguments)], cwd=self.folder, text=True,
            env=kept | {"HOME": str(self.folder)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the client ended: " + (self.folder / "errors").read_text()[-3000:])
        return json.loads(line)

    def order(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def written(self):
        """Bytes that it wrote so far, to whatever place."""
        return int(re.search(r"wchar: (\d+)", pathlib.Path(f"/proc/{self.process.pid}/io").read_text()).group(1))

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.errors.close()
        if code != 0:
            raise SystemExit(f"the client ended with {code}: " + (self.folder / "errors").read_text()[-3000:])
        shutil.rmtree(self.folder)


class RequestLog:
    """What the coordinator's log at the level debug says of its requests."""

    LINE = re.compile(r"request method=(\S+) path=(\S+) status=(\d+) ms=([\d.]+) peer=")

    def __init__(self, cluster):
        self.cluster, self.marks = cluster, 0

    def read(self):
        return self.LINE.findall((self.cluster.dir / "up.log").read_text(errors="replace"))

    def mark(self):
        """How many requests there were. The line of a request comes after its answer: one of our own shows that it did."""
        self.marks += 1
        self.cluster.get(f"/healthz/{self.marks}", expected=404)
        found = []

        def seen():
            found[:] = self.read()
            return any(path == f"/healthz/{self.marks}" for _, path, _, _ in found)

        wait(seen, "the mark in the coordinator's log")
        return len(found)

    def between(self, begin, end):
        """The requests of clients between two marks; the agents' own wait for up to ten seconds on purpose."""
        return [(method, path, int(status), float(ms)) for method, path, status, ms in self.read()[begin : end - 1]
                if not path.startswith("/api/v1/agent/")]


def installed():
    if PYTHON.exists():
        return True
    say(f"  SKIPPED: {PYTHON} is not there; tests/contract/install brings the genuine SDK")
    return False


def bench_submit():
    """What Experiment.submit() of an unchanged tree costs in the coordinator."""
    name, bar = "`Experiment.submit` of an unchanged tree, inside the coordinator", "100 ms"
    if not installed():
        return row(name, "skipped", "-", bar, "the SDK is not installed")
    cluster = Cluster(nodes=1, log_level="debug")
    cluster.start()
    cluster.cli("nodes", "drain", "node-1")  # nothing runs: all requests are the client's
    client = Client(cluster, SUBMITS, project("pass\n"))
    client.answer()
    log, samples, processor = RequestLog(cluster), [], cpu_ms(cluster.process.pid)
    for _ in range(9):
        begin = log.mark()
        client.order()
        wall = client.answer()["ms"]
        samples.append((wall, log.between(begin, log.mark())))
    processor = (cpu_ms(cluster.process.pid) - processor) / len(samples)
    client.end()
    cluster.stop()
    sums = [sum(ms for _, _, _, ms in requests) for _, requests in samples]
    requests = samples[sums.index(statistics.median_low(sums))][1]
    slow = sorted(requests, key=lambda request: -request[3])[:3]
    value, wall = statistics.median(sums), statistics.median(wall for wall, _ in samples)
    row(name, f"{value:.1f} ms in {len(requests)} requests (most of 9: {max(sums):.1f} ms)",
        f"submit() as a whole {wall:.0f} ms ({value / wall:.2f} of it)", bar, "met" if value < 100 else "missed")
    note("sdk-submit", "Of a submit of an unchanged tree the coordinator's log has these requests as the longest: " + ", ".join(
        f"{method} {shortened(path)} {ms:.1f} ms" for method, path, _, ms in slow) + ". Such a time begins when the request's head is "
        f"there, so the TLS handshakes are not in it; with them the coordinator used {processor:.1f} ms of processor time for a submit. "
        "The rest of submit() is the SDK's own.")


def shortened(path):
    """A path without the names of the workspace and without ids."""
    path = re.sub(r"/subscriptions/.*?/workspaces/[^/]+", "/...", path)
    return re.sub(r"[0-9a-f]{8,}[-0-9a-z_]*|bench_\d+_\w+", "ID", path)


def beside_a_busy_process(measure):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return measure()
    finally:
        busy.kill()
        busy.wait()


def bench_follow():
    """Whether a client that follows a long log slows down others."""
    name, bar = "durable submit, p99, while `wait_for_completion` follows a log of 100 MB", "2.0 x"
    if not installed():
        return row(name, "skipped", "-", bar, "the SDK is not installed")
    size, count = 100_000_000, 3000
    cluster = Cluster(nodes=1, log_level="debug")
    cluster.start()
    body = cluster.snapshot(project("pass\n"))
    go = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-")) / "go"
    client = Client(cluster, FOLLOWS, project(PRINTS), size, go)
    run = client.answer()["run"]
    files = f"/api/v1/runs/{run}/files?prefix=azureml-logs/70_driver_log"
    wait(lambda: sum(file["size"] for file in cluster.get(files)["files"]) >= size, "a log of 100 MB")
    cluster.cli("nodes", "drain", "node-1")  # the run goes on, and no other begins
    log = RequestLog(cluster)
    cluster.load("submit", 1, 200, body)
    before = cluster.load("submit", 1, count, body)["p99_ms"]
    begin = log.mark()
    client.order()
    during = cluster.load("submit", 1, count, body)["p99_ms"]
    reads = [ms for _, path, _, ms in log.between(begin, log.mark()) if path.startswith("/azureml-artifacts/")]
    written = client.written()
    go.write_text("")
    status = client.answer()["status"]
    if status != "Completed" or not reads or written < size:
        raise SystemExit(f"the run is {status}; its log was read {len(reads)} times, and {written} bytes were printed")
    client.end()
    after = cluster.load("submit", 1, count, body)["p99_ms"]
    busy = beside_a_busy_process(lambda: cluster.load("submit", 1, count, body)["p99_ms"])
    cluster.stop()
    shutil.rmtree(go.parent)
    floor = (before + after) / 2
    row(name, f"{during:.1f} ms ({during / floor:.1f} x)", f"nobody follows {floor:.1f} ms ({before:.1f} before, {after:.1f} after)",
        bar, "met" if during <= 2 * floor else "missed")
    note("sdk-follow", f"The following client read the whole log {len(reads)} times during the {count} submits, as the SDK does at "
         f"each poll, in {statistics.median(reads):.0f} ms each (median). It ran on the same {os.cpu_count()} cores as the coordinator and the submits. For comparison: beside one process "
         f"that computes and asks the coordinator for nothing the p99 was {busy:.1f} ms ({busy / floor:.1f} x).")


def bench_metrics():
    """What all ranks of a run log with our module, until it can be read."""
    ranks, count = 8, 1000
    cluster = Cluster(nodes=1)
    cluster.start()
    times = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-"))
    run = cluster.cli("submit", str(project(LOGS)), "--experiment", "bench", "--processes-per-node", str(ranks), "--backend", "mpi",
                      "--user-managed", "--", "main.py", str(count), str(times)).stdout.split()[0]  # the agent adds the module
    wait(lambda: len(list(times.glob("ready-*"))) == ranks, "all ranks run")
    (times / "go").write_text("")

    def complete():
        listed = cluster.get(f"/api/v1/runs/{run}/metrics")["metrics"]
        return sum(metric["count"] for metric in listed) == ranks * count

    wait(complete, f"{ranks * count} values", pause=0.005)
    seen = time.time()
    wait(lambda: len(list(times.glob("times-*"))) == ranks, "all ranks flushed")
    (times / "end").write_text("")
    told = [json.loads(file.read_text()) for file in times.glob("times-*")]
    first, last = min(t["begin"] for t in told), max(t["last"] for t in told)
    for rank in range(ranks):
        points, after = [], 0
        while after is not None:
            page = cluster.get(f"/api/v1/runs/{run}/metrics/rank%20{rank}" + (f"?after={after}" if after else ""))
            points += [point["data"][f"rank {rank}"] for point in page["points"]]
            after = page["next"]
        if points != list(range(count)):
            raise SystemExit(f"rank {rank}: {len(points)} values, not 0 to {count - 1} in order")
    cluster.stop()
    shutil.rmtree(times)
    readable = (seen - last) * 1000
    row(f"{count} `run.log` in each of {ranks} ranks, readable after the last", f"{readable:.0f} ms",
        f"the calls themselves {(last - first) * 1000:.0f} ms", "1,000 ms", "met" if readable < 1000 else "missed")
