"""Everything works without root: the same cluster as the user nobody."""

import contextlib
import os
import pwd
import shutil
import tempfile

import pytest

from cluster import LINARITE, UV_FOLDER, Cluster, running
from test_mounts import needs_mounts, reference
from test_packages import CHANGES_ITS_ENVIRONMENT, check_that_changes_are_a_runs_own


@contextlib.contextmanager
def become_nobody():
    """(who that is, options for a Cluster of theirs)."""
    if os.getuid() != 0:
        pytest.skip("the tests do not run as root, so all the others show this already")
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here to become another user with")
    user = pwd.getpwnam("nobody")
    folder = tempfile.mkdtemp(prefix="linarite-e2e-nobody-")
    for program in (LINARITE, LINARITE.with_name("linarite-shim"), UV_FOLDER / "uv"):
        shutil.copy(program, folder)
    os.chown(folder, user.pw_uid, user.pw_gid)
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
    environment = {"HOME": folder, "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/tmp"}
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


def test_mpi_over_nodes_is_the_same_for_a_user_whose_shell_is_sh(project, tmp_path):
    with become_nobody() as (user, options):
        with open("/etc/passwd") as passwd:
            others = [line for line in passwd if not line.startswith(f"{user.pw_name}:")]
        (tmp_path / "passwd").write_text("".join([f"{user.pw_name}:x:{user.pw_uid}:{user.pw_gid}::/:/bin/sh\n", *others]))
        readable(tmp_path)
        own_passwd = ["unshare", "--mount", "sh", "-ec", 'mount --bind "$0" /etc/passwd; exec "$@"', tmp_path / "passwd"]
        cluster = Cluster(nodes=2, **options | {"prefix": [*own_passwd, *options["prefix"]]})
        with running(cluster):
            script = "import os, pwd; print('shell', pwd.getpwuid(os.getuid()).pw_shell)"
            run = cluster.run(readable(project(script)), "train.py", flags=["--nodes", "2", "--backend", "mpi"])

            assert run["status"] == "Completed", run
            assert b"shell /bin/sh" in cluster.driver_log(run["run_id"], 1)


WRITES_DATA = """
import os, pathlib, sys
print('sudo', 'would work' if 0 in (int(line.split()[0]) for line in open('/proc/self/uid_map')) else 'would not')
five = pathlib.Path(sys.argv[1], 'five')
print('five is', five.read_text(), 'of', os.stat(five).st_uid == os.getuid())
try:
    five.write_text('6')
    print('written')
except OSError as error:
    print('refused:', error.strerror)
"""


@needs_mounts
def test_what_a_run_of_no_root_changes_in_its_environment_is_its_own(project, tmp_path):
    with become_nobody() as (_, options):
        wheels = readable(tmp_path)
        with running(Cluster(nodes=1, flags=["--find-links", wheels], **options)) as cluster:
            check_that_changes_are_a_runs_own(cluster, readable(project(CHANGES_ITS_ENVIRONMENT)), wheels)
            cluster.wait_until_tidy()


@needs_mounts
def test_mounted_data_of_no_root_is_read_only(cluster_of_nobody, project, job_file, tmp_path):
    (readable(tmp_path) / "five").write_text("5")
    cluster_of_nobody.cli("datastore", "upload", "workspaceblobstore", tmp_path / "five", "--to", "numbers/")
    job = job_file(arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences=reference("numbers"))

    run = cluster_of_nobody.run(readable(project(WRITES_DATA)), flags=["--job", job])

    log = cluster_of_nobody.driver_log(run["run_id"]).decode()
    assert run["status"] == "Completed", (run, log)
    assert "sudo would not" in log and "five is 5 of True" in log and "refused: Read-only file system" in log


def test_user_namespaces_can_be_left_out(project, job_file, tmp_path):
    (readable(tmp_path) / "five").write_text("5")
    job = job_file(arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences=reference("numbers"))
    with become_nobody() as (_, options):
        with running(Cluster(nodes=1, flags=["--user-namespaces", "off"], **options)) as cluster:
            cluster.cli("datastore", "upload", "workspaceblobstore", tmp_path / "five", "--to", "numbers/")

            run = cluster.run(readable(project(WRITES_DATA)), flags=["--job", job])

            log = cluster.driver_log(run["run_id"]).decode()
            assert run["status"] == "Completed", (run, log)
            assert "sudo would work" in log and "five is 5 of True" in log and "written" in log
