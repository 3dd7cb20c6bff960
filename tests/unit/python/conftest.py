"""Fixtures: a fake service, a run of it in this process, scripts in processes of their own."""

import os
import pathlib
import subprocess
import sys
import uuid

import pytest

from fake_service import FakeService

DROPIN = pathlib.Path(__file__).resolve().parents[3] / "python" / "dropin"
sys.path.insert(0, str(DROPIN))


@pytest.fixture
def service():
    """The service. A client that does anything wrong fails the test."""
    fake = FakeService()
    fake.add_run("run-1")
    yield fake
    fake.gate.set()
    fake.stop()
    assert fake.faults == []


@pytest.fixture
def run(service, monkeypatch):
    """The run that this process belongs to."""
    from azureml.core import Run

    run_id = "run_{}".format(uuid.uuid4().hex[:8])
    service.add_run(run_id)
    for name, value in service.environment(run_id).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LINARITE_PATIENCE_SECONDS", "20")
    yield Run.get_context(allow_offline=False)


class Scripts:
    """Starts scripts as a node does."""

    def __init__(self, folder):
        self._folder = folder
        self._started = []

    def start(self, code, service=None, python=sys.executable, path=(), env=()):
        """A process that runs `code`. It is part of run-1 if there is a service."""
        file = self._folder / "script_{}.py".format(len(self._started))
        file.write_text(code)
        foreign = ("AZUREML_", "LINARITE_CA", "PYTHON", "REQUESTS_CA_BUNDLE", "SSL_CERT")
        variables = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        variables.update(service.environment("run-1") if service else {})
        variables["PYTHONPATH"] = os.pathsep.join([str(DROPIN)] + [str(entry) for entry in path])
        variables.update(env)
        process = subprocess.Popen(
            [str(python), "-W", "error", str(file)],
            env=variables,
            cwd=str(self._folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self._started.append(process)
        return process

    def run(self, code, service=None, stderr="", **kwargs):
        """Runs `code` to its end and gives what it printed. It must exit 0 and say nothing but `stderr`."""
        return self.finish(self.start(code, service, **kwargs), stderr)

    @staticmethod
    def finish(process, stderr=""):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert (stderr in err) if stderr else err == "", err
        return out

    def end(self):
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def scripts(tmp_path):
    started = Scripts(tmp_path)
    yield started
    started.end()
