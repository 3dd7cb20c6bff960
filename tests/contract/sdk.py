"""The genuine SDK as a client: runs user scripts with it against a cluster, and brings back what they printed."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import time

from cluster import ROOT, wait_until

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = pathlib.Path(os.environ.get("LINARITE_CONTRACT_SDK", ROOT / "build/tools/sdk-3.11-1.61")) / "bin/python"
# an interpreter without any azureml package, for the scripts of runs that need none
BARE_PYTHON = ROOT / "build/tools/test-venv/bin/python"

# What most user scripts begin with. `bare` and `genuine` are environments of interpreters that are there already.
PREAMBLE = '''
import json, os, sys, time
from azureml.core import ComputeTarget, Datastore, Environment, Experiment, Run, ScriptRunConfig, Workspace

ws = Workspace.from_config()

def result(**values):
    print("RESULT " + json.dumps(values, default=str), flush=True)

def user_managed(name, interpreter):
    environment = Environment(name)
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = interpreter
    return environment

bare = user_managed("bare", os.environ["BARE_PYTHON"])
genuine = user_managed("genuine", sys.executable)

def at_its_end(run):
    """Waits for the run's last status: wait_for_completion() is content with Finalizing, while files still come in."""
    run.wait_for_completion()
    while run.get_status() == "Finalizing":
        time.sleep(0.05)
    return run.get_status()

def log_of(run):
    run.wait_for_completion()
    return run.get_details_with_logs()["logFiles"]["azureml-logs/70_driver_log.txt"]

def config(script="train.py", environment=bare, **more):
    made = ScriptRunConfig(source_directory="project", script=script, compute_target="cpu-cluster",
                           environment=environment, **more)
    # the watch of these tests, for scripts inside runs; see client/contract_hook.py
    made.run_config.environment_variables = {"LINARITE_CONTRACT_SESSION": os.environ["LINARITE_CONTRACT_SESSION"]}
    return made
