"""Where packages come from: conda channels, wheels at hand, an index with a password; and what builds that fail say."""

import base64
import functools
import http.server
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from cluster import ROOT, Cluster, running, wait_until
from test_environments import OFFLINE
from test_mounts import needs_mounts
from wheelhouse import make_index, write_source_package, write_wheel

BUILD_LOG = "azureml-logs/20_image_build_log.txt"
PASSWORD = "s3cret-of-anna"


@pytest.fixture(scope="module")
def channels(tmp_path_factory):
    """A folder of channels, of which conda-forge is one of files."""
    folder = tmp_path_factory.mktemp("channels")
    command = [ROOT / "tests/support/make_conda_channel", folder / "conda-forge", "--python", "/usr/bin/python3"]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def conda_cluster(channels, tmp_path_factory):
    """Two nodes that find a micromamba on their PATH: its solver and installer are real, its command line is ours."""
    bin_folder = tmp_path_factory.mktemp("bin")
    tool = bin_folder / "micromamba"
    tool.write_text(f"#!/bin/sh\nexec {sys.executable} {ROOT}/tests/support/conda_front \"$@\"\n")
    tool.chmod(0o755)
    cluster = Cluster(nodes=2, environment={"CONDA_CHANNEL_ALIAS": channels.as_uri()})
    cluster.environment["PATH"] = f"{bin_folder}:{cluster.environment['PATH']}"
    with running(cluster):
        yield cluster


def build_log(cluster, run):
    return cluster.file(run["run_id"], BUILD_LOG).decode()


def test_conda_packages_come_from_their_channel(conda_cluster, project):
    folder = project("import lin_greet, sys; print(lin_greet.greeting, sys.version_info[:2])")

    run = conda_cluster.run(folder, "train.py", flags=["--conda", "lin-greet"], deadline=120)

    assert run["status"] == "Completed", run
    assert b"greetings, 1.1" in conda_cluster.driver_log(run["run_id"])
    log = build_log(conda_cluster, run)
    assert log.startswith("environment: conda (micromamba): packages of conda are asked for"), log
    assert " + lin-hello 1.1 py_0" in log
    lock = conda_cluster.file(run["run_id"], "azureml-logs/environment_lock.txt").decode()
    assert "lin-greet 1.0 py_0 sha256:" in lock


def test_a_run_of_mpi_in_a_conda_environment(conda_cluster, project):
    folder = project("import lin_greet, os; print('rank', os.environ['OMPI_COMM_WORLD_RANK'], lin_greet.greeting)")
    flags = ["--conda", "lin-greet", "--nodes", "2", "--backend", "mpi"]

    run = conda_cluster.run(folder, "train.py", flags=flags, deadline=120)

    assert run["status"] == "Completed", run
    logs = b"".join(conda_cluster.file(run["run_id"], name) for name in conda_cluster.files(run["run_id"]) if "70_" in name)
    assert b"rank 0 greetings, 1.1" in logs and b"rank 1 greetings, 1.1" in logs


def test_what_no_conda_packages_satisfy_fails_in_the_solvers_words(conda_cluster, project):
    run = conda_cluster.run(project("print()"), "train.py", flags=["--conda", "lin-clash"], deadline=60)

    assert run["status"] == "Failed"
    assert "no conda packages satisfy what the run asks for" in run["outcome"]["message"], run
    assert "lin-hello >=2, which cannot be installed" in run["outcome"]["message"]
    assert "lin-hello >=2" in build_log(conda_cluster, run)


# As scripts do that install what they miss, and as one does that thinks it is alone. Arguments: a module that is there,
# and what installs another one.
CHANGES_ITS_ENVIRONMENT = """
import importlib, os, subprocess, sys
base = importlib.import_module(sys.argv[1])
try:
    import lin_extra
    print("it was there")
except ImportError:
    print("it was not there")
print("touched" if hasattr(base, "touched") else "untouched")
os.chmod(base.__file__, 0o644)
open(base.__file__, "a").write("touched = True\\n")
subprocess.run([*sys.argv[2:], "lin-extra"], check=True)
check = f"import {sys.argv[1]}, lin_extra; print('with both:', {sys.argv[1]}.touched)"
subprocess.run([sys.executable, "-c", check], check=True)
"""


def check_changes_are_its_own(cluster, run):
    said = cluster.driver_log(run["run_id"]).decode()
    assert run["status"] == "Completed", (run, said)
    assert "it was not there" in said and "untouched" in said and "with both: True" in said, said


def check_that_changes_are_a_runs_own(cluster, folder, wheels):
    """Of a cluster that finds its packages in `wheels`, which its runs may read."""
    write_wheel(wheels, "lin-extra", "1.0", "lin_extra")
    write_wheel(wheels, "lin-base", "1.0", "lin_base")
    install = ["uv", "pip", "install", "--offline", "--no-index", "--find-links", wheels]
    # the third has another environment, of the same files
    for wanted in ("lin-base", "lin-base", "lin-base>=1"):
        run = cluster.run(folder, "train.py", "lin_base", *install, flags=["--pip", wanted], deadline=60)
        check_changes_are_its_own(cluster, run)


@needs_mounts
def test_what_a_run_changes_in_its_environment_is_its_own(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path])
    check_that_changes_are_a_runs_own(cluster, project(CHANGES_ITS_ENVIRONMENT), tmp_path)


