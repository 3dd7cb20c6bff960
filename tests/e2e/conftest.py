"""Fixtures of the end-to-end tests. All traffic stays on loopback; processes are ended by their pid."""

import json
import socket
import threading

import pytest

from cluster import LINARITE, Cluster, running, write_project


def pytest_configure(config):
    if not LINARITE.exists():
        pytest.exit(f"{LINARITE} is not there: build it first (tests/run e2e does)", returncode=3)


@pytest.fixture(scope="session")
def shared_cluster():
    """Two nodes with one slot each, for all tests that need nothing special. Nothing of it may be left at the end."""
    cluster = Cluster(nodes=2)
    with running(cluster):
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    """The shared cluster, idle again after the test."""
    yield shared_cluster
    shared_cluster.cancel_all()


@pytest.fixture
def new_cluster():
    """Makes clusters of a test's own: new_cluster(nodes=1). Stopped at the end, with the check that nothing is left."""
    made = []

    def make(**options):
        made.append(Cluster(**options))
        return made[-1].start()

    try:
        yield make
        for cluster in made:
            cluster.stop()
    finally:
        for cluster in made:
            cluster.destroy()


@pytest.fixture
def project(tmp_path):
    """project("script text") writes a source tree and gives its folder."""
    return lambda script, name="train.py", **more: write_project(tmp_path / "project", script, name, **more)


@pytest.fixture
def job_file(tmp_path):
    """job_file(script="train.py", ...) writes a run configuration (JSON is YAML) and gives its path."""

    def write(**configuration):
        path = tmp_path / "job.runconfig"
        path.write_text(json.dumps({"script": "train.py", "target": "cpu-cluster"} | configuration))
        return path

    return write


class HangingIndex:
    """An HTTP server on loopback that takes requests and never answers them."""

    def __init__(self):
        self.asked = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.connections.append(self.socket.accept()[0])
            except OSError:
                return
            self.asked.set()

    def wait_for_a_request(self):
        assert self.asked.wait(30), "nothing was asked for"

    def close(self):
        self.socket.close()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def hanging_index():
    server = HangingIndex()
    yield server
    server.close()
