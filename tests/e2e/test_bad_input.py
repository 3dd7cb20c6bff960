"""What is wrong is said clearly: at submit where it can be known, else by a Failed run. Never a silent wait."""

import os
import subprocess

import pytest

from cluster import LINARITE


def refused(cluster, *arguments):
    """What `submit` says when it refuses; no run may have come of it."""
    before = len(cluster.runs())
    result = cluster.cli("submit", *arguments, code=None)
    assert result.returncode != 0, result.stdout
    assert len(cluster.runs()) == before
    return result.stderr


def test_an_unknown_option_is_named(cluster, project):
    assert "--nodse" in refused(cluster, project("pass"), "--nodse", "2", "--", "train.py")


def test_a_missing_entry_script_is_named_and_so_are_those_that_are_there(cluster, project):
    said = refused(cluster, project("pass"), "--", "trian.py")

    assert "trian.py" in said and "train.py" in said


def test_more_nodes_than_the_pool_has(cluster, project):
    said = refused(cluster, project("pass"), "--nodes", "3", "--backend", "mpi", "--", "train.py")

    assert "3" in said and "cpu-cluster" in said and "2" in said


def test_an_unknown_compute_target(cluster, project):
    assert "gpu-farm" in refused(cluster, project("pass"), "--target", "gpu-farm", "--", "train.py")


@pytest.mark.parametrize("flags", [["--nodes", "2"], ["--processes-per-node", "2"]])
def test_several_processes_without_a_backend(cluster, project, flags):
    said = refused(cluster, project("pass"), *flags, "--", "train.py")

    assert "must be specified when node_count > 1 or process_count_per_node > 1" in said


def test_a_node_count_below_one(cluster, project):
    assert "Node count should be at least 1" in refused(cluster, project("pass"), "--nodes", "0", "--", "train.py")


def test_an_unknown_datastore(cluster, project):
    assert "attic" in refused(cluster, project("pass"), "--data", "x=attic/some/path", "--", "train.py")


def test_all_faults_come_in_one_answer_with_their_places(cluster, project, job_file):
    job = job_file(
        script="trian.py",
        nodeCount=0,
        mpi={"processCountPerNode": 0},
        maxRunDurationSeconds="soon",
        communicator="Pigeon",
    )

    said = refused(cluster, project("pass"), "--job", job)

    for place in ("/nodeCount", "/mpi/processCountPerNode", "/maxRunDurationSeconds", "/communicator"):
        assert place in said, said


def test_a_job_file_that_is_no_yaml(cluster, project, tmp_path):
    (tmp_path / "broken.runconfig").write_text("script: [train.py\ntarget: {")

    assert "broken.runconfig" in refused(cluster, project("pass"), "--job", tmp_path / "broken.runconfig")


def test_a_source_directory_that_is_not_there(cluster, tmp_path):
    assert "nowhere" in refused(cluster, tmp_path / "nowhere", "--", "train.py")


def test_a_source_tree_over_the_limit_names_its_ten_largest(cluster, project):
    folder = project("pass")
    for i in range(12):
        with open(folder / f"part-{i:02}.bin", "wb") as file:
            file.truncate(40_000_000 + i)

    said = refused(cluster, folder, "--", "train.py")

    assert [i for i in range(12) if f"part-{i:02}.bin" in said] == list(range(2, 12)), said


def test_a_package_that_cannot_be_had_fails_the_run_and_says_where_and_why(cluster, project):
    run = cluster.run(project("pass"), "train.py", flags=["--pip", "six==99.0"])

    assert run["status"] == "Failed"
    assert run["outcome"]["code"] == "UserError"
    assert run["outcome"]["node"] in run["nodes"]
    assert run["nodes"][0] in run["outcome"]["message"] and "six==99.0" in run["outcome"]["message"]
    assert b"six" in cluster.file(run["run_id"], "azureml-logs/20_image_build_log.txt")
    assert "Running" not in cluster.statuses(run["run_id"])


def test_an_image_that_cannot_be_had_fails_the_run(cluster, project):
    result = cluster.cli(
        "submit", project("pass"), "--image", "registry.invalid/nothing:1", "--wait", "--", "train.py", code=None
    )

    assert result.returncode != 0
    assert "registry.invalid/nothing:1" in result.stdout + result.stderr


def test_without_a_coordinator_the_command_line_says_how_to_get_one(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LINARITE_")}
    result = subprocess.run(
        [LINARITE, "runs", "--data-dir", tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode != 0
    assert "linarite up" in result.stderr and str(tmp_path) in result.stderr


def test_a_second_coordinator_on_the_same_data_directory_is_refused(cluster):
    before = cluster.endpoint["pid"]

    second = cluster.cli("up", "--data-dir", cluster.data, "--https-port", 0, "--http-port", 0, code=None, timeout=20)

    assert second.returncode != 0 and str(cluster.data) in second.stderr
    assert cluster.get("/healthz").status == 200 and cluster.is_ready() and cluster.endpoint["pid"] == before


def test_a_port_that_is_taken_is_named_with_the_way_out(cluster, tmp_path):
    port = cluster.endpoint["http_url"].rpartition(":")[2]

    second = cluster.cli("up", "--data-dir", tmp_path / "data", "--https-port", 0, "--http-port", port, code=None)

    assert second.returncode != 0 and port in second.stderr and "--http-port" in second.stderr
