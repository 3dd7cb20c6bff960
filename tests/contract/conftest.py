"""Fixtures of the contract tests: one cluster, and the genuine SDK as its client. See sdk.py and client/."""

import json
import os
import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))  # the cluster of processes is the one of the end-to-end tests

from cluster import LINARITE, Cluster, running  # noqa: E402
from sdk import PYTHON, Sdk, Worker  # noqa: E402
from wheelhouse import make_index  # noqa: E402

PAIR = PYTHON.parents[1].name.removeprefix("sdk-")
# one folder for each process of pytest-xdist
RECORD = ROOT / "build/test-results/contract" / PAIR / os.environ.get("PYTEST_XDIST_WORKER", "alone")
SESSION = RECORD / "session.json"


def tell_clients(test):
    """Tells the processes of the SDK's interpreter where to write to, and which test runs. Never half a file."""
    draft = SESSION.with_suffix(".new")
    draft.write_text(json.dumps({"folder": str(RECORD), "test": test}))
    draft.rename(SESSION)


def pytest_configure(config):
    for needed, remedy in ((LINARITE, "build it first (tests/run contract does)"), (PYTHON, "run tests/contract/install")):
        if not needed.exists():
            pytest.exit(f"{needed} is not there: {remedy}", returncode=3)
    if not hasattr(config, "workerinput"):  # not for each process of xdist
        shutil.rmtree(RECORD.parent, ignore_errors=True)
    RECORD.mkdir(parents=True, exist_ok=True)
    config.outcomes = {}
    config.addinivalue_line("markers", "differs(method, how): what works, but not as with the service; for the matrix")
    config.addinivalue_line("markers", "expects_a_refused_connection: tries to leave this machine, on purpose")
    os.environ["LINARITE_CONTRACT_SESSION"] = str(SESSION)
    tell_clients(None)


def pytest_runtest_setup(item):
    tell_clients(item.nodeid.rpartition("/")[2])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    name = item.nodeid.rpartition("/")[2]
    row = item.config.outcomes.setdefault(name, {"outcome": "passed", "differs": []})
    if report.outcome != "passed":
        row["outcome"] = report.outcome
    row["differs"] = [list(marker.args) for marker in item.iter_markers("differs")]


def pytest_unconfigure(config):
    if getattr(config, "outcomes", None):
        (RECORD / "outcomes.json").write_text(json.dumps(config.outcomes, indent=1))


def audit_lines():
    try:
        return (RECORD / "audit.jsonl").read_text().splitlines()
    except OSError:
        return []


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine(request):
    """Fails a test in which a process of the SDK's interpreter wanted to talk to another machine."""
    before = len(audit_lines())
    yield
    if not request.node.get_closest_marker("expects_a_refused_connection"):
        assert audit_lines()[before:] == []


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes with two slots each, for all tests. Packages come from an index on disk."""
    index = make_index(tmp_path_factory.mktemp("index"))
    home = tmp_path_factory.mktemp("home")
    variables = {"UV_DEFAULT_INDEX": index, "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": str(home)}
    made = Cluster(nodes=2, slots=2, environment=variables)
    with running(made):
        yield made


@pytest.fixture(scope="session")
def worker(cluster):
    made = Worker(cluster)
    try:
        yield made.wait()
    finally:
        made.stop()


@pytest.fixture
def sdk(cluster, worker, tmp_path):
    """A user with a fresh home directory."""
    worker.fresh_home()
    user = Sdk(cluster, worker, tmp_path)
    yield user
    user.end()
    cluster.cancel_all()
