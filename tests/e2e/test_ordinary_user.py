"""Everything works without root: the same cluster as the user nobody."""

import contextlib
import os
import pwd
import shutil
import tempfile

import pytest

from cluster import LINARITE, Cluster, running


@contextlib.contextmanager
def become_nobody():
    """(who that is, options for a Cluster of theirs)."""
    if os.getuid() != 0:
        pytest.skip("the tests do not run as root, so all the others show this already")
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here to become another user with")
    user = pwd.getpwnam("nobody")
    folder = tempfile.mkdtemp(prefix="linarite-e2e-nobody-")
    for program in (LINARITE, LINARITE.with_name("linarite-shim")):
        shutil.copy(program, folder)
    os.chown(folder, user.pw_uid, user.pw_gid)
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
    environment = {"HOME": folder, "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/tmp"}
    try:
        yield user, {"prefix": become, "environment": environment, "binary": f"{folder}/linarite", "folder": folder}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster_of_nobody():
    with become_nobody() as (_, options):
        cluster = Cluster(nodes=2, **options)
        with running(cluster):
            yield cluster


def readable(folder):
    """Lets nobody into a folder of pytest's."""
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == 0 and str(parent).startswith(tempfile.gettempdir() + os.sep):
            parent.chmod(parent.stat().st_mode | 0o055)
    return folder


def test_single_and_mpi_runs_and_a_cancel_without_root(cluster_of_nobody, project):
    cluster = cluster_of_nobody
    folder = readable(project("import os; print('uid', os.getuid()); open('outputs/x', 'w').write('x')"))

    single = cluster.run(folder, "train.py")
    gang = cluster.run(folder, "train.py", flags=["--nodes", "2", "--processes-per-node", "2", "--backend", "mpi"])
    sleeper = cluster.submit(readable(project("import time; time.sleep(3600)")), "train.py")
    cluster.wait_for(sleeper, "Running")
    cluster.cli("cancel", sleeper)

    assert single["status"] == "Completed", single
    assert f"uid {pwd.getpwnam('nobody').pw_uid}".encode() in cluster.driver_log(single["run_id"])
    assert cluster.file(single["run_id"], "outputs/x") == b"x"
    assert gang["status"] == "Completed", gang
    assert cluster.wait_for_end(sleeper)["status"] == "Canceled"