'''


class Script:
    """A user script that runs, or has ended."""

    def __init__(self, folder, number):
        self.path, self.pid, self.code = folder / f"script-{number}.py", None, None
        self.output, self.errors = folder / f"script-{number}.out", folder / f"script-{number}.err"
        self.started = time.monotonic()

    @property
    def out(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    @property
    def err(self):
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""

    def results(self):
        """All that it gave to result(), in one dictionary; the last value of a key wins."""
        found = {}
        for line in self.out.splitlines():
            if line.startswith("RESULT "):
                found.update(json.loads(line[len("RESULT ") :]))
        return found

    def wait_for_result(self, key, deadline=60):
        """The value that it gave to result() as `key`, while it may still run."""

        def given():
            if key not in self.results() and self.has_ended():
                raise AssertionError(f"the script ended without '{key}': {self.story()}")
            return key in self.results()

        wait_until(given, f"the script gives '{key}'", deadline)
        return self.results()[key]

    def story(self):
        return f"exit code {self.code}\n---- out\n{self.out[-6000:]}\n---- err\n{self.err[-6000:]}"


class WarmScript(Script):
    """One that the worker runs."""

    def begin(self, address, order):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(address))
        self.socket.sendall((json.dumps(order) + "\n").encode())
        self.answers = b""
        self.pid = self._next_answer(30)["pid"]

    def _next_answer(self, timeout):
        """The next line from the worker; None if it did not come in time."""
        self.socket.settimeout(max(timeout, 0.0001))
        while b"\n" not in self.answers:
            try:
                more = self.socket.recv(4096)
            except (TimeoutError, BlockingIOError):
                return None
            assert more, "the worker closed the connection"
            self.answers += more
        line, _, self.answers = self.answers.partition(b"\n")
        return json.loads(line)

    def has_ended(self, timeout=0):
        if self.code is None:
            answer = self._next_answer(timeout)
            self.code = answer and answer["code"]
        return self.code is not None

    def end(self):
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            self.has_ended(10)
        self.socket.close()


class ColdScript(Script):
    """One that `linarite run python script` runs, as a user types it."""

    def begin(self, command, folder, variables):
        with open(self.output, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(
                command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        self.pid = self.process.pid

    def has_ended(self, timeout=0):
        try:
            self.code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self):
        if not self.has_ended():
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait(10)


class Worker:
    """The process that has the SDK imported, started by `linarite run` as every client is."""

    def __init__(self, cluster):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="linarite-sdk-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        self.address = self.folder / "worker"
        self.log = self.folder / "worker.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [cluster.binary, "run", PYTHON, HERE / "client/worker.py", self.address],
                cwd=self.folder,
                env=client_variables(cluster, self.home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self):
        def ready():
            code = self.process.poll()
            assert code is None, f"the worker ended with {code}:\n{self.log.read_text()}"
            return self.address.exists()

        wait_until(ready, "the worker has imported the SDK", 120)
        return self

    def fresh_home(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def client_variables(cluster, home):
    """The environment of a user's shell: nothing of Azure's in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AZURE", "ARM_", "MSI_", "LINARITE_", "PYTEST_"))}
    for name in ("PYTHONPATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return kept | {
        "HOME": str(home),
        "LINARITE_DATA_DIR": str(cluster.data),
        "BARE_PYTHON": str(BARE_PYTHON),
        "LINARITE_CONTRACT_SESSION": os.environ["LINARITE_CONTRACT_SESSION"],
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
    }


class Sdk:
    """A user at the keyboard, in a folder with .azureml/config.json and, below project/, the source tree of a run."""

    def __init__(self, cluster, worker, folder):
        self.cluster, self.worker, self.folder = cluster, worker, folder
        self.user = folder / "user"
        (self.user / "project").mkdir(parents=True)
        cluster.cli("init", self.user)
        self.scripts = []

    def project(self, text="print('hello')", name="train.py", **more):
        """Writes project/train.py (and more files, by name without ending: contents of name.py)."""
        for module, contents in {pathlib.Path(name).stem: text, **more}.items():
            (self.user / f"project/{module}.py").write_text(textwrap.dedent(contents))
        return self

    def _new(self, kind, text, preamble):
        script = kind(self.folder, len(self.scripts))
        script.path.write_text((PREAMBLE if preamble else "") + textwrap.dedent(text))
        self.scripts.append(script)
        return script

    def start(self, text, *arguments, preamble=True, variables=None):
        """Begins a user script in the worker; it runs while the test goes on."""
        script = self._new(WarmScript, text, preamble)
        order = {
            "script": str(script.path),
            "arguments": [str(argument) for argument in arguments],
            "folder": str(self.user),
            "output": str(script.output),
            "errors": str(script.errors),
            "variables": variables or {},
        }
        script.begin(self.worker.address, order)
        return script

    def start_cold(self, text, *arguments, preamble=False, variables=None):
        """The same with a process of its own: `linarite run python script arguments...`"""
        script = self._new(ColdScript, text, preamble)
        home = self.folder / f"home-{len(self.scripts)}"
        home.mkdir()
        # entering a mount namespace leads to its root
        inside = [*self.cluster.prefix, "env", "-C", self.user] if self.cluster.prefix else []
        command = [*inside, self.cluster.binary, "run", PYTHON, script.path, *map(str, arguments)]
        script.begin(command, self.user, client_variables(self.cluster, home) | (variables or {}))
        return script

    def finish(self, script, code=0, timeout=90):
        """Waits for the end of a script; fails if its exit code is not `code`."""
        if not script.has_ended(timeout):
            script.end()
            raise AssertionError(f"the script did not end within {timeout} s: {script.story()}")
        script.took = time.monotonic() - script.started
        assert code is None or script.code == code, script.story()
        return script

    def let_it_end_when_streamed(self, script, go, timeout=90):
        """For a run that waits for the file `go`: it comes when the client shows the log, so that it sees the run alive."""
        shown = lambda: "Streaming azureml-logs/70_driver_log" in script.out or script.has_ended()  # noqa: E731
        wait_until(shown, "the client streams the driver log", timeout)
        go.write_text("")
        return self.finish(script, timeout=timeout)

    def run(self, text, *arguments, code=0, timeout=90, **more):
        """A whole user script."""
        return self.finish(self.start(text, *arguments, **more), code, timeout)

    def results(self, text, *arguments, **more):
        """What a user script gave to result()."""
        return self.run(text, *arguments, **more).results()

    def end(self):
        for script in self.scripts:
            script.end()