def test_an_environment_is_compiled_once_it_is_built(new_cluster, project, tmp_path):
    write_wheel(tmp_path, "lin-base", "1.0", "lin_base")
    cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path])
    run = cluster.run(project("import lin_base"), "train.py", flags=["--pip", "lin-base"], deadline=60)
    assert run["status"] == "Completed", run

    wait_until(lambda: list(cluster.data.glob("envs/*/.linarite-bytecode")), "it is compiled", 60)
    assert list(cluster.data.glob("envs/*/lib/python3*/site-packages/lin_base/__pycache__/__init__.*.pyc"))


def test_wheels_at_hand_do_without_a_network(new_cluster, project, tmp_path):
    write_wheel(tmp_path, "lin-only-here", "1.2", "lin_only_here")
    folder = project("import lin_only_here; print('version', lin_only_here.__version__)")
    cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path, "--offline"], environment=OFFLINE)

    run = cluster.run(folder, "train.py", flags=["--pip", "lin_only_here"], deadline=60)
    other = cluster.run(folder, "train.py", flags=["--pip", "lin-nowhere"], deadline=60)

    assert run["status"] == "Completed", run
    assert b"version 1.2" in cluster.driver_log(run["run_id"])
    assert other["status"] == "Failed"
    assert "lin-nowhere" in other["outcome"]["message"], other


class IndexWithPassword(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        wanted = "Basic " + base64.b64encode(f"anna:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def private_index(tmp_path):
    """HOST:PORT of an index on loopback that wants a password."""
    make_index(tmp_path / "index", [("lin-secret", "2.0", "lin_secret"), ("lin-other", "1.0", "lin_other")])
    handler = functools.partial(IndexWithPassword, directory=tmp_path / "index")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def files_with(folder, word):
    found = []
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink() and word in path.read_bytes():
            found.append(str(path))
    return found


def test_an_index_with_a_password_keeps_it_to_itself(new_cluster, project, private_index):
    folder = project("import lin_secret; print('version', lin_secret.__version__)")
    index = f"http://anna:{PASSWORD}@{private_index}/"
    cluster = new_cluster(nodes=1, environment={"PIP_INDEX_URL": index})

    run = cluster.run(folder, "train.py", flags=["--pip", "lin-secret"], deadline=60)
    missing = cluster.run(folder, "train.py", flags=["--pip", "lin-nowhere"], deadline=60)
    cluster.environment["PIP_INDEX_URL"] = index.replace(PASSWORD, PASSWORD + "-wrong")
    cluster.stop()
    cluster.start()
    refused = cluster.run(folder, "train.py", flags=["--pip", "lin-other"], deadline=60)

    assert run["status"] == "Completed", run
    assert b"version 2.0" in cluster.driver_log(run["run_id"])
    for failed in (missing, refused):
        assert failed["status"] == "Failed"
        assert PASSWORD not in str(failed)
    assert "401" in refused["outcome"]["message"] or "redential" in refused["outcome"]["message"], refused
    cluster.stop()
    assert not files_with(cluster.data, PASSWORD.encode())


def test_a_package_whose_install_script_fails_is_named_with_its_words(new_cluster, project, tmp_path):
    write_source_package(tmp_path, "lin-bad", "1.0", "raise SystemExit('lin-bad wants a compiler from 1987')")
    cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path])

    run = cluster.run(project("print()"), "train.py", flags=["--pip", "lin-bad"], deadline=60)

    assert run["status"] == "Failed"
    assert "lin-bad" in run["outcome"]["message"] and "a compiler from 1987" in run["outcome"]["message"], run
    assert "a compiler from 1987" in build_log(cluster, run)


def test_a_build_has_a_deadline(new_cluster, project, tmp_path):
    write_source_package(tmp_path, "lin-endless", "1.0", "import time\nwhile True:\n    time.sleep(3600)")
    cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path, "--env-build-limit", "3"])

    run = cluster.run(project("print()"), "train.py", flags=["--pip", "lin-endless"], deadline=60)

    assert run["status"] == "Failed"
    assert "longer than 3 s" in run["outcome"]["message"] and "--env-build-limit" in run["outcome"]["message"], run
    # a build that is over leaves nothing running, and nothing that could be taken for an environment
    assert not [path for path in cluster.data.glob("envs/*") if path.is_dir() and not path.name.startswith(".")]


def test_no_network_is_named_as_no_network(new_cluster, project):
    cluster = new_cluster(nodes=1, environment=OFFLINE | {"UV_HTTP_RETRIES": "0"})

    run = cluster.run(project("print()"), "train.py", flags=["--pip", "six"], deadline=60)

    assert run["status"] == "Failed"
    assert "the package index can't be reached" in run["outcome"]["message"], run


def test_a_home_that_cannot_be_written_to_is_no_obstacle(new_cluster, project, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", home], check=True)
    else:
        home.chmod(0o555)
    try:
        write_wheel(tmp_path, "lin-base", "1.0", "lin_base")
        cluster = new_cluster(nodes=1, flags=["--find-links", tmp_path, "--offline"], environment={"HOME": str(home)})
        run = cluster.run(project("import lin_base"), "train.py", flags=["--pip", "lin-base"], deadline=60)
        assert run["status"] == "Completed", run
        cluster.stop()
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", home], check=True)
