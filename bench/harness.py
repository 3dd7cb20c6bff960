"""What the parts of bench/run have in common: a cluster to measure, and the rows that they fill in."""

import atexit
import datetime
import http.client
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
LINARITE = str(BIN / "linarite")
LOAD = str(BIN / "linarite-load")
rows = []
notes = {}  # what a figure alone does not say, a paragraph for a part


def say(text):
    print(text, file=sys.stderr, flush=True)


def row(name, value, floor, bar, verdict):
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")
    rows.append((name, value, floor, bar, verdict, f"{when}, {os.getloadavg()[0]:.1f}"))
    say(f"  {name}: {value}; floor {floor}; bar {bar}; {verdict}")


def note(part, text):
    notes[part] = text


def median_ms(samples):
    return statistics.median(samples) * 1000


class Cluster:
    """A coordinator with local nodes in a directory of its own."""

    def __init__(self, nodes=1, slots=1, log_level="warn", flags=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-"))
        self.env = dict(os.environ, LINARITE_DATA_DIR=str(self.dir / "data"))
        self.log = open(self.dir / "up.log", "wb")
        self.nodes, self.slots, self.log_level, self.flags = nodes, slots, log_level, flags

    def start(self, wait_nodes=True):
        endpoint = self.dir / "data/endpoint.json"
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [LINARITE, "up", "--nodes", str(self.nodes), "--slots", str(self.slots), "--https-port", "0",
             "--http-port", "0", "--log-level", self.log_level, *self.flags],
            env=self.env, stdout=self.log, stderr=self.log)
        while not endpoint.exists():
            if self.process.poll() is not None:
                raise SystemExit("the cluster ended: " + (self.dir / "up.log").read_text())
            time.sleep(0.0005)
        atexit.register(self.stop)  # whatever becomes of the measurement
        self.url = json.loads(endpoint.read_text())["http_url"]
        self.token = (self.dir / "data/token").read_text().strip()
        self.get("/healthz")
        ready = time.monotonic() - begin
        if wait_nodes:
            deadline = time.monotonic() + 20
            while sum(n["up"] for n in self.get("/api/v1/nodes")["nodes"]) < self.nodes:
                if time.monotonic() > deadline:
                    raise SystemExit("the nodes did not come up")
                time.sleep(0.005)
        return ready

    def builds(self):
        """How many environments its agents began to build; needs log_level "info"."""
        return sum(log.read_text().count(" building=true") for log in (self.dir / "data").glob("agent-*/agent.log"))

    def agent(self):
        """The pid of the only node's agent."""
        pid = self.process.pid
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def get(self, target, expected=200):
        connection = http.client.HTTPConnection(self.url.split("//")[1], timeout=30)
        connection.request("GET", target, headers={"Authorization": "Bearer " + self.token})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        if answer.status != expected:
            raise SystemExit(f"GET {target}: {answer.status} {body}")
        return body

    def cli(self, *words, **more):
        return subprocess.run([LINARITE, *words], env=self.env, check=True, capture_output=True, text=True, **more)

    def load(self, mode, clients, count, body):
        argument = body if isinstance(body, str) else json.dumps(body)
        out = subprocess.run([LOAD, self.url, self.token, mode, str(clients), str(count), argument],
                             capture_output=True, text=True, timeout=600)
        result = json.loads(out.stdout)
        if result["failed"]:
            raise SystemExit(f"{mode}: {result['failed']} failed, the first: {result['first_failure']}")
        return result

    def snapshot(self, folder):
        """Sends the folder by way of one real submit; gives the body of further ones."""
        run = json.loads(self.cli("submit", str(folder), "--experiment", "bench", "--wait", "-o", "json", "--",
                                  "main.py").stdout)
        return {"experiment": "bench", "snapshot": run["snapshot"], "definition": run["definition"]}

    def stop(self):
        atexit.unregister(self.stop)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def project(text, suffix=".py"):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-src-"))
    (folder / ("main" + suffix)).write_text(text)
    return folder


def cpu_ms(pid):
    """Processor time of the process itself so far; children are not in it."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def first_line(command, env=None):
    """Seconds from the start of the command to its line with "hello" on stdout."""
    begin = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = process.stdout.readline()
    while line and b"hello" not in line:
        line = process.stdout.readline()
    elapsed = time.monotonic() - begin
    process.stdout.read()
    if process.wait() != 0 or not line:
        raise SystemExit(f"{command} failed")
    return elapsed
