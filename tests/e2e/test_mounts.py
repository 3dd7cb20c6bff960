"""What a run sees otherwise than the rest of the machine: its data is read-only unless it asked for more."""

import os
import subprocess

import pytest


def may_mount():
    """Whether this user may mount something for their own processes: root, or anybody in a user namespace."""
    as_whom = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    return subprocess.run(["unshare", "--mount", *as_whom, "true"], stderr=subprocess.DEVNULL).returncode == 0


needs_mounts = pytest.mark.skipif(
    not may_mount(), reason="SKIPPED: nothing can be mounted here; permissions alone protect what runs share"
)
SCRIPT = """
import sys
folder = sys.argv[1]
print("five is", open(folder + "/five").read())
try:
    open(folder + "/six", "w").write("6")
    print("written")
except OSError as error:
    print("refused:", error.strerror)
"""


@pytest.fixture
def numbers(cluster, tmp_path):
    (tmp_path / "five").write_text("5")
    cluster.cli("datastore", "upload", "workspaceblobstore", tmp_path / "five", "--to", f"{tmp_path.name}/")
    return tmp_path.name


def reference(path, **more):
    return {"d": {"dataStoreName": "workspaceblobstore", "pathOnDataStore": path, "mode": "mount"} | more}


@needs_mounts
def test_mounted_data_is_read_only(cluster, project, job_file, numbers):
    job = job_file(arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences=reference(numbers))

    run = cluster.run(project(SCRIPT), flags=["--job", job])

    assert run["status"] == "Completed", run
    log = cluster.driver_log(run["run_id"]).decode()
    assert "five is 5" in log and "refused: Read-only file system" in log
    assert not list(cluster.data.glob(f"datastores/**/{numbers}/six"))


def test_data_that_may_be_overwritten_is_the_datastores_own(cluster, project, job_file, numbers):
    job = job_file(arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences=reference(numbers, overwrite=True))

    run = cluster.run(project(SCRIPT), flags=["--job", job])

    assert run["status"] == "Completed", run
    assert "written" in cluster.driver_log(run["run_id"]).decode()
    assert [path.read_text() for path in cluster.data.glob(f"datastores/**/{numbers}/six")] == ["6"]


@needs_mounts
def test_a_single_file_is_read_only_too(cluster, project, job_file, numbers):
    script = """
import sys
print("five is", open(sys.argv[1]).read())
try:
    open(sys.argv[1], "a")
except OSError as error:
    print("refused:", error.strerror)
"""
    job = job_file(arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences=reference(numbers + "/five"))

    run = cluster.run(project(script), flags=["--job", job])

    assert run["status"] == "Completed", run
    log = cluster.driver_log(run["run_id"]).decode()
    assert "five is 5" in log and "refused: Read-only file system" in log
