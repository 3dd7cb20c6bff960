"""A whole cluster as processes, for the end-to-end tests: `linarite up` and everything that it starts."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINARITE = pathlib.Path(os.environ.get("LINARITE_BIN", ROOT / "build/release/bin")) / "linarite"
UV_FOLDER = ROOT / "build/tools/bin"
TERMINAL = ("Completed", "Failed", "Canceled")


def wait_until(predicate, what, deadline=30.0, every=0.01):
    """The first true value of `predicate`, asked `every` so many seconds; fails with `what` (words, or what gives them)
    after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < end, f"not within {deadline} s: {what() if callable(what) else what}"
        time.sleep(every)


def is_alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def processes_with(text):
    """{pid: command line} of processes that have `text` in their command line, environment or working directory."""
    found = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid == os.getpid() or not is_alive(pid):
            continue
        try:
            seen = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            seen += os.readlink(folder / "cwd").encode()
        except OSError:
            continue
        if text.encode() in seen:
            found[pid] = command_line(pid)
    return found


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


def write_project(folder, script, name="train.py", **more):
    """A source tree with one script (and more files, by name without ending: contents of name.py)."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(script)
    for module, text in more.items():
        (folder / f"{module}.py").write_text(text)
    return folder


@contextlib.contextmanager
def running(cluster):
    """Starts it; at the end it must stop in order, and whatever happens nothing of it is left."""
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        cluster.destroy()


class Answer:
    """What an HTTP call came back with."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Cluster:
    """One data directory and, while it is up, the processes of `linarite up` on it."""

    def __init__(self, nodes=2, slots=1, prefix=(), flags=(), environment=None, binary=LINARITE, folder=None):
        self.nodes, self.slots, self.prefix, self.binary = nodes, slots, list(prefix), pathlib.Path(binary)
        self.flags = list(flags)  # of `up`
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="linarite-e2e-"))
        self.data = self.folder / "data"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("LINARITE_", "AZUREML_", "OMPI_"))}
        self.environment["PATH"] = f"{UV_FOLDER}:{self.environment['PATH']}"
        self.environment.update(environment or {})
        self.process = None
        self.ports = (0, 0)
        self.count = 0

    # ---- processes ----------------------------------------------------------------------------------------------

    def start(self):
        output = open(self.folder / "up.log", "ab")
        arguments = ["up", "--nodes", self.nodes, "--slots", self.slots, "--data-dir", self.data]
        arguments += ["--https-port", self.ports[0], "--http-port", self.ports[1], *self.flags]
        self.process = subprocess.Popen(
            [*self.prefix, self.binary, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )
        output.close()
        wait_until(self.is_ready, "the cluster is ready", 30)
        return self

    def up_log(self):
        return (self.folder / "up.log").read_text(errors="replace")

    def is_ready(self):
        assert self.process.poll() is None, f"'up' ended with {self.process.returncode}:\n{self.up_log()}"
        try:
            endpoint = json.loads((self.data / "endpoint.json").read_text())
        except (OSError, ValueError):
            return False
        if endpoint["pid"] != self.process.pid:
            return False
        self.endpoint = endpoint
        # the next start is at the same address, as it would be for clients of a coordinator that fell over
        self.ports = tuple(urllib.parse.urlsplit(endpoint[name]).port for name in ("https_url", "http_url"))
        nodes = self.get("/api/v1/nodes").json()["nodes"]
        # others may have joined from elsewhere
        return sum(node["up"] for node in nodes if node["name"].startswith("node-")) == self.nodes

    def stop(self):
        """Ends everything in the orderly way and checks that nothing is left."""
        if self.process is not None:
            if self.process.poll() is None:
                self.cancel_all()
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(30)
            assert code == 0, f"'up' ended with {code}:\n{self.up_log()}"
            self.process = None
        wait_until(lambda: not self.survivors(), lambda: f"no process of {self.data} is left: {self.survivors()}", 15)
        assert not (self.data / "endpoint.json").exists(), "endpoint.json is there after a clean stop"

    def destroy(self):
        """After a failed test: whatever is left ends by its pid, and the files go."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        for pid in self.survivors():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process is not None:
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def survivors(self):
        return processes_with(str(self.data))

    def kill(self, then=()):
        """kill -9 of the coordinator and right after it of `then`; waits until its agents followed it."""
        agents = [pid for pid in children(self.process.pid) if " agent " in command_line(pid) + " "]
        self.process.kill()
        for pid in then:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        wait_until(lambda: not any(map(is_alive, agents)), "the agents of a killed 'up' end", 15)
        self.process = None

    def wait_until_tidy(self):
        """Nothing of ended runs is left in the agents' folders."""
        left = lambda: [entry for name in ("work", "trash") for entry in self.data.glob(f"agent-*/{name}/*")]  # noqa: E731
        wait_until(lambda: not left(), lambda: f"nothing of the runs is left: {left()}")

    def agent_pid(self, name):
        """The process of a node's agent, or None."""
        for pid in children(self.process.pid):
            if name in command_line(pid).replace("=", " ").replace("/", " ").replace("agent-", "").split():
                return pid
        return None

    def cancel_all(self):
        # what has no definition is the run of a notebook, which no node has: it ends when the notebook says so
        active = [run["run_id"] for run in self.runs() if run["status"] not in TERMINAL and run["definition"]]
        for run in active:
            self.post(f"/api/v1/runs/{run}/cancel", {})
        for run in active:
            self.wait_for_end(run)

    # ---- HTTP ---------------------------------------------------------------------------------------------------

    def token(self):
        return (self.data / "token").read_text().strip()

    def request(self, method, path, body=None, token=None, url=None, headers=None, context=None):
        """One call. `token` None is the admin's, "" is none at all. Error statuses are answers, not exceptions."""
        request = urllib.request.Request((url or self.endpoint["http_url"]) + path, method=method, data=body)
        if token != "":
            request.add_header("Authorization", f"Bearer {token or self.token()}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        https = urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, document, **more):
        headers = {"Content-Type": "application/json"} | more.pop("headers", {})
        return self.request("POST", path, body=json.dumps(document).encode(), headers=headers, **more)

    # ---- runs ---------------------------------------------------------------------------------------------------

    def runs(self):
        return self.get("/api/v1/runs?limit=200").json()["runs"]

    def show(self, run):
        answer = self.get(f"/api/v1/runs/{run}")
        assert answer.status == 200, answer.body
        return answer.json()

    def statuses(self, run):
        return [event["status"] for event in self.get(f"/api/v1/runs/{run}/events").json()["events"]]

    def wait_for(self, run, *statuses, deadline=60):
        """Waits until the run has one of the statuses; fails at once if it ended otherwise."""

        def there():
            row = self.show(run)
            if row["status"] in statuses:
                return row
            assert row["status"] not in TERMINAL, f"wanted {statuses}, but it ended: {json.dumps(row, indent=1)}"
            return None

        return wait_until(there, lambda: f"run {run} is {' or '.join(statuses)}; now: {self.show(run)}", deadline)

    def wait_for_end(self, run, deadline=60):
        return self.wait_for(run, *TERMINAL, deadline=deadline)

    def files(self, run, prefix=""):
        """{name: row} of the run's files."""
        answer = self.get(f"/api/v1/runs/{run}/files?prefix={urllib.parse.quote(prefix)}")
        return {file["path"]: file for file in answer.json()["files"]}

    def file(self, run, name):
        answer = self.get(f"/api/v1/runs/{run}/files/{urllib.parse.quote(name)}")
        assert answer.status == 200, f"{name}: {answer.status} {answer.body[:300]!r}"
        return answer.body

    def driver_log(self, run, rank=None):
        return self.file(run, "azureml-logs/70_driver_log" + ("" if rank is None else f"_{rank}") + ".txt")

    # ---- the command line ---------------------------------------------------------------------------------------

    def spawn(self, *arguments, **more):
        """`linarite ARGUMENTS` on this cluster, as a running process with pipes."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more
        environment = self.environment | {"LINARITE_DATA_DIR": str(self.data)}
        return subprocess.Popen([*self.prefix, self.binary, *map(str, arguments)], env=environment, **more)

    def cli(self, *arguments, code=0, timeout=120):
        """`linarite ARGUMENTS`; fails if the exit code is not `code` (None: any)."""
        process = self.spawn(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            arguments = (*arguments, f"(killed: it was not done after {timeout} s)")
        out, err = out.decode(errors="replace"), err.decode(errors="replace")
        result = subprocess.CompletedProcess(arguments, process.returncode, out, err)
        shown = f"linarite {' '.join(map(str, arguments))}: exit code {result.returncode}\n{out}\n{err}"
        assert code is None or result.returncode == code, shown
        return result

    def json(self, *arguments, code=0):
        """The one JSON document that `linarite ARGUMENTS -o json` prints."""
        command, *rest = arguments
        return json.loads(self.cli(command, "-o", "json", *rest, code=code).stdout)

    def new_run_id(self):
        self.count += 1
        return f"e2e-{os.getpid()}-{self.count}"

    def submit(self, project, *script, flags=(), run=None, code=0):
        """Submits without waiting; gives the run id."""
        run = run or self.new_run_id()
        separator = ["--", *script] if script else []
        self.cli("submit", project, "--experiment", "e2e", "--run-id", run, *flags, *separator, code=code)
        return run

    def run(self, project, *script, flags=(), deadline=60):
        """Submits and waits for the end; gives the row of the run."""
        return self.wait_for_end(self.submit(project, *script, flags=flags), deadline)
